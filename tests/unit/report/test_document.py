import json
from dataclasses import replace

import pytest

from pipeline.model.errors import InvalidError, Problem, UnreachableError
from pipeline.model.exit_codes import GRAVITY, ExitCode
from pipeline.model.objects import Origin
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.release import Outcome
from pipeline.model.status import CauseCode, Evidence, Grade, ObjectStatus, Status
from pipeline.model.views import (
    EnvironmentChanges,
    EnvironmentStatus,
    FieldDrift,
    Hold,
    ObjectDrift,
    PreflightRow,
    SavedObject,
)
from pipeline.report import document

from .samples import (
    BASE,
    MANIFEST,
    PASSWORD,
    SETTINGS,
    SHA,
    WEB,
    plan,
    rollback_failed,
    rolled_back,
    succeeded,
)

REPORT_KEYS = [
    *("schema", "command", "environment", "result", "exit_code", "revision", "release", "plan"),
    *("applied", "rollout", "checks", "causes", "rollback", "warnings", "problems", "timings"),
]


def test_a_failed_deploy_reports_as_the_contract_shows():
    assert document.report_document(rolled_back()) == {
        "schema": "pipeline/report/v1",
        "command": "deploy",
        "environment": "dev",
        "result": "rolled-back",
        "exit_code": 10,
        "revision": {"sha": SHA, "base": BASE},
        "release": {"id": "sha256:7777", "number": 7, "phase": "ROLLED_BACK", "previous": 6},
        "plan": {
            "digest": plan().digest,
            "changes": [
                {
                    "object": "/ConfigMap/demo/settings",
                    "action": "create",
                    "wave": 1,
                    "origin": "environments/dev/manifests/web.yaml:20",
                    "reversible": "exact",
                },
                {
                    "object": "apps/Deployment/demo/web",
                    "action": "update",
                    "wave": 2,
                    "origin": "environments/dev/manifests/web.yaml:1",
                    "reversible": "exact",
                },
                {
                    "object": "/ConfigMap/demo/old",
                    "action": "delete",
                    "wave": 3,
                    "origin": None,
                    "reversible": "recreate",
                },
                {
                    "object": "rbac.authorization.k8s.io/ClusterRole//reader",
                    "action": "keep",
                    "wave": 0,
                    "origin": None,
                    "reversible": "exact",
                },
            ],
        },
        "applied": [{"object": "apps/Deployment/demo/web", "result": "applied", "seconds": 0.02}],
        "rollout": [
            {
                "object": "apps/Deployment/demo/web",
                "status": "Failed",
                "reason": "ImagePullFailed",
                "message": "nginx:9.99 cannot be pulled",
                "seconds": 3.1,
            }
        ],
        "checks": [{"name": "home", "verdict": "skipped", "reason": "rollout failed", "samples": []}],
        "causes": [
            {
                "object": "apps/Deployment/demo/web",
                "code": "ImageNotFound",
                "message": 'container web: image "nginx:9.99" cannot be pulled',
                "evidence": ["Failed to pull image: not found\nmanifest unknown"],
                "origin": "environments/dev/manifests/web.yaml:14",
                "hint": "check that the tag exists",
            }
        ],
        "rollback": {"verified": True, "differences": []},
        "warnings": [],
        "problems": [],
        "timings": {"plan": 0.4, "apply": 0.3, "rollout": 3.1, "rollback": 2.2, "total": 6.3},
    }


def test_a_run_that_found_out_nothing_still_has_every_key():
    report = document.report_document(Outcome(command="deploy", environment="dev", exit_code=40))
    assert list(report) == REPORT_KEYS
    assert report["release"] is None
    assert report["plan"] == {"digest": None, "changes": []}
    assert report["rollback"] == {"verified": None, "differences": []}
    assert set(report["timings"]) == {"plan", "apply", "rollout", "rollback", "total"}
    assert report["result"] == "unreachable"


@pytest.mark.parametrize("code", [code for code in GRAVITY if code is not ExitCode.DRIFT])
def test_every_exit_code_has_its_word(code):
    assert document.result_of(code) == code.name.lower().replace("_", "-")


def test_an_unknown_exit_code_is_a_bug_of_ours():
    assert document.result_of(99) == "bug"


def test_differences_of_a_secret_show_that_they_differ_and_no_value():
    differences = document.report_document(rollback_failed())["rollback"]["differences"]
    assert differences[0] == {"object": str(WEB), "path": "spec.replicas", "before": 3, "after": 2}
    assert differences[1]["before"] == "<masked #1>"
    assert differences[1]["after"] == "<masked #2>"


