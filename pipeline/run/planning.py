"""From manifests to a plan: read what is live, dry-run what may change, then decide (``core.planner``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.core import desired as core_desired
from pipeline.core import generated, graph, planner, versions
from pipeline.core.hooks import HookEvent, HookPhase, hook_of
from pipeline.core.planner import Desired, DryRun, World
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InvalidError, PipelineError, PreflightError, Problem
from pipeline.model.objects import Manifest, Object, ObjectRef, digest
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.release import InventoryEntry
from pipeline.run.live import look, read_each
from pipeline.run.parallel import in_parallel
from pipeline.run.session import Session

if TYPE_CHECKING:
    from pipeline.run.permissions import Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with the live objects that it rests on."""

    plan: Plan
    live: Mapping[ObjectRef, Object]
    desired: tuple[Desired, ...]


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


def check_order(environment: Environment, manifests: Sequence[Manifest], event: HookEvent) -> None:
    """Whether the set can be ordered at all. Raises InvalidError with every cycle and malformed order."""
    graph.waves(graph.needs(manifests, default_namespace=environment.namespace, event=event))


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
) -> Planned:
    """Everything that the cluster would refuse is found here, before the first write.

    ``only_compare``: nothing is going to be written, so rights and predictions do not matter.

    Where the run had to create the environment's namespace for its lock (``namespace_is_new``), the plan
    is as if it had not: it must be the one that `pipeline plan` showed before. ``before`` is the state before
    a release that left something else: of that nothing is deleted which was not ours.

    Raises:
        PreflightError: with every problem at once.
    """
    try:
        world = _look(
            session, manifests, revision, inventory, namespace_is_new, event, patient=not only_compare
        )
    except ApiError as error:
        if error.status != 403:
            raise
        raise _unreadable(session, manifests, error) from error
    world = replace(world, before=before or {})
    plan, problems = planner.build(world)
    if plan is not None and (only_compare or not (world.dry_runs or plan.writes)):
        return Planned(plan=plan, live=_live(world), desired=tuple(world.desired))
    return _scrutinised(session, world, plan, problems)


def _unreadable(session: Session, manifests: Sequence[Manifest], error: ApiError) -> PipelineError:
    """Who may not read something may lack more: all that is missing for the whole set, at once."""
    from pipeline.run.permissions import missing_permissions  # late, as below

    writes = [_write_of(d, Action.CREATE) for d in _desired(session.environment, manifests)]
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


def _scrutinised(session: Session, world: World, plan: Plan | None, problems: tuple[Problem, ...]) -> Planned:
    """Rights, references, and what will go wrong though the server accepts it."""
    # Late: most deploys change nothing, and need not load any of this (40 ms of 600).
    from pipeline.run.preconditions import missing_references
    from pipeline.run.predict import predictions

    written = [d for d in world.desired if d.manifest.ref in world.dry_runs]
    # Each is a few questions to the server, and none rests on another's answers.
    with ThreadPoolExecutor(2, thread_name_prefix="scrutiny") as pool:
        rights = pool.submit(_permissions, session, world, plan)
        dangling = pool.submit(missing_references, session, world.desired, written)
        foreseen = predictions(session, world.desired, written, _live(world))
        missing, unmet = rights.result(), tuple(dangling.result())
    problems = tuple(p for p in problems if not _is_told_by(missing, p))
    problems = _once(problems, tuple(p for p in foreseen if not p.warning))
    problems += missing.problems + unmet
    if plan is not None and not problems:
        problems += tuple(_refused_deletions(session, plan.changes))
    if plan is None or problems:
        raise _refused(session, problems, missing)
    warnings = (*plan.warnings, *(p for p in foreseen if p.warning))
    return Planned(plan=replace(plan, warnings=warnings), live=_live(world), desired=tuple(world.desired))


def _once(refused: tuple[Problem, ...], foreseen: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """What the server refused is not told a second time; of definitions ours says what to do instead."""
    explained = {p.object for p in foreseen if p.code.startswith("crd-")}
    told = {p.object for p in refused}
    kept = tuple(p for p in refused if p.object not in explained)
    return kept + tuple(p for p in foreseen if p.object in explained or p.object not in told)


def _look(
    session: Session,
    manifests: Sequence[Manifest],
    revision: str,
    inventory: Iterable[InventoryEntry],
    namespace_is_new: bool,
    event: HookEvent,
    *,
    patient: bool,
) -> World:
    """Read what is live, and dry-run what may not be as it was left. ``patient``: what is just being deleted
    is waited for."""
    desired = _desired(session.environment, manifests)
    owned = _owned(session, desired, inventory)
    api_versions = {ref: e.api_version for ref, e in owned.items()}
    api_versions |= _readable(session, desired, owned)
    seen = look(session, api_versions)
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

        dry_runs |= DryRunner(session, desired, live, seen.unsure, absent).run(unsure)
    return World(
        environment=session.environment,
        revision=revision,
        desired=desired,
        inventory=owned,
        live=live,
        dry_runs=dry_runs,
        event=event,
    )


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


def _permissions(session: Session, world: World, plan: Plan | None) -> Missing:
    """What the writes need and we may not do; where there is no plan, of everything that was tried."""
    from pipeline.run.permissions import Missing, missing_permissions  # late, as above

    if plan is not None:
        writes: Sequence[Change] = plan.writes
    else:
        writes = [
            _write_of(d, Action.UPDATE if d.manifest.ref in world.live else Action.CREATE)
            for d in world.desired
            if d.manifest.ref in world.dry_runs
        ]
    return missing_permissions(session, writes, session.cluster.resource) if writes else Missing()


def _write_of(desired: Desired, action: Action) -> Change:
    manifest = desired.manifest
    return Change(
        ref=manifest.ref,
        action=action,
        api_version=manifest.api_version,
        origin=manifest.origin,
        body=desired.body,
    )


def _is_told_by(missing: Missing, problem: Problem) -> bool:
    """A dry run that was refused for want of a right, which is told once for the kind and namespace."""
    if problem.object is None or "cannot" not in problem.message or "resource" not in problem.message:
        return False
    told = {(a.group, a.namespace) for a in missing.accesses}
    return (problem.object.group, problem.object.namespace) in told


def _refused_deletions(session: Session, changes: Sequence[Change]) -> Iterable[Problem]:
    """A deletion that is not permitted must be known before the first write, too."""

    def ask(change: Change) -> Problem | None:
        session.stay()
        try:
            session.cluster.delete(change.ref, change.api_version, uid=change.uid, dry_run=True)
        except ApiError as error:
            message = f"delete {change.ref}: {error.message}"
            return Problem(code="delete-refused", message=message, hint=error.hint, object=change.ref)
        return None

    going = [c for c in changes if c.action in (Action.DELETE, Action.RECREATE)]
    return [problem for problem in in_parallel(session, ask, going) if problem]
