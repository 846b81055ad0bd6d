"""Golden texts: what people see of a run that failed and of one that succeeded."""

from dataclasses import replace

import pytest

from pipeline.model.errors import InvalidError, LockedError, PreflightError, Problem
from pipeline.model.events import (
    Checked,
    Failed,
    Note,
    ObjectApplied,
    Planned,
    Recorded,
    RollingBack,
    RolloutDone,
    RolloutProgress,
    Started,
)
from pipeline.model.objects import Origin
from pipeline.model.plan import Action, Plan
from pipeline.model.release import Outcome
from pipeline.model.status import ObjectStatus, Status
from pipeline.model.views import EnvironmentStatus, Hold, LockFound, PreflightRow, Unlocking
from pipeline.report import summary, tables
from pipeline.report.text import event_lines

from .samples import (
    BASE,
    MANIFEST,
    SETTINGS,
    SHA,
    WEB,
    large_plan,
    plan,
    rollback_failed,
    rolled_back,
    succeeded,
)

FAILED = """\
dev: rolled-back (exit code 10): release 7 at 1a2b3c4

cause: Deployment/demo/web: ImageNotFound: container web: image "nginx:9.99" cannot be pulled
  at environments/dev/manifests/web.yaml:14
  | Failed to pull image: not found
  | manifest unknown
  hint: check that the tag exists

rolled back to release 6: everything is as it was, verified by comparison
next: correct the image and merge again
time: plan 0.4 s, apply 0.3 s, rollout 3.1 s, rollback 2.2 s, total 6.3 s
"""

SUCCEEDED = """\
dev: ok: release 7 at 1a2b3c4
plan {digest}: 1 to create, 1 to update, 1 to delete, 1 unchanged; 3 written
rollout: 1 object current
checks: 1 of 1 passed
time: plan 0.4 s, apply 0.3 s, rollout 4.0 s, total 4.8 s
"""

PLAN = """\
plan {digest}
dev at 1a2b3c4: 1 to create, 1 to update, 1 to delete, 1 unchanged

wave 1
  + create   ConfigMap/demo/settings  (environments/dev/manifests/web.yaml:20)

wave 2
  ~ update   Deployment/demo/web  (environments/dev/manifests/web.yaml:1)
      ~ spec.template.spec.containers[0].image: nginx:1.21 → nginx:1.22
      + spec.replicas: 3
      note: takes over fields of helm

wave 3
  - delete   ConfigMap/demo/old  no longer in the repository

deletes 1 object: ConfigMap/demo/old
a rollback would create anew: ConfigMap/demo/old
"""

PROGRESS = """\
deploy dev at 1a2b3c4 (since 9f8e7d6)
  because web.yaml changed
plan {digest}: 1 to create, 1 to update, 1 to delete, 1 unchanged in 3 waves
  wave 1  + create ConfigMap/demo/settings (environments/dev/manifests/web.yaml:20)
  wave 2  ~ update Deployment/demo/web (environments/dev/manifests/web.yaml:1)
      ~ spec.template.spec.containers[0].image: nginx:1.21 → nginx:1.22
      + spec.replicas: 3
      note: takes over fields of helm
  wave 3  - delete ConfigMap/demo/old: no longer in the repository
applied: update Deployment/demo/web (wave 2, 0.02 s)
rollout 3.1 s: 1 of 2 current; waiting for Deployment/demo/web 2/3 (nginx:9.99 cannot be pulled)
rollout failed after 3.1 s
  Deployment/demo/web: Failed ImagePullFailed: nginx:9.99 cannot be pulled
failed: Deployment/demo/web: ImageNotFound: container web: image "nginx:9.99" cannot be pulled
  at environments/dev/manifests/web.yaml:14
  | Failed to pull image: not found
  | manifest unknown
  hint: check that the tag exists
rolling back to release 6 (1a2b3c4): 1 to create, 1 to update, 1 to delete, 1 unchanged
release 7: ROLLED_BACK
"""


def test_a_failed_run_tells_cause_proof_rollback_and_next_step_in_this_order():
    assert summary.summary(rolled_back()) == FAILED


def test_a_succeeded_run_tells_what_runs_and_what_it_took():
    assert summary.summary(succeeded()) == SUCCEEDED.format(digest=plan().digest[:19])


def test_a_rollback_that_did_not_restore_everything_lists_what_differs():
    text = summary.summary(rollback_failed())
    assert "rollback NOT verified: the cluster is not as it was before\n" in text
    assert "  Deployment/demo/web spec.replicas: 3 → 2\n" in text
    assert "  Secret/demo/password data.password: <masked #1> → <masked #2>\n" in text


