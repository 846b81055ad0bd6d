"""Puts back the state before the first write, waits until it is healthy, and compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from pipeline.core import adoption, fields, versions
from pipeline.core import rollback as core_rollback
from pipeline.core.delete_order import still_there
from pipeline.core.desired import is_ours
from pipeline.core.pruning import NEVER_PRUNED
from pipeline.core.readiness import assess
from pipeline.core.rollback import Before
from pipeline.core.versions import Versions
from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError
from pipeline.model.events import Note, ObjectApplied, RollingBack
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.release import Difference, InventoryEntry, Release
from pipeline.model.status import Status
from pipeline.run import send
from pipeline.run.inventory import refreshed
from pipeline.run.live import read_live
from pipeline.run.session import Session, in_parallel
from pipeline.run.targets import Target
from pipeline.run.watch import watch_rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """How the way back went. ``problems`` are writes that failed; ``inventory`` is what is owned now."""

    differences: tuple[Difference, ...]
    problems: tuple[str, ...] = ()
    unhealthy: tuple[str, ...] = ()
    kept: tuple[ObjectRef, ...] = ()
    inventory: tuple[InventoryEntry, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        return not (self.differences or self.problems or self.unhealthy)


def roll_back(
    session: Session, release: Release, inventory: Sequence[InventoryEntry], target: str
) -> RolledBack:
    """Undo ``release``: every write that it made or may have made, from its record.

    ``inventory`` is what was owned before it. Raises InterruptedRunError; all else is in the result.
    """
    before = _before(release)
    live = _read(session, before)
    plan = core_rollback.plan_back(before, live, environment=session.environment, revision=release.revision)
    session.tell(RollingBack(target, plan))
    for warning in plan.warnings:
        session.tell(Note(str(warning), warning=True))
    problems = _write(session, plan, before)
    kept = tuple(c.ref for c in plan.changes if c.action is Action.KEEP)
    unhealthy = () if problems else _gate(session, plan, before)
    now = _read(session, before)
    differences = core_rollback.residue(before, now, frozenset(kept))
    unlike = {d.ref for d in differences}
    return RolledBack(
        differences=differences,
        problems=problems,
        unhealthy=unhealthy,
        kept=kept,
        inventory=tuple(
            replace(entry, content="") if entry.ref in unlike else entry
            for entry in _owned_now(release, inventory, now, kept)
        ),
    )


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


def _write(session: Session, plan: Plan, before: Before) -> tuple[str, ...]:
    """Wave by wave; what fails is reported and the rest goes on: each object that is back counts.

    But for what by a declared order is deleted after something that is still there.
    """
    problems: list[str] = []
    still: set[ObjectRef] = set()

    def undo(change: Change) -> ObjectApplied:
        return _undo(session, change, before, still_there(change.ref, plan.gone_first, still))

    for _, wave in groupby(plan.writes, key=lambda c: c.wave):
        for event in in_parallel(session, undo, list(wave)):
            session.tell(event)
            if event.message:
                problems.append(f"{event.action} {event.ref}: {event.message}")
                still.add(event.ref)
    return tuple(problems)


def _undo(session: Session, change: Change, before: Before, awaited: ObjectRef | None) -> ObjectApplied:
    started = session.clock.monotonic()
    problem = ""
    session.guard()
    try:
        if awaited:
            problem = send.not_yet(awaited)
        elif change.action is Action.DELETE:
            session.cluster.delete(change.ref, change.api_version, uid=change.uid)
            send.wait_gone(session, change)
        elif change.action is Action.CREATE:
            _bring_back(session, change, before.objects[change.ref] or {})
        else:
            _restore(session, change, before.objects[change.ref] or {})
    except InterruptedRunError:
        raise
    except PipelineError as error:
        problem = error.message
    seconds = session.clock.monotonic() - started
    result = "failed" if problem else ("deleted" if change.action is Action.DELETE else "restored")
    return ObjectApplied(change.ref, change.action, change.wave, result, seconds, problem)


def _restore(session: Session, change: Change, then: Object) -> None:
    """Apply the old fields; where the server says that a field is immutable, replace the object."""
    assert change.body is not None  # noqa: S101 - updates have one
    try:
        session.cluster.apply(change.body, force=True, strict=False)
        if adoption.tools_of(then):
            send.give_back(session, change, then)
    except ApiError as error:
        if not error.is_about_immutability or change.ref.kind in NEVER_PRUNED:
            raise
        send.delete_to_replace(session, change)
        send.create(session, change, core_rollback.creatable(fields.clean(then)))
        send.give_back(session, change, then)


def _bring_back(session: Session, change: Change, then: Object) -> None:
    """Create a deleted object again, whole."""
    assert change.body is not None  # noqa: S101 - creations have one
    send.wait_gone(session, change)
    session.guard()
    send.create(session, change, change.body)
    send.give_back(session, change, then)


def _gate(session: Session, plan: Plan, before: Before) -> tuple[str, ...]:
    """Wait until what is back is as healthy as it was; what was not healthy before is not waited for."""
    targets = []
    since = session.cluster.server_time()
    for change in plan.writes:
        then = before.objects[change.ref]
        if then is None or assess(then).status is not Status.CURRENT:
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
    release: Release,
    inventory: Sequence[InventoryEntry],
    now: Mapping[ObjectRef, Object | None],
    kept: Sequence[ObjectRef],
) -> tuple[InventoryEntry, ...]:
    owned = {e.ref: e for e in inventory}
    for entry in release.inventory:
        if entry.ref in kept:
            owned.setdefault(entry.ref, replace(entry, content=""))
    for ref, obj in now.items():
        if ref in owned and obj is not None:
            owned[ref] = refreshed(owned[ref], obj)
        elif ref in owned:
            del owned[ref]
    return tuple(owned[ref] for ref in sorted(owned))