def test_a_refused_run_reports_what_was_wrong_as_problems():
    refused = Outcome(command="deploy", environment="dev", exit_code=30, message="locked", next_step="wait")
    (problem,) = document.report_document(refused)["problems"]
    assert (problem["code"], problem["message"], problem["hint"]) == ("locked", "locked", "wait")
    refused.problems = (Problem(code="a", message="m"), Problem(code="b", message="n"))
    assert [p["code"] for p in document.report_document(refused)["problems"]] == ["a", "b"]


def test_several_environments_are_one_document():
    reports = document.reports_document([succeeded(), rolled_back()])
    assert reports["schema"] == "pipeline/reports/v1"
    assert [r["exit_code"] for r in reports["reports"]] == [0, 10]


def test_a_plan_lists_waves_and_the_fields_of_each_change():
    shown = document.plan_document(plan())
    assert list(shown) == [
        *("schema", "environment", "revision", "digest", "waves", "changes", "warnings"),
    ]
    assert (shown["environment"], shown["revision"]) == ("dev", SHA)
    assert shown["waves"] == [
        ["/ConfigMap/demo/settings"],
        ["apps/Deployment/demo/web"],
        ["/ConfigMap/demo/old"],
    ]
    assert shown["changes"][1]["fields"][0] == {
        "path": "spec.template.spec.containers[0].image",
        "op": "change",
        "before": "nginx:1.21",
        "after": "nginx:1.22",
    }


def test_a_plan_tells_hooks_take_overs_and_warnings():
    warning = Problem(code="image-unpinned", message="m", origin=Origin(MANIFEST, 5), warning=True)
    settings, web, *others = plan().changes
    hooked = replace(settings, hook="pre"), replace(web, takes_over=True), *others
    shown = document.plan_document(replace(plan(), changes=hooked, warnings=(warning,)))
    assert [c["hook"] for c in shown["changes"]] == ["pre", None, None, None]
    assert [c["takes_over"] for c in shown["changes"]] == [False, True, False, False]
    ((told),) = shown["warnings"]
    assert (told["file"], told["line"], told["code"], told["warning"]) == (
        MANIFEST,
        5,
        "image-unpinned",
        True,
    )


def test_a_plan_holds_digests_of_contents_but_not_of_secrets():
    change = Change(ref=PASSWORD, action=Action.CREATE, api_version="v1", content="sha256:1")
    shown = document.plan_document(Plan(environment="dev", revision=SHA, changes=(change,)))
    assert shown["changes"][0]["content"] is None
    other = replace(change, ref=SETTINGS)
    shown = document.plan_document(Plan(environment="dev", revision=SHA, changes=(other,)))
    assert shown["changes"][0]["content"] == "sha256:1"


def test_problems_name_file_line_and_column_or_null():
    located = Problem(code="unknown-key", message="m", origin=Origin("a.yaml", 3, 5), hint="h")
    nowhere = Problem(code="no-cluster", message="n", warning=True)
    assert document.problems_document([located, nowhere]) == {
        "schema": "pipeline/problems/v1",
        "problems": [
            {
                "file": "a.yaml",
                "line": 3,
                "column": 5,
                "code": "unknown-key",
                "message": "m",
                "hint": "h",
            },
            {
                "file": None,
                "line": None,
                "column": None,
                "code": "no-cluster",
                "message": "n",
                "hint": "",
                "warning": True,
            },
        ],
    }


def test_an_error_without_problems_is_the_only_problem():
    (problem,) = document.error_problems(UnreachableError("cannot reach the cluster", hint="log in"))
    assert (problem.code, problem.message, problem.hint) == (
        "unreachable",
        "cannot reach the cluster",
        "log in",
    )
    listed = (Problem(code="x", message="y"),)
    assert document.error_problems(InvalidError("bad", problems=listed)) == listed


def secret(**sections):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, **sections}


def test_equal_secret_values_get_equal_numbers_however_they_are_written():
    objects = [
        secret(data={"a": "aHVudGVyMg==", "b": "b3RoZXI="}),
        secret(stringData={"c": "hunter2", "d": "new"}),
    ]
    first, second = document.render_document(objects)["objects"]
    assert first["data"] == {"a": "<masked #1>", "b": "<masked #2>"}
    assert second["stringData"] == {"c": "<masked #1>", "d": "<masked #3>"}
    assert objects[0]["data"]["a"] == "aHVudGVyMg=="


@pytest.mark.parametrize(
    "data", ["plain", ["hunter2"], {"p": 123}, {"p": {"q": "hunter2"}}, {"p": "%%"}, None]
)
def test_a_malformed_secret_shows_no_value_either(data):
    shown = json.dumps(document.render_document([secret(data=data, stringData=data)]))
    assert "hunter2" not in shown
    assert "123" not in shown
    assert "%%" not in shown


