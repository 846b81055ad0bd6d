"""From manifests to a plan: read what is live, dry-run what may change, then decide (``core.planner``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.core import desired as core_desired
from pipeline.core import generated, graph, planner, versions
from pipeline.core.hooks import HookEvent, HookPhase, hook_of
from pipeline.core.planner import Desired, DryRun, World
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InvalidError, PipelineError, PreflightError, Problem
from pipeline.model.objects import Manifest, Object, ObjectRef, digest
from pipeline.model.plan import Action, Plan
from pipeline.model.release import InventoryEntry
from pipeline.run.asked import Asked
from pipeline.run.live import Glimpse, look, read_each
from pipeline.run.session import Session

if TYPE_CHECKING:
    from pipeline.run.permissions import Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with the live objects that it rests on."""

    plan: Plan
    live: Mapping[ObjectRef, Object]
    desired: tuple[Desired, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beforehand:
    """What spares a plan time. ``glimpse``: what is live, as of after the inventory was recorded; ``needs``:
    the order at the event; ``meanwhile`` is called where something has to be tried, and does not wait."""

    glimpse: Glimpse | None = None
    needs: graph.Needs | None = None
    meanwhile: Callable[[], None] = lambda: None


def offline_plan(
    environment: Environment,
    manifests: Sequence[Manifest],
    revision: str,
    event: HookEvent = HookEvent.INSTALL,
) -> Plan:
    """The plan for an empty cluster: graph and waves, nothing compared."""
    world = World(
        environment=environment,
        revision=revision,
        desired=_desired(environment, manifests),
        event=event,
        offline=True,
    )
    plan, problems = planner.build(world)
    if plan is None:
        raise InvalidError(f"plan {environment.name}: {len(problems)} problems", problems=problems)
    return plan


def check_order(environment: Environment, manifests: Sequence[Manifest], event: HookEvent) -> graph.Needs:
    """The order of the set, if it can be ordered at all. Raises InvalidError with every cycle and malformed
    order."""
    needs = graph.needs(manifests, default_namespace=environment.namespace, event=event)
    graph.waves(needs)
    return needs


def make_plan(
    session: Session,
    manifests: Sequence[Manifest],
    revision: str,
    inventory: Iterable[InventoryEntry],
    *,
    namespace_is_new: bool = False,
    event: HookEvent = HookEvent.UPGRADE,
    only_compare: bool = False,
    before: Mapping[ObjectRef, Object | None] | None = None,
    beforehand: Beforehand | None = None,
) -> Planned:
    """Everything that the cluster would refuse is found here, before the first write.

    ``only_compare``: nothing is going to be written, so rights and predictions do not matter.

    Where the run had to create the environment's namespace for its lock (``namespace_is_new``), the plan
    is as if it had not: it must be the one that `pipeline plan` showed before. ``before`` is the state before
    a release that left something else: of that nothing is deleted which was not ours.

    Raises:
        PreflightError: with every problem at once.
    """
    known, patient = beforehand or Beforehand(), not only_compare
    try:
        world, asked = _look(
            session, manifests, revision, inventory, namespace_is_new, event, known, patient=patient
        )
    except ApiError as error:
        if error.status != 403:
            raise
        raise _unreadable(session, manifests, error) from error
    world = replace(world, before=before or {}, needs=known.needs)
    plan, problems = planner.build(world)
    if plan is not None and (only_compare or not (world.dry_runs or plan.writes)):
        return Planned(plan=plan, live=_live(world), desired=tuple(world.desired))
    from pipeline.run.scrutiny import examine  # late: see there

    found = examine(session, world, _live(world), plan, problems, asked)
    if plan is None or found.problems:
        raise _refused(session, found.problems, found.missing)
    plan = replace(plan, warnings=(*plan.warnings, *found.warnings))
    return Planned(plan=plan, live=_live(world), desired=tuple(world.desired))


def _unreadable(session: Session, manifests: Sequence[Manifest], error: ApiError) -> PipelineError:
    """Who may not read something may lack more: all that is missing for the whole set, at once."""
    from pipeline.run.permissions import missing_permissions  # late, as below
    from pipeline.run.scrutiny import write_of

    writes = [write_of(d, Action.CREATE) for d in _desired(session.environment, manifests)]
    missing = missing_permissions(session, writes, session.cluster.resource, also=["get"])
    return _refused(session, missing.problems, missing) if missing.problems else error


def _refused(session: Session, problems: Sequence[Problem], missing: Missing) -> PreflightError:
    count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
    return PreflightError(
        f"plan {session.environment.name}: {count}, nothing was written",
        problems=problems,
        hint=f"grant what is missing: {missing.hint}" if missing.hint else "",
        attachment=missing.role,
    )


def _look(
    session: Session,
    manifests: Sequence[Manifest],
    revision: str,
    inventory: Iterable[InventoryEntry],
    namespace_is_new: bool,
    event: HookEvent,
    known: Beforehand,
    *,
    patient: bool,
) -> tuple[World, Asked]:
    """Read what is live, and dry-run what may not be as it was left. ``patient``: what is just being deleted
    is waited for, and what a plan is examined by asked meanwhile."""
    desired, asked = _desired(session.environment, manifests), Asked(session.cluster)
    owned = _owned(session, desired, inventory)
    api_versions = {ref: e.api_version for ref, e in owned.items()}
    api_versions |= _readable(session, desired, owned)
    seen = known.glimpse.look(session, api_versions) if known.glimpse else look(session, api_versions)
    live = seen.objects
    # Of what is owned and not seen the labels may have been taken off: it must be looked at by itself.
    live |= read_each(session, {ref: api_versions[ref] for ref in seen.unsure if ref in owned})
    own = ObjectRef("", "Namespace", "", session.environment.namespace)
    absent = frozenset({own}) if namespace_is_new else frozenset()
    for ref in absent:
        live.pop(ref, None)
    dry_runs = _await_gone(session, desired, live, event) if patient else {}
    desired = _with_live_replicas(desired, live)
    unsure = [d for d in _to_try(desired, owned, live, event) if d.manifest.ref not in dry_runs]
    if unsure:
        from pipeline.run.dry_run import DryRunner  # late, as above

        runner = DryRunner(session, desired, live, seen.unsure, absent)
        if patient:
            known.meanwhile()
            # Of a pool: a run that is told to end ends, and what then goes wrong is nobody's news.
            pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
            pool.submit(_ask_ahead, session, desired, unsure, live, asked)
            pool.shutdown(wait=False)
        dry_runs |= runner.run(unsure)
    world = World(
        environment=session.environment,
        revision=revision,
        desired=desired,
        inventory=owned,
        live=live,
        dry_runs=dry_runs,
        event=event,
    )
    return world, asked


def _ask_ahead(*of: Any) -> None:
    from pipeline.run.scrutiny import ask_ahead  # late, as above

    ask_ahead(*of)


def _readable(
    session: Session, desired: Sequence[Desired], owned: Mapping[ObjectRef, InventoryEntry]
) -> dict[ObjectRef, str]:
    """The version in which each object is read: its manifest's, or where this plan brings that version to
    the cluster, one in which the object may be there already."""
    defined = versions.served(d.body for d in desired)
    is_served: dict[tuple[str, str], bool] = {}

    def readable(api_version: str, kind: str) -> bool:
        key = api_version, kind
        if key not in is_served:
            is_served[key] = session.cluster.resource(api_version, kind) is not None
        return is_served[key]

    found = {}
    for manifest in (d.manifest for d in desired):
        ref, wanted = manifest.ref, manifest.api_version
        found[ref] = wanted
        if ref.group_kind in defined and not readable(wanted, ref.kind):
            known = [owned[ref].api_version] if ref in owned else []
            others = (v for v in (*known, *defined[ref.group_kind]) if readable(v, ref.kind))
            found[ref] = next(others, wanted)
    return found


def _owned(
    session: Session, desired: Sequence[Desired], inventory: Iterable[InventoryEntry]
) -> dict[ObjectRef, InventoryEntry]:
    """What nobody wants any more may have been applied in a version that the cluster has lost since: the
    object is there still, in the others."""
    wanted = {d.manifest.ref for d in desired}
    known: dict[tuple[str, str], str] = {}

    def served(api_version: str, kind: str) -> str:
        key = api_version, kind
        if key not in known:
            known[key] = _as_served(session, api_version, kind)
        return known[key]

    return {
        entry.ref: entry
        if entry.ref in wanted
        else replace(entry, api_version=served(entry.api_version, entry.ref.kind))
        for entry in inventory
    }


def _as_served(session: Session, api_version: str, kind: str) -> str:
    """The version in which the server has the kind now; ``api_version`` where it has it in none."""
    if session.cluster.resource(api_version, kind) is not None:
        return api_version
    group = api_version.rpartition("/")[0]
    names = (name.rpartition("/") for name in session.cluster.api_versions())
    others = (version for version, _, name in names if name == kind and version.rpartition("/")[0] == group)
    return next(others, api_version)


def _to_try(
    desired: Sequence[Desired],
    owned: Mapping[ObjectRef, InventoryEntry],
    live: Mapping[ObjectRef, Object],
    event: HookEvent,
) -> list[Desired]:
    """What is not as it was left; where that is anything, the hooks that then run, too."""
    plain = [d for d in desired if d.hook is None]
    unsure = [
        d for d in plain if not planner.unchanged(d, owned.get(d.manifest.ref), live.get(d.manifest.ref))
    ]
    running = [d for d in desired if planner.hook_phase(d, event) not in (None, HookPhase.FAIL)]
    wanted = {d.manifest.ref for d in desired}
    others = any(d.manifest.ref not in owned or owned[d.manifest.ref].content != d.content for d in running)
    if unsure or others or any(ref not in wanted and ref in live for ref in owned):
        unsure += running
    return unsure


def _await_gone(
    session: Session, desired: Sequence[Desired], live: dict[ObjectRef, Object], event: HookEvent
) -> dict[ObjectRef, DryRun]:
    """Waits for what is wanted and just being deleted, and brings ``live`` up to date; the problem of each
    that does not go. A hook that runs is made anew anyway."""
    there = ((d, live.get(d.manifest.ref)) for d in desired)
    going = [d for d, obj in there if obj is not None and "deletionTimestamp" in obj["metadata"]]
    going = [d for d in going if planner.hook_phase(d, event) is None]
    if not going:
        return {}
    from pipeline.run.going import await_gone  # late, as above

    return await_gone(session, [d.manifest for d in going], live)


def _live(world: World) -> dict[ObjectRef, Object]:
    late = {ref: dry.live for ref, dry in world.dry_runs.items() if dry.live is not None}
    return {**late, **world.live}


def _desired(environment: Environment, manifests: Sequence[Manifest]) -> tuple[Desired, ...]:
    return tuple(_one_desired(m, core_desired.body_of(m, environment)) for m in manifests)


def _one_desired(manifest: Manifest, body: Object) -> Desired:
    content = digest(body)
    reviewed = digest(generated.reviewed(body, manifest)) if manifest.generated else ""
    return Desired(manifest=manifest, body=body, content=content, hook=hook_of(manifest), reviewed=reviewed)


def _with_live_replicas(desired: Sequence[Desired], live: Mapping[ObjectRef, Object]) -> tuple[Desired, ...]:
    scaled = core_desired.scaled_by_autoscaler(d.body for d in desired)
    return tuple(
        replace(d, body=core_desired.leave_replicas(d.body, live.get(d.manifest.ref)))
        if d.manifest.ref in scaled or core_desired.is_scaled(live.get(d.manifest.ref))
        else d
        for d in desired
    )
