"""Puts back the state before the first write, waits until it is healthy, and compares."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from pipeline import failpoint
from pipeline.core import adoption, attainable, fields, occupants, versions
from pipeline.core import rollback as core_rollback
from pipeline.core.delete_order import still_there
from pipeline.core.desired import is_ours
from pipeline.core.occupants import Contents
from pipeline.core.pruning import NEVER_PRUNED
from pipeline.core.readiness import assess
from pipeline.core.rollback import Before
from pipeline.core.versions import Versions
from pipeline.failpoint import Point
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError
from pipeline.model.events import Note, ObjectApplied, RollingBack
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin
from pipeline.model.plan import Action, Change, Plan, Reversible
from pipeline.model.release import LEFT, Applied, Difference, InventoryEntry, Release
from pipeline.model.status import Status
from pipeline.run import send
from pipeline.run.inventory import refreshed
from pipeline.run.live import read_live
from pipeline.run.occupants import contents
from pipeline.run.parallel import in_parallel
from pipeline.run.session import Session
from pipeline.run.targets import Target
from pipeline.run.watch import watch_rollout

_SETTLE_S = 10.0
"""How long the garbage collector may take for what controllers made of objects that are gone. Only that which
was made after the plan for the way back cannot be told from what others made."""
_SETTLE_POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """How the way back went. ``problems`` are writes that failed; ``kept`` was created and is left, each
    with the reason; ``inventory`` is what is owned now."""

    differences: tuple[Difference, ...]
    problems: tuple[str, ...] = ()
    unhealthy: tuple[str, ...] = ()
    kept: Mapping[ObjectRef, str] = field(default_factory=dict)
    inventory: tuple[InventoryEntry, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether everything is as it was, but for what had to be expected."""
        return not (any(not d.reason for d in self.differences) or self.problems or self.unhealthy)


def roll_back(
    session: Session, release: Release, inventory: Sequence[InventoryEntry], target: str
) -> RolledBack:
    """Undo ``release``: every write that it made or may have made, from its record.

    ``inventory`` is what was owned before it. Raises InterruptedRunError; all else is in the result.
    """
    before = _before(release)
    live = _read(session, before)
    inside = contents(session, before.created(live))
    plan = core_rollback.plan_back(
        before, live, inside, environment=session.environment, revision=release.revision
    )
    session.tell(RollingBack(target, plan))
    for warning in plan.warnings:
        session.tell(Note(str(warning), warning=True))
    way = _WayBack(session, before, plan, live, inside)
    way.go()
    failpoint.passing(Point.ROLLBACK_POST)
    unhealthy = () if way.problems else _gate(session, plan, before, way.yielded & before.one_way)
    now = _read(session, before)
    differences = core_rollback.residue(before, now, way.kept, way.yielded)
    unlike = {d.ref for d in differences}
    return RolledBack(
        differences=differences,
        problems=way.problems,
        unhealthy=unhealthy,
        kept=way.kept,
        inventory=tuple(
            replace(entry, content="") if entry.ref in unlike else entry
            for entry in _owned_now(session.environment, release, inventory, now, way.kept)
        ),
    )


def give_back(
    session: Session, release: Release, changes: Sequence[Change]
) -> tuple[tuple[Applied, ...], Mapping[ObjectRef, str]]:
    """Undo ``release`` for the objects of ``changes`` alone, which were there and not ours before it.

    Returns what was done, and the problem of each that could not be had back whole.
    """
    known, refs = _before(release), {c.ref for c in changes}
    before = replace(known, objects={r: then for r, then in known.objects.items() if r in refs})
    live = _read(session, before)
    plan = core_rollback.plan_back(before, live, environment=session.environment, revision=release.revision)
    way = _WayBack(session, before, plan, live, {})
    way.go()
    unlike = core_rollback.residue(before, _read(session, before), way.kept, way.yielded)
    problems = {d.ref: f"{d.path} is not as it was before release {release.number}" for d in unlike}
    applied = (Applied(ref=ref, result="failed" if ref in problems else "applied") for ref in sorted(refs))
    return tuple(applied), problems | way.failed


