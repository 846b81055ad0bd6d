"""One attempt to release: what it knows, and how each step of it becomes durable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pipeline import failpoint
from pipeline.core import lifecycle, planner
from pipeline.core.desired import body_of
from pipeline.core.graph import Needs
from pipeline.core.hooks import HookEvent
from pipeline.core.planner import Desired
from pipeline.core.readiness import assess
from pipeline.core.verdicts import cause_record, verdicts
from pipeline.failpoint import Point
from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError, UnreachableError
from pipeline.model.events import Note, Recorded
from pipeline.model.exit_codes import ExitCode
from pipeline.model.objects import Manifest, Object, ObjectRef, digest
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.release import LEFT, InventoryEntry, Outcome, Phase, Release
from pipeline.model.status import Cause, CauseCode, ObjectStatus, Status
from pipeline.run import inventory, predecessors
from pipeline.run.overtaken import SecondLook
from pipeline.run.planning import Planned
from pipeline.run.session import Session
from pipeline.run.targets import Target

KEPT = 10
"""Releases, the newest among them; the last verified one besides (design §4)."""


@dataclass(slots=True)
class Attempt:
    """State of one run. ``latest`` is the newest release, ``verified`` the newest that succeeded."""

    session: Session
    command: str
    outcome: Outcome
    wanted: Sequence[Manifest] = ()
    inputs: str = ""  # digest of what ``wanted`` is rendered from
    followed: str = ""
    charts: tuple[str, ...] | None = ()
    namespace_is_new: bool = False  # this run created it, for the lock to live in
    latest: Release | None = None
    verified: Release | None = None
    owned: tuple[InventoryEntry, ...] = ()
    order: Needs | None = None  # of ``wanted``, at an installation
    planned: Planned | None = None
    release: Release | None = None
    timed_out: bool = False
    unsaved: PipelineError | None = None  # why the newest state of ``release`` is in no record
    second_look: SecondLook = field(init=False)
    _live: dict[ObjectRef, Object] = field(default_factory=dict)
    _ready_first: frozenset[ObjectRef] | None = None
    _by_ref: dict[ObjectRef, Manifest] = field(default_factory=dict)
    _started: float = 0.0
    _writing_since: float = 0.0

    def __post_init__(self) -> None:
        self.second_look = SecondLook(self.session)

    def look_back(self) -> None:
        """Read the records. What a run that died left open is taken over: its state before is ours."""
        self._started = self._started or self.session.clock.monotonic()
        self.latest = self.session.releases.latest(anew=self.session.locked)
        # Without any release, and where the newest one succeeded, there is nothing more to ask for.
        settled = self.latest is None or self.latest.phase is Phase.SUCCEEDED
        self.verified = self.latest if settled else self.session.releases.last_verified()
        self.owned = self.latest.inventory if self.latest else ()
        if self.session.locked and self.latest and self.latest.is_unresolved:
            left = f"release {self.latest.number} was left {self.latest.phase} by {self.latest.actor}"
            means = "this run takes it over"
            if not self.latest.is_open:
                means = f"should this run fail, it goes back to {self.target_of_rollback()}"
            self.session.tell(Note(f"{left}; {means}", warning=True))

    @property
    def has_looked(self) -> bool:
        """Whether the records were read."""
        return self._started > 0

    def is_overtaken(self) -> bool:
        """Whether another run recorded something since we looked back."""
        return self.second_look.differs(self.latest)

    @property
    def event(self) -> HookEvent:
        """What this deploy is to hooks."""
        if self.command == "rollback":
            return HookEvent.ROLLBACK
        return HookEvent.UPGRADE if self.verified else HookEvent.INSTALL

    @property
    def carried(self) -> dict[ObjectRef, Object | None]:
        """The state before a release that left something else than that: what a rollback of ours leads to."""
        return dict(self.latest.before) if self.latest and self.latest.is_unresolved else {}

    @property
    def has_something_to_do(self) -> bool:
        """Writes, or what a release before left of its own: if that fails now, it goes back, too."""
        return bool(self.carried or (self.planned and self.planned.plan.writes))

    @property
    def is_settled(self) -> bool:
        """Nothing to write, and nothing to record: a look at the cluster's health is all there is to do."""
        return not self.has_something_to_do and not self.needs_record

    @property
    def plan_desired(self) -> tuple[Desired, ...]:
        return self.planned.desired if self.planned else ()

    @property
    def plan(self) -> Plan:
        assert self.planned is not None  # noqa: S101 - asked only after the plan
        return self.planned.plan

    @property
    def plan_changes(self) -> tuple[Change, ...]:
        return self.planned.plan.changes if self.planned else ()

    @property
    def needs_record(self) -> bool:
        """Without a write a release is recorded only to say that this revision, too, was verified."""
        same = (
            self.latest is self.verified and self.verified and self.verified.revision == self.outcome.revision
        )
        return not same

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        start = self.session.clock.monotonic()
        try:
            yield
        finally:
            spent = self.session.clock.monotonic() - start
            self.outcome.timings[phase] = round(self.outcome.timings.get(phase, 0.0) + spent, 3)

    def budget_left(self) -> float:
        """Seconds until ``deploy.timeout`` is over."""
        spent = self.session.clock.monotonic() - self._started
        return max(0.0, self.session.environment.deploy.timeout_s - spent)

    def begin(self, phase: Phase) -> None:
        """Make the intent durable: after this returns, whoever comes next can finish or undo the rest."""
        assert self.planned is not None  # noqa: S101 - asked only after the plan
        number = self.latest.number + 1 if self.latest else 1
        environment, plan = self.session.environment, self.planned.plan
        rendered = tuple(body_of(d.manifest, environment) for d in self.planned.desired)
        before = {c.ref: self.planned.live.get(c.ref) for c in plan.writes if not _has_run(c)} | self.carried
        release = Release(
            application=environment.application,
            environment=environment.name,
            number=number,
            id=digest([environment.name, self.outcome.revision, rendered])[7:19],
            revision=self.outcome.revision,
            base=self.outcome.base,
            previous=self.verified.number if self.verified else None,
            phase=Phase.PENDING,
            actor=self.session.actor(),
            identity=self.session.cluster.identity(),
            started=self._now(),
            command=self.command,
            plan_digest=plan.digest,
            inputs=self.inputs,
            followed=self.followed or (self.latest.followed if self.latest else ""),
            charts=self.charts,
            # The intent wins: of what is about to be written, nobody may take the old content for granted.
            inventory=planner.union(self.owned, inventory.intended(self.planned)),
            before=tuple(sorted(before.items(), key=lambda item: item[0])),
            rendered=rendered,
            plan=self._plan_record(),
        )
        self._make_room()
        self.session.guard()
        self.session.bind(release=number)
        self._writing_since = self.session.cluster.server_time()
        self.release = replace(release, phase=lifecycle.advance(Phase.PENDING, Phase.PLANNED))
        if phase is not Phase.PLANNED:
            self.release = replace(self.release, phase=lifecycle.advance(Phase.PLANNED, phase))
        failpoint.passing(Point.INTENT_PRE)
        self._store()
        failpoint.passing(Point.INTENT_POST)
        if self.latest and self.latest.is_open:
            predecessors.close(self.session, self.latest, number)

    def _make_room(self) -> None:
        """Forget the oldest releases before another one is recorded: afterwards a run that fails or dies
        would leave one more each time, and who finds nothing to do removes none."""
        self._tidy("old release records", lambda: self.session.releases.trim(KEPT - 1))

    def sweep(self) -> None:
        """Whoever held the lock before died with it, perhaps between two parts of a record."""
        self._tidy("parts of a record that was never finished", self.session.releases.sweep)

    def _tidy(self, what: str, remove: Callable[[], None]) -> None:
        try:
            remove()
        except PipelineError as error:
            self.session.tell(Note(f"{what} could not be removed: {error.message}", warning=True))

    def _plan_record(self) -> dict[str, Any]:
        assert self.planned is not None  # noqa: S101 - asked only after the plan
        plan = self.planned.plan
        changes = {str(c.ref): _change_record(c) for c in plan.writes}
        if self.latest and self.latest.is_unresolved and self.latest.plan:
            changes = {c["object"]: c for c in self.latest.plan["changes"]} | changes
        return {"digest": plan.digest, "changes": list(changes.values())}

    def save(self, phase: Phase) -> None:
        """Advance, durably."""
        assert self.release is not None  # noqa: S101 - asked only after it is recorded
        self.release = replace(self.release, phase=lifecycle.advance(self.release.phase, phase))
        self._store()

    def succeed(self) -> None:
        """The new state stands: record what is owned now."""
        assert self.planned is not None  # noqa: S101 - asked only after the plan
        self.outcome.exit_code = ExitCode.OK
        failpoint.passing(Point.RESULT_PRE)
        self.end(Phase.SUCCEEDED, self._owned_after(self.planned))
        failpoint.passing(Point.RESULT_POST)
        self.verified = self.release

    def _owned_after(self, planned: Planned) -> tuple[InventoryEntry, ...]:
        """What is desired and there; and what should be gone, and is held by its finalizers."""
        now = {**planned.live, **self._live}
        left = {a.ref for a in self.outcome.applied if a.result == LEFT}
        still = (e for e in self.owned if e.ref in left)
        return planner.union(still, inventory.entries(planned, now))

    def fail(self) -> None:
        """What was applied stays: record what it is now, so that the next run knows what it owns.

        Not what it was to be: some of it may not have been sent, and the next run must compare.
        """
        assert self.release is not None  # noqa: S101 - asked only after it is recorded
        self.outcome.exit_code = ExitCode.TIMED_OUT if self.timed_out else ExitCode.FAILED
        self.outcome.next_step = (
            "what was applied is still there: repair and deploy again, or `pipeline rollback`"
        )
        live = self._live
        entries = (
            inventory.refreshed(e, live[e.ref]) if e.ref in live else e for e in self.release.inventory
        )
        self.end(Phase.FAILED, tuple(entries))

    def end(self, phase: Phase, owned: Sequence[InventoryEntry]) -> None:
        """The last write of a record: verdicts, times, inventory."""
        assert self.release is not None  # noqa: S101 - asked only after it is recorded
        self.release = replace(
            self.release,
            inventory=tuple(owned),
            finished=self._now(),
            seconds=round(self.session.clock.monotonic() - self._started, 3),
            result=ExitCode(self.outcome.exit_code).result,
            message=self.outcome.causes[0].message if self.outcome.causes else "",
            causes=tuple(cause_record(c) for c in self.outcome.causes),
            checks=tuple([c.name, str(c.verdict), c.reason] for c in self.outcome.checks),
            verdicts=verdicts(self.outcome),
        )
        self.save(phase)

    def interrupted(self, error: InterruptedRunError, code: CauseCode = CauseCode.INTERRUPTED) -> None:
        """Record that the run stopped here, where that is still ours to do."""
        self.outcome.exit_code = ExitCode.INTERRUPTED
        self.outcome.causes += (Cause(object=None, code=code, message=error.message, hint=error.hint),)
        self.outcome.next_step = "run the same command again: it takes over from here"
        if self.release is None or not (self.release.is_open or self.unsaved):
            return
        if self.unsaved is None:  # else it was tried for as long as makes sense
            try:
                self.session.lock.check()
                self.end(Phase.INTERRUPTED, self.release.inventory)
            except PipelineError as problem:
                self.unsaved = problem
        if self.unsaved:
            text = f"the interruption could not be recorded: {self.unsaved.message}"
            self.session.tell(Note(text, warning=True))

    def note_written(self) -> None:
        """Remember what the server made of our writes."""
        self._live.update({a.ref: a.live for a in self.outcome.applied if a.live is not None})

    def target_of(self, change: Change, live: Object | None) -> Target | None:
        """What must become ready: all that is written, and what is kept and was healthy before.

        What was broken before this deploy is said, and not held against it, unless something that is
        written needs it, or a release that was never verified has left it so; where one was broken off,
        there is no telling, and everything must become ready.
        """
        assert self.planned is not None  # noqa: S101 - asked only after the plan
        manifest = self.manifests.get(change.ref)
        if manifest is None:
            return None  # kept though nobody wants it any more
        if change.writes:
            return Target(
                manifest=manifest,
                since=self._writing_since,
                live=live,
                before=self._judged_before(change.ref),
            )
        before = self.planned.live.get(change.ref)
        if change.hook or before is None:
            return None  # a hook that does not run now
        broken_off = self.carried and self.latest and not self.latest.is_left_failed
        must = broken_off or change.ref in self._needed_ready() or self._is_unverified(change.ref)
        if must or self._was_healthy(change.ref):
            return Target(manifest=manifest, live=before)
        return None

    def targets(self) -> list[Target]:
        """Everything, as it was last read: what is looked at where nothing is written."""
        assert self.planned is not None  # noqa: S101 - asked only after the plan
        kept = [c for c in self.planned.plan.changes if c.ref in self.manifests and not c.hook]
        return [Target(manifest=self.manifests[c.ref], live=self.planned.live.get(c.ref)) for c in kept]

    def expected(self) -> list[Target]:
        """All objects that may have to be waited for."""
        return [Target(manifest=manifest) for manifest in self.manifests.values()]

    @property
    def manifests(self) -> Mapping[ObjectRef, Manifest]:
        if not self._by_ref:
            self._by_ref = {d.manifest.ref: d.manifest for d in self.plan_desired}
        return self._by_ref

    def _needed_ready(self) -> frozenset[ObjectRef]:
        assert self.planned is not None  # noqa: S101 - asked only after the plan
        if self._ready_first is None:
            self._ready_first = self.planned.plan.ready_first
        return self._ready_first

    def _is_unverified(self, ref: ObjectRef) -> bool:
        """Whether it is as a release wrote it that failed: what is deployed now has to make up for that."""
        if self.latest is None or self.latest is self.verified:
            return False
        proven = {e.ref: e.content for e in self.verified.inventory} if self.verified else {}
        wanted = next((d.content for d in self.plan_desired if d.manifest.ref == ref), "")
        return ref in {e.ref for e in self.owned} and proven.get(ref) != wanted

    def _judged_before(self, ref: ObjectRef) -> ObjectStatus | None:
        """What was broken already is not this deploy's doing, and is told so."""
        live = self.planned.live.get(ref) if self.planned else None
        if live is None:
            return None
        with suppress(ValueError):  # a rule of somebody else's that cannot be read says nothing
            return assess(live, rules=self.session.environment.rollout.rules)
        return None

    def _was_healthy(self, ref: ObjectRef) -> bool:
        assert self.planned is not None  # noqa: S101 - asked only after the plan
        rules = self.session.environment.rollout.rules
        verdict = assess(self.planned.live.get(ref), rules=rules)
        if verdict.status is Status.CURRENT:
            return True
        text = f"{ref} was {verdict.status} before this deploy and is not waited for: {verdict.message}"
        self.session.tell(Note(text, warning=True))
        return False

    def target_of_rollback(self) -> str:
        if self.verified is None:
            return "the state before this first deploy"
        return f"release {self.verified.number} ({self.verified.revision[:12]})"

    def _store(self) -> None:
        assert self.release is not None  # noqa: S101 - asked only after it is recorded
        try:
            self.session.releases.save(self.release)
        except (ApiError, UnreachableError) as error:
            self.unsaved = error
            raise
        self.outcome.release = self.release
        self.session.tell(Recorded(self.release.number, str(self.release.phase)))

    def _now(self) -> str:
        return datetime.fromtimestamp(self.session.clock.now(), UTC).isoformat(timespec="seconds")


def _has_run(change: Change) -> bool:
    """A hook that is made anew: its last run is not to be repeated by a rollback."""
    return bool(change.hook) and change.action is Action.RECREATE


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "object": str(change.ref),
        "apiVersion": change.api_version,
        "action": str(change.action),
        "wave": change.wave,
        "origin": str(change.origin or ""),
        "reversible": str(change.reversible),
        "fields": [[f.path, f.op, f.before, f.after] for f in change.fields],
    }
