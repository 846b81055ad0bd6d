"""From manifests to a plan: read what is live, dry-run what may change, then decide (``core.planner``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.core import desired as core_desired
from pipeline.core import planner
from pipeline.core.planner import Desired, World
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InvalidError, PreflightError, Problem
from pipeline.model.objects import Manifest, Object, ObjectRef, digest
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.release import InventoryEntry
from pipeline.run.dry_run import DryRunner
from pipeline.run.preconditions import missing_references
from pipeline.run.session import Session, read_live


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with the live objects that it rests on."""

    plan: Plan
    live: Mapping[ObjectRef, Object]
    desired: tuple[Desired, ...]


def offline_plan(environment: Environment, manifests: Sequence[Manifest], revision: str) -> Plan:
    """The plan for an empty cluster: graph and waves, nothing compared."""
    world = World(
        environment=environment, revision=revision, desired=_desired(environment, manifests), offline=True
    )
    plan, problems = planner.build(world)
    if plan is None:
        raise InvalidError(f"plan {environment.name}: {len(problems)} problems", problems=problems)
    return plan


def make_plan(
    session: Session,
    manifests: Sequence[Manifest],
    revision: str,
    inventory: Iterable[InventoryEntry],
    *,
    namespace_is_new: bool = False,
) -> Planned:
    """Everything that the cluster would refuse is found here, before the first write.

    Where the run had to create the environment's namespace for its lock (``namespace_is_new``), the plan
    is as if it had not: it must be the one that `pipeline plan` showed before.

    Raises:
        PreflightError: with every problem at once.
    """
    world = _look(session, manifests, revision, inventory, namespace_is_new)
    plan, problems = planner.build(world)
    written = [d for d in world.desired if d.manifest.ref in world.dry_runs]
    problems += tuple(missing_references(session, world.desired, written))
    if plan is None or problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
        raise PreflightError(
            f"plan {session.environment.name}: {count}, nothing was written", problems=problems
        )
    _try_deletions(session, plan.changes)
    return Planned(plan=plan, live=world.live, desired=tuple(world.desired))


def _look(
    session: Session,
    manifests: Sequence[Manifest],
    revision: str,
    inventory: Iterable[InventoryEntry],
    namespace_is_new: bool,
) -> World:
    """Read what is live, and dry-run what may not be as it was left."""
    desired = _desired(session.environment, manifests)
    owned = {entry.ref: entry for entry in inventory}
    api_versions = {ref: e.api_version for ref, e in owned.items()}
    api_versions |= {d.manifest.ref: d.manifest.api_version for d in desired}
    live = read_live(session, api_versions)
    if namespace_is_new:
        live.pop(ObjectRef("", "Namespace", "", session.environment.namespace), None)
    desired = _with_live_replicas(desired, live)
    unsure = [
        d for d in desired if not planner.unchanged(d, owned.get(d.manifest.ref), live.get(d.manifest.ref))
    ]
    return World(
        environment=session.environment,
        revision=revision,
        desired=desired,
        inventory=owned,
        live=live,
        dry_runs=DryRunner(session, desired, live).run(unsure),
    )


def _desired(environment: Environment, manifests: Sequence[Manifest]) -> tuple[Desired, ...]:
    bodies = [(m, core_desired.body_of(m, environment)) for m in manifests]
    return tuple(Desired(manifest=m, body=body, content=digest(body)) for m, body in bodies)


def _with_live_replicas(desired: Sequence[Desired], live: Mapping[ObjectRef, Object]) -> tuple[Desired, ...]:
    scaled = core_desired.scaled_by_autoscaler(d.body for d in desired)
    return tuple(
        replace(d, body=core_desired.leave_replicas(d.body, live.get(d.manifest.ref)))
        if d.manifest.ref in scaled
        else d
        for d in desired
    )


def _try_deletions(session: Session, changes: Sequence[Change]) -> None:
    """A deletion that is not permitted must be known before the first write, too."""
    problems = []
    for change in changes:
        if change.action not in (Action.DELETE, Action.RECREATE):
            continue
        try:
            session.cluster.delete(change.ref, change.api_version, uid=change.uid, dry_run=True)
        except ApiError as error:
            message = f"delete {change.ref}: {error.message}"
            problems.append(
                Problem(code="delete-refused", message=message, hint=error.hint, object=change.ref)
            )
    if problems:
        raise PreflightError(
            f"plan {session.environment.name}: {len(problems)} deletions are refused", problems=problems
        )