def test_a_failed_run_that_was_not_rolled_back_says_so():
    outcome = rolled_back()
    outcome.exit_code, outcome.rolled_back, outcome.rollback_verified = 11, False, None
    assert "not rolled back: what was applied stays in the cluster" in summary.summary(outcome)


def test_a_closed_gate_shows_the_whole_digest_to_be_approved():
    text = summary.summary(Outcome(command="promote", environment="prod", plan=plan(), exit_code=23))
    assert f"plan: {plan().digest}\n" in text
    assert "nothing was written" in text


def test_a_run_with_nothing_to_do_says_so():
    empty = Plan(environment="dev", revision=SHA, changes=())
    text = summary.summary(Outcome(command="deploy", environment="dev", plan=empty))
    assert "nothing to change" in text


def test_many_causes_and_much_evidence_still_fit_a_screen():
    outcome = rollback_failed()
    outcome.causes = (replace(outcome.causes[0], evidence=("line\n" * 500,)),) * 40
    outcome.differences *= 100
    outcome.warnings = ("w",) * 50
    text = summary.summary(outcome)
    assert len(text.splitlines()) <= 60
    assert "… and 492 more" in text
    assert "… and 37 more causes: " in text


def test_several_environments_have_a_paragraph_each():
    assert summary.summaries([succeeded(), rolled_back()]).count("time: ") == 2


def test_a_plan_shows_waves_fields_deletions_and_what_a_rollback_can_do():
    assert tables.plan_text(plan()) == PLAN.format(digest=plan().digest)


def test_a_plan_shows_hooks_take_overs_and_then_warnings_with_place_and_hint():
    settings, web, *others = plan().changes
    hooked = replace(settings, hook="pre", reason="a pre hook"), replace(web, hook="post", takes_over=True)
    warning = Problem(code="x", message="no tag", hint="pin it", origin=Origin(MANIFEST, 5), warning=True)
    text = tables.plan_text(replace(plan(), changes=(*hooked, *others), warnings=(warning,)))
    assert f"  + create   ConfigMap/demo/settings  pre hook  ({MANIFEST}:20)\n" in text
    assert f"  ~ update   Deployment/demo/web  post hook  ({MANIFEST}:1)\n" in text
    assert text.endswith(f"ConfigMap/demo/old\n\nwarning: {MANIFEST}:5: no tag (pin it)\n")
    taken = replace(web, takes_over=True, note="", reason="adopted")
    text = tables.plan_text(replace(plan(), changes=(taken,)))
    assert "Deployment/demo/web  adopted, taken over from other tools  (" in text


def test_a_large_plan_shows_fifty_changes_the_gravest_among_them_and_counts_the_others():
    for lines in (tables.plan_text(large_plan()).splitlines(), event_lines(Planned(large_plan()))):
        shown = [line for line in lines if "ConfigMap/demo/" in line or "Job/demo/" in line]
        assert len(lines) <= 70
        assert sum("+ create" in line and "/demo/" in line for line in lines) == 49
        assert any(
            "! recreate" in line and "Job/demo/migrate" in line and "post hook" in line for line in shown
        )
        assert [line.strip() for line in lines if "950" in line] == [
            "… and 950 more changes; -o json shows all:",
            "+ create 950 ConfigMap",
        ]


def test_a_plan_that_changed_lists_differences_and_the_new_plan():
    found = [Problem(code="plan-changed", message=f"difference {n}") for n in range(60)]
    outcome = Outcome(
        command="deploy",
        environment="dev",
        plan=plan(),
        exit_code=22,
        message="the plan is no longer the one that was saved",
        problems=tuple(found),
    )
    text = summary.summary(outcome)
    assert "error: the plan is no longer the one that was saved\n  difference 0\n" in text
    assert "  … and 10 more\n" in text
    assert f"plan: {plan().digest}\n      1 to create, 1 to update" in text


def test_progress_is_one_line_a_fact():
    outcome = rolled_back()
    status = outcome.rollout[0].status
    events = [
        Started("deploy", "dev", SHA, BASE, ("web.yaml changed",)),
        Planned(plan()),
        ObjectApplied(WEB, Action.UPDATE, 2, "applied", 0.02),
        RolloutProgress(((WEB, status), (SETTINGS, ObjectStatus(Status.CURRENT))), 3.1),
        RolloutDone(outcome.rollout, False, 3.1),
        Failed(outcome.causes),
        RollingBack("release 6 (1a2b3c4)", plan()),
        Recorded(7, "ROLLED_BACK"),
    ]
    text = "".join(f"{line}\n" for event in events for line in event_lines(event))
    assert text == PROGRESS.format(digest=plan().digest[:19])


