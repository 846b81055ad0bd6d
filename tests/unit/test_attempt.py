"""What a run makes of the release before it, and of a record that cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError, UnreachableError
from pipeline.model.events import Event, Note
from pipeline.model.exit_codes import ExitCode
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.release import Outcome, Phase, Release
from pipeline.run.attempt import Attempt
from pipeline.run.planning import Planned
from pipeline.run.session import Session
from tests.contract.memory_cluster import Time

ENV = Environment(name="dev", application="web", namespace="demo", path="e.yaml")


def ref(name: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", "demo", name)


def config_map(name: str, value: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


def release(number: int, phase: Phase, **values: Any) -> Release:
    known = {"application": "web", "environment": "dev", "id": "x", "revision": f"commit-{number}"}
    return Release(number=number, phase=phase, **(known | values))


@dataclass
class Records:
    """``ports.Releases`` of what is in ``kept``, oldest first. ``refusal`` is what a save meets; ``ahead``
    was the newest when that was read ahead."""

    kept: list[Release] = field(default_factory=list)
    refusal: PipelineError | None = None
    asked: list[Phase] = field(default_factory=list)
    ahead: Release | None = None

    def latest(self, *, anew: bool = False) -> Release | None:
        if self.ahead and not anew:
            return self.ahead
        return self.kept[-1] if self.kept else None

    def history(self) -> list[Release]:
        """Heads only."""
        return [replace(r, inventory=(), before=(), plan=None) for r in reversed(self.kept)]

    def get(self, number: int) -> Release | None:
        return next((r for r in self.kept if r.number == number), None)

    def last_verified(self) -> Release | None:
        return next((r for r in reversed(self.kept) if r.phase is Phase.SUCCEEDED), None)

    def trim(self, keep: int) -> None:
        self.kept = self.kept[:1] + self.kept[1:][-keep:]

    def save(self, saved: Release) -> None:
        self.asked.append(saved.phase)
        if self.refusal:
            raise self.refusal
        others = [r for r in self.kept if r.number != saved.number]
        self.kept = sorted([*others, saved], key=lambda r: r.number)


def attempt(
    records: Records, *, check: Callable[[], None] = lambda: None, locked: bool = True
) -> tuple[Attempt, list[Event]]:
    told: list[Event] = []
    cluster = SimpleNamespace(identity=lambda: "us", server_time=lambda: 0.0)
    session = Session(
        environment=ENV,
        cluster=cluster,
        releases=records,
        lock=SimpleNamespace(check=check, holder=lambda: None),
        prober=None,
        clock=Time(),
        tell=told.append,
        stopped=lambda: False,
        actor=lambda: "somebody",
        locked=locked,
    )
    outcome = Outcome(command="deploy", environment="dev", revision="commit-9")
    return Attempt(session, "deploy", outcome), told


def planned(live: dict[str, Object], *changes: Change) -> Planned:
    plan = Plan(environment="dev", revision="commit-9", changes=changes)
    return Planned(plan=plan, live={ref(name): obj for name, obj in live.items()}, desired=())


def change(name: str, action: Action = Action.UPDATE, wave: int = 1) -> Change:
    return Change(ref=ref(name), action=action, api_version="v1", wave=wave)


def notes(told: list[Event]) -> list[str]:
    return [event.message for event in told if isinstance(event, Note)]


# --- a release that left something else than what was before it

VERIFIED = release(1, Phase.SUCCEEDED, finished="now")
THEN = config_map("a", "verified")
MIXED = release(
    2,
    Phase.ROLLBACK_FAILED,
    finished="now",
    previous=1,
    before=((ref("a"), THEN), (ref("new"), None)),
    plan={
        "digest": "d",
        "changes": [
            {"object": str(ref("a")), "apiVersion": "v1", "wave": 1},
            {"object": str(ref("new")), "apiVersion": "v1", "wave": 2},
        ],
    },
)
LEFT = [
    MIXED,
    replace(MIXED, phase=Phase.APPLYING, finished=""),
    replace(MIXED, phase=Phase.INTERRUPTED),
    replace(MIXED, phase=Phase.FAILED, finished=""),
    replace(MIXED, phase=Phase.FAILED),
]
SETTLED = [
    replace(MIXED, phase=Phase.ROLLED_BACK),
    replace(MIXED, phase=Phase.SUCCEEDED),
]


def begun(latest: Release, *changes: Change, **live: Object) -> Release:
    """The intent of the run after ``latest``."""
    run, _ = attempt(Records([VERIFIED, latest]))
    run.look_back()
    run.planned = planned(live, *changes)
    run.begin(Phase.APPLYING)
    assert run.release is not None
    return run.release


@pytest.mark.parametrize("latest", LEFT, ids=lambda r: f"{r.phase}{r.finished}")
def test_the_state_before_what_was_left_is_that_of_the_next_run(latest: Release) -> None:
    intent = begun(
        latest, change("a"), change("b"), a=config_map("a", "mixed"), b=config_map("b", "verified")
    )
    assert dict(intent.before) == {
        ref("a"): THEN,  # and not as it was found
        ref("b"): config_map("b", "verified"),
        ref("new"): None,
    }


@pytest.mark.parametrize("latest", LEFT, ids=lambda r: f"{r.phase}{r.finished}")
def test_how_to_go_back_to_it_is_in_the_next_runs_plan(latest: Release) -> None:
    """A rollback reads and orders its objects by the recorded plan: each of them has to be in it."""
    intent = begun(latest, change("a", wave=5), a=config_map("a", "mixed"))
    waves = {entry["object"]: entry["wave"] for entry in intent.plan["changes"]}
    assert waves == {str(ref("a")): 5, str(ref("new")): 2}


@pytest.mark.parametrize("latest", LEFT, ids=lambda r: f"{r.phase}{r.finished}")
def test_with_nothing_to_write_there_is_still_something_to_go_back_to(latest: Release) -> None:
    run, _ = attempt(Records([VERIFIED, latest]))
    run.look_back()
    run.planned = planned({})
    assert run.has_something_to_do


@pytest.mark.parametrize("latest", SETTLED, ids=lambda r: f"{r.phase}{r.finished}")
def test_after_any_other_end_the_state_before_is_what_is_there(latest: Release) -> None:
    mixed = config_map("a", "as it was found")
    intent = begun(latest, change("a"), a=mixed)
    assert dict(intent.before) == {ref("a"): mixed}


@pytest.mark.parametrize("left", [*LEFT, *SETTLED], ids=lambda r: f"{r.phase}{r.finished}")
def test_what_was_broken_before_must_mend_only_where_a_release_was_broken_off(left: Release) -> None:
    """Of one that failed, and was left so by policy, it is known what it has proved and what not."""
    broken = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}, "status": {"phase": "Failed"}}
    run, _ = attempt(Records([VERIFIED, left]))
    run.look_back()
    kept = replace(change("b", Action.KEEP), ref=ref("b")._replace(kind="Pod"))
    run.planned = planned({}, kept)
    run.planned.live[kept.ref] = broken  # type: ignore[index]
    run._by_ref = {kept.ref: Manifest(kept.ref, broken, Origin("m.yaml", 1))}
    broken_off = left in LEFT and (left.phase, left.finished) != (Phase.FAILED, "now")
    assert (run.target_of(kept, None) is not None) == broken_off


def test_it_survives_a_run_that_dies_and_a_rollback_that_fails_again() -> None:
    again = begun(MIXED, change("b"), b=config_map("b", "verified"))
    for phase in (Phase.APPLYING, Phase.ROLLBACK_FAILED):
        third = begun(replace(again, phase=phase), change("a"), a=config_map("a", "mixed"))
        assert dict(third.before) == {
            ref("a"): THEN,
            ref("b"): config_map("b", "verified"),
            ref("new"): None,
        }


def test_where_it_would_go_back_to_is_told() -> None:
    run, told = attempt(Records([VERIFIED, replace(MIXED, actor="somebody")]))
    run.look_back()
    assert notes(told) == [
        "release 2 was left ROLLBACK_FAILED by somebody; should this run fail, it goes back to release 1 "
        "(commit-1)"
    ]


@pytest.mark.parametrize("newest", [Phase.APPLYING, Phase.INTERRUPTED])
def test_of_runs_that_died_one_after_the_other_each_is_said_to_be_taken_over(newest: Phase) -> None:
    """The second had taken the first one over, and died before it could say so."""
    first = release(2, Phase.VERIFYING, before=((ref("a"), THEN),))
    done = release(1, Phase.SUCCEEDED)
    records = Records([done, first, release(3, newest, before=first.before)])
    run, told = attempt(records)
    run.look_back()
    run.planned = planned({})
    run.begin(Phase.APPLYING)

    assert [(r.number, r.phase) for r in records.kept] == [
        (1, Phase.SUCCEEDED),
        (2, Phase.INTERRUPTED),
        (3, Phase.INTERRUPTED),
        (4, Phase.APPLYING),
    ]
    assert records.kept[1].before == first.before, "only its head was kept"
    assert [n for n in notes(told) if "still reads" in n] == []


@pytest.mark.parametrize("locked", [True, False])
def test_who_has_the_lock_does_not_rest_on_what_was_read_before_it(locked: bool) -> None:
    """Who had it till now has recorded something meanwhile; without the lock a look is only a look."""
    before, now = release(2, Phase.APPLYING), release(2, Phase.SUCCEEDED)
    run, _ = attempt(Records([VERIFIED, now], ahead=before), locked=locked)
    run.look_back()
    assert run.latest == (now if locked else before)


@pytest.mark.parametrize("phase", [Phase.ROLLED_BACK, Phase.APPLYING])
def test_releases_that_fail_or_die_in_a_row_leave_no_more_than_are_kept(phase: Phase) -> None:
    records = Records([VERIFIED])
    for _ in range(15):
        run, _ = attempt(records)
        run.look_back()
        run.planned = planned({})
        run.begin(Phase.APPLYING)
        assert run.release is not None
        records.save(replace(run.release, phase=phase))
        assert len(records.kept) <= 11
    assert records.kept[0] is VERIFIED
    assert [r.number for r in records.kept[1:]] == list(range(7, 17))


# --- a record that cannot be written


def stopped(run: Attempt, phase: Phase) -> None:
    """The release comes to ``phase``, which may not become durable: then the run ends as interrupted."""
    try:
        if phase is Phase.SUCCEEDED:
            run.end(phase, ())
        else:
            run.save(phase)
    except PipelineError as error:
        run.interrupted(InterruptedRunError(error.message, hint=error.hint))
    else:
        run.interrupted(InterruptedRunError("stopped by a signal"))


@pytest.mark.parametrize("refusal", [UnreachableError("no answer"), ApiError("no", status=503)])
@pytest.mark.parametrize("phase", [Phase.VERIFYING, Phase.SUCCEEDED])
def test_what_could_not_be_recorded_is_not_tried_a_second_time_and_is_told(
    refusal: PipelineError, phase: Phase
) -> None:
    """It was repeated for half a minute: as long again would be more than a run may take."""
    before = Phase.APPLYING if phase is Phase.VERIFYING else Phase.VERIFYING
    records = Records([VERIFIED], refusal=refusal)
    run, told = attempt(records)
    run.release = release(2, before)

    stopped(run, phase)

    assert records.asked == [phase]
    assert notes(told) == [f"the interruption could not be recorded: {refusal.message}"]
    assert (run.outcome.exit_code, run.outcome.causes[-1].message) == (ExitCode.INTERRUPTED, refusal.message)
    assert "takes over" in run.outcome.next_step


def test_after_a_signal_the_interruption_is_recorded() -> None:
    records = Records([VERIFIED])
    run, told = attempt(records)
    run.release = release(2, Phase.APPLYING)

    stopped(run, Phase.VERIFYING)

    assert records.asked == [Phase.VERIFYING, Phase.INTERRUPTED]
    assert notes(told) == []


def test_a_signal_while_a_record_is_repeated_leaves_one_more_try() -> None:
    """It says nothing of the server."""
    records = Records([VERIFIED], refusal=InterruptedRunError("stopped by a signal"))
    run, told = attempt(records)
    run.release = release(2, Phase.APPLYING)

    stopped(run, Phase.VERIFYING)

    assert records.asked == [Phase.VERIFYING, Phase.INTERRUPTED]
    assert notes(told) == ["the interruption could not be recorded: stopped by a signal"]


def test_without_the_lock_nothing_is_recorded() -> None:
    def lost() -> None:
        raise InterruptedRunError("the lock was taken by another run")

    records = Records([VERIFIED])
    run, told = attempt(records, check=lost)
    run.release = release(2, Phase.APPLYING)

    run.interrupted(InterruptedRunError("the lock was taken by another run"))

    assert records.asked == []
    assert notes(told) == ["the interruption could not be recorded: the lock was taken by another run"]