def test_the_last_applied_annotation_of_a_secret_is_masked():
    obj = secret()
    obj["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": "hunter2",
        "team": "web",
    }
    (shown,) = document.render_document([obj])["objects"]
    assert shown["metadata"]["annotations"] == {
        "kubectl.kubernetes.io/last-applied-configuration": "<masked #1>",
        "team": "web",
    }


def test_only_secrets_are_masked_and_not_when_asked_to_show_them():
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "v"}}
    hidden = secret(data={"a": "aHVudGVyMg=="})
    assert document.render_document([config])["objects"] == [config]
    assert document.render_document([hidden], show_secrets=True)["objects"] == [hidden]


def test_changes_say_why_and_the_matrix_names_the_affected_only():
    env = EnvironmentChanges(
        name="dev",
        base="",
        revision=SHA,
        affected=True,
        because=("no record",),
        files=(("a", "added"),),
        objects=(WEB,),
    )
    other = EnvironmentChanges(name="prod", base=BASE, revision=SHA, affected=False)
    shown = document.changes_document([env, other])
    assert shown["environments"][0] == {
        "name": "dev",
        "base": None,
        "revision": SHA,
        "affected": True,
        "because": ["no record"],
        "files": [{"path": "a", "change": "added"}],
        "objects": ["apps/Deployment/demo/web"],
    }
    assert document.matrix_document([env, other]) == {"include": [{"environment": "dev"}]}


def test_history_and_status_have_the_keys_of_the_contract():
    releases = document.history_document([succeeded().release])["releases"]
    assert list(releases[0]) == [
        *("number", "id", "revision", "phase", "result", "actor", "started", "seconds", "previous")
    ]
    lock = {"holder": "alice", "since": "s", "expires": "e", "more": "x"}
    env = EnvironmentStatus(name="dev", release=7, drift=(WEB,), lock=lock, hold=Hold("bad", "bob", "t"))
    (status,) = document.status_document([env])["environments"]
    assert list(status) == [
        *("name", "release", "revision", "phase", "health", "drift", "lock", "hold", "gates", "next")
    ]
    assert status["lock"] == {"holder": "alice", "since": "s", "expires": "e"}
    assert status["hold"] == {"reason": "bad", "actor": "bob", "since": "t"}
    (empty,) = document.status_document([EnvironmentStatus(name="dev")])["environments"]
    assert (empty["release"], empty["lock"], empty["hold"], empty["drift"]) == (None, None, None, [])


def test_drift_of_a_secret_is_masked_and_names_the_manager():
    drift = ObjectDrift(
        PASSWORD, (FieldDrift(path="data.p", desired="YQ==", live="Yg==", manager="kubectl"),)
    )
    (shown,) = document.diff_document([drift])["objects"]
    assert shown == {
        "object": "/Secret/demo/password",
        "fields": [{"path": "data.p", "desired": "<masked #1>", "live": "<masked #2>", "manager": "kubectl"}],
    }


def test_assess_and_preflight_have_the_keys_of_the_contract():
    saved = SavedObject(ref=WEB, status=ObjectStatus(Status.CURRENT, "r", "m"))
    assert document.assess_document([saved])["objects"] == [
        {"object": str(WEB), "status": "Current", "reason": "r", "message": "m"}
    ]
    warned = replace(saved, status=ObjectStatus(Status.CURRENT, "r", "m", warning="w"))
    assert document.assess_document([warned])["objects"][0]["warning"] == "w"
    shown = Evidence(
        code=CauseCode.CRASH_LOOP, grade=Grade.PROBABLE, message="exits", details=("d",), hint="h"
    )
    (failed,) = document.assess_document([replace(saved, evidence=(shown,))])["objects"]
    assert failed["evidence"] == [{"code": "CrashLoop", "message": "exits", "details": ["d"], "hint": "h"}]
    row = PreflightRow(name="login", verdict="ok", found="alice")
    assert document.preflight_document([row]) == {
        "schema": "pipeline/preflight/v1",
        "rows": [{"name": "login", "verdict": "ok", "found": "alice", "why": "", "repair": ""}],
    }


def test_json_text_is_ascii_has_the_same_content_and_no_runner_command():
    value = {"message": "##[add-mask]x → \x1b[31m", "##[k]": ["##[error]"]}
    shown = document.to_json(value)
    assert shown.isascii()
    assert "##[" not in shown
    assert json.loads(shown) == value