def test_good_news_is_short():
    outcome = succeeded()
    assert event_lines(RolloutDone(outcome.rollout, True, 75.0)) == ["rollout: 1 object current after 75 s"]
    assert event_lines(Checked(outcome.checks[0])) == ["check home: pass (1 of 1 sample good)"]
    assert event_lines(Note("x")) == ["note: x"]
    assert event_lines(Note("x", warning=True)) == ["warning: x"]


def test_an_object_that_is_current_with_a_warning_is_named():
    entry = replace(
        succeeded().rollout[0], status=ObjectStatus(Status.CURRENT, warning="metrics are not available")
    )
    assert event_lines(RolloutDone((entry,), True, 1.0))[1] == (
        "  warning: Deployment/demo/web: metrics are not available"
    )


def test_problems_are_file_line_message_and_hint():
    problems = [
        Problem(
            code="unknown-key",
            message="unknown key 'timeot'",
            origin=Origin(MANIFEST, 3),
            hint="did you mean timeout?",
        ),
        Problem(code="old", message="no source", warning=True),
    ]
    assert tables.problems_text(problems) == (
        f"{MANIFEST}:3: unknown key 'timeot' (did you mean timeout?)\n"
        "warning: no source\n"
        "1 problem, 1 warning\n"
    )
    assert tables.problems_text([]) == "no problems found\n"


def test_an_error_says_what_is_wrong_and_what_to_do():
    assert summary.error_text(LockedError("dev is locked by alice", hint="wait, or use --wait-lock")) == (
        "error: dev is locked by alice\nnext: wait, or use --wait-lock\n"
    )
    listed = InvalidError("2 problems", problems=[Problem(code="x", message="m", origin=Origin("a.yaml", 2))])
    assert summary.error_text(listed) == "error: 2 problems\n  a.yaml:2: m\n"


def test_missing_rights_come_with_the_role_as_lines_to_be_copied():
    error = PreflightError(
        "plan dev: 1 problem",
        problems=[Problem(code="permission-missing", message="may not patch")],
        hint="grant what is missing: {json}",
        attachment="kind: Role\nrules:\n  - {verbs: [patch]}\n",
    )
    assert summary.error_text(error) == (
        "error: plan dev: 1 problem\n  may not patch\n"
        "next: grant what is missing:\nkind: Role\nrules:\n  - {verbs: [patch]}\n"
    )


def test_warnings_among_problems_say_so():
    warning = Problem(code="x", message="m", warning=True)
    assert "  warning: m\n" in summary.error_text(InvalidError("bad", problems=[warning]))


def test_tables_align_and_show_obstacles():
    env = EnvironmentStatus(
        name="dev",
        release=7,
        revision=SHA,
        phase="SUCCEEDED",
        health="healthy",
        drift=(WEB,),
        lock={"holder": "alice", "since": "1", "expires": "2"},
        hold=Hold("bad", "bob", "3"),
    )
    assert tables.status_text([env, EnvironmentStatus(name="production")]) == (
        "ENVIRONMENT  RELEASE  REVISION  PHASE      HEALTH   DRIFT           NEXT\n"
        "dev          7        1a2b3c4   SUCCEEDED  healthy  Deployment/web  -\n"
        "production   -        -         -          -        none            -\n"
        "dev: locked by alice since 1, expires 2\n"
        "dev: held by bob since 3: bad\n"
    )


def test_a_preflight_explains_only_what_is_not_ok():
    rows = [
        PreflightRow(name="login", verdict="ok", found="alice", why="never shown"),
        PreflightRow(
            name="permissions", verdict="failed", found="no", why="cannot patch", repair="grant edit"
        ),
    ]
    text = tables.preflight_text(rows)
    assert "never shown" not in text
    assert text.endswith("\npermissions: cannot patch\n  repair: grant edit\n")


def test_history_is_one_line_a_release():
    header, row = tables.history_text([succeeded().release]).splitlines()
    assert header.split() == ["RELEASE", "REVISION", "PHASE", "RESULT", "ACTOR", "STARTED", "TOOK", "MESSAGE"]
    assert row.split()[:4] == ["7", "1a2b3c4", "SUCCEEDED", "ok"]


LOCK = {"holder": "ana at a", "since": "08:00", "expires": "08:15"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, "dev: nobody holds the lock\nnext: deploy\n"),
        (
            LockFound(lock=LOCK, released=True, why="it expired"),
            "dev: the lock of ana at a is released: it expired\n"
            "  held since 08:00, expires 08:15\nnext: deploy\n",
        ),
        (
            LockFound(lock={**LOCK, "since": ""}, released=False, why="it was renewed"),
            "dev: the lock of ana at a is NOT released: it was renewed\n"
            "  held since ?, expires 08:15\nnext: deploy\n",
        ),
    ],
)
def test_a_lock_is_told_with_who_since_when_and_why(found, expected):
    assert tables.unlock_text(Unlocking(environment="dev", found=found, next="deploy")) == expected