def _before(release: Release) -> Before:
    plan, objects = release.plan, dict(release.before)
    served = versions.served(then for then in objects.values() if then is not None)
    return Before(
        objects=objects,
        api_versions={
            ref: _version_then(objects.get(ref), ref, c["apiVersion"], served)
            for c in plan["changes"]
            for ref in (ObjectRef.parse(c["object"]),)
        },
        order={ObjectRef.parse(c["object"]): c["wave"] for c in plan["changes"]},
        origins={
            ObjectRef.parse(c["object"]): origin
            for c in plan["changes"]
            if (origin := Origin.parse(c["origin"]))
        },
        one_way=frozenset(
            ObjectRef.parse(c["object"]) for c in plan["changes"] if c.get("reversible") == Reversible.ONE_WAY
        ),
    )


def _version_then(then: Object | None, ref: ObjectRef, written: str, served: Versions) -> str:
    """One in which the object can be read once its definition, too, is as it was."""
    if then is not None:
        return str(then.get("apiVersion") or written)
    known = served.get(ref.group_kind) or (written,)
    return written if written in known else known[0]


def _read(session: Session, before: Before) -> Mapping[ObjectRef, Object | None]:
    found = read_live(session, {ref: before.api_versions[ref] for ref in before.objects})
    return {ref: found.get(ref) for ref in before.objects}


class _WayBack:
    """Carries a plan back out. What fails is noted and the rest goes on: each object that is back counts."""

    def __init__(
        self,
        session: Session,
        before: Before,
        plan: Plan,
        live: Mapping[ObjectRef, Object | None],
        inside: Contents,
    ) -> None:
        self._session, self._before, self._plan, self._live = session, before, plan, live
        self._going = frozenset(c.ref for c in plan.changes if c.action is Action.DELETE)
        self._made = occupants.made((obj for ref in self._going if (obj := live.get(ref))), inside)
        self.kept = {c.ref: c.note for c in plan.changes if c.action is Action.KEEP}
        self.failed: dict[ObjectRef, str] = {}
        self.yielded: set[ObjectRef] = set()  # objects of which the server did not take all back
        self._still: set[ObjectRef] = set()

    def go(self) -> None:
        """Wave by wave; but not what by a declared order is deleted after something that is still there."""
        for _, wave in groupby(self._plan.writes, key=lambda c: c.wave):
            for event in in_parallel(self._session, self._undo, list(wave)):
                self._session.tell(event)
                if event.result == "failed":
                    self.failed[event.ref] = f"{event.action} {event.ref}: {event.message}"
                    self._still.add(event.ref)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self.failed.values())

    def _undo(self, change: Change) -> ObjectApplied:
        started = self._session.clock.monotonic()
        self._session.guard()
        failpoint.passing(Point.ROLLBACK_OBJECT)
        try:
            result, message = self._done(change)
        except InterruptedRunError:
            raise
        except PipelineError as error:
            result, message = "failed", error.message
        seconds = self._session.clock.monotonic() - started
        return ObjectApplied(change.ref, change.action, change.wave, result, seconds, message)

    def _done(self, change: Change) -> tuple[str, str]:
        """(result, what is to be said of it)."""
        if awaited := self._awaited(change):
            return "failed", send.not_yet(awaited)
        if change.action is Action.DELETE:
            if why := self._occupied(change):
                self.kept[change.ref] = why
                return LEFT, why
            self._session.cluster.delete(change.ref, change.api_version, uid=change.uid)
            send.wait_gone(self._session, change)
            return "deleted", ""
        then = self._before.objects[change.ref] or {}
        (self._bring_back if change.action is Action.CREATE else self._restore)(change, then)
        return "restored", ""

    def _awaited(self, change: Change) -> ObjectRef | None:
        """What is still there and must be gone before: by a declared order, or since it is in there."""
        if awaited := still_there(change.ref, self._plan.gone_first, self._still):
            return awaited
        if change.action is not Action.DELETE:
            return None
        obj = self._live.get(change.ref) or {}
        return next((r for r in sorted(self._still) if occupants.is_inside(r, change.ref, obj)), None)

    def _occupied(self, change: Change) -> str:
        """Why the object is left after all: since the plan was made something may have come to be in it."""
        ref = change.ref
        if ref.group_kind in occupants.VOLUMES:
            now = self._session.cluster.get(ref, change.api_version)
            return occupants.kept_for_itself(ref, now, self._session.environment) if now else ""
        until = self._session.clock.monotonic() + _SETTLE_S
        while why := self._held(ref):
            if self._session.clock.monotonic() > until:
                break
            self._session.clock.sleep(_SETTLE_POLL_S)
        return why

    def _held(self, ref: ObjectRef) -> str:
        inside = contents(self._session, {ref: self._live.get(ref) or {}})
        self._made = occupants.made((), inside, self._made)
        return occupants.held(inside.get(ref, ()), self._going, self._made)

    def _restore(self, change: Change, then: Object) -> None:
        """Apply the old fields; where the server says that a field is immutable, replace the object."""
        assert change.body is not None  # noqa: S101 - updates have one
        session, now = self._session, self._live.get(change.ref) or {}
        try:
            self._as_far_as_possible(
                change, change.body, lambda body: send.apply(session, change, body, force=True, strict=False)
            )
            if adoption.tools_of(then) or attainable.lost_allocated(then, now):
                send.give_back(session, change, then)
        except ApiError as error:
            if not error.is_about_immutability or change.ref.kind in NEVER_PRUNED:
                raise
            send.delete_to_replace(session, change)
            self._create(change, core_rollback.creatable(fields.clean(then)))
            send.give_back(session, change, then)

    def _bring_back(self, change: Change, then: Object) -> None:
        """Create a deleted object again, whole."""
        assert change.body is not None  # noqa: S101 - creations have one
        send.wait_gone(self._session, change)
        self._session.guard()
        self._create(change, change.body)
        send.give_back(self._session, change, then)

    def _create(self, change: Change, body: Object) -> None:
        self._as_far_as_possible(change, body, lambda less: send.create(self._session, change, less))

    def _as_far_as_possible(self, change: Change, body: Object, write: Callable[[Object], object]) -> None:
        """Write; of what the server refuses, what can be had: once for each field that it may name."""
        while True:
            try:
                write(body)
                return
            except ApiError as error:
                if error.status != 422 or error.is_about_immutability:
                    raise
                refused = [name for _, name, _ in error.causes]
                one_way = change.ref in self._before.one_way
                less = attainable.attainable(body, self._live.get(change.ref), refused, one_way=one_way)
                if less is None:
                    raise
                body = less
                self.yielded.add(change.ref)
                self._session.guard()


def _gate(session: Session, plan: Plan, before: Before, changed: Container[ObjectRef]) -> tuple[str, ...]:
    """Wait until what is back is as healthy as it was. What was not healthy before is not waited for, nor is
    what is ``changed`` for good: a volume that grows needs a node or a driver, and as long as it likes."""
    targets = []
    since = session.cluster.server_time()
    for change in plan.writes:
        then = before.objects[change.ref]
        if then is None or change.ref in changed or assess(then).status is not Status.CURRENT:
            continue
        manifest = Manifest(change.ref, then, Origin("the state before the deploy"))
        labelled = is_ours(then, session.environment)
        targets.append(Target(manifest=manifest, since=since, labelled=labelled))
    result = watch_rollout(session, targets, budget_s=session.environment.deploy.timeout_s)
    if result.ok:
        return ()
    session.tell(Note("the restored objects did not become ready", warning=True))
    return tuple(f"{c.object}: {c.message}" if c.object else c.message for c in result.causes)


def _owned_now(
    environment: Environment,
    release: Release,
    inventory: Sequence[InventoryEntry],
    now: Mapping[ObjectRef, Object | None],
    kept: Container[ObjectRef],
) -> tuple[InventoryEntry, ...]:
    """What was owned before and is there; and what the release made and is left, on purpose or since its
    deletion failed: the next run has to know of it."""
    owned = {e.ref: e for e in inventory}
    for entry in release.inventory:
        there = now.get(entry.ref)
        if entry.ref in kept or (there is not None and is_ours(there, environment)):
            owned.setdefault(entry.ref, replace(entry, content=""))
    for ref, obj in now.items():
        if ref in owned and obj is not None:
            owned[ref] = refreshed(owned[ref], obj)
        elif ref in owned:
            del owned[ref]
    return tuple(owned[ref] for ref in sorted(owned))
