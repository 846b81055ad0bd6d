"""Desired, owned and live objects to a plan. Rollback and removal are plans too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from pipeline.core import change_groups, diff, generated, graph, hooks, pruning, versions
from pipeline.core.desired import FIELD_MANAGER, foreign_owner
from pipeline.core.fields import extract, owned
from pipeline.core.hooks import Hook, HookEvent, HookPhase
from pipeline.model.environment import Environment
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, Object, ObjectRef, get_path
from pipeline.model.plan import Action, Change, FieldChange, Plan, Reversible
from pipeline.model.release import InventoryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What the server would make of an object; or why it refuses (``problems``).

    ``live`` is the object as it is, where it was found only now; ``takes_over`` that other deploy tools'
    shares of it become ours; ``warnings`` what the server says of it.
    """

    result: Object | None = None
    problems: tuple[Problem, ...] = ()
    force: bool = False
    recreate: bool = False
    takes_over: bool = False
    note: str = ""
    live: Object | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """One object to be: its manifest, what is sent for it, and the digest of what was written.

    ``reviewed`` is that digest without what is made up anew; empty where nothing is.
    """

    manifest: Manifest
    body: Object
    content: str
    hook: Hook | None = None
    reviewed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is known before planning. ``dry_runs`` covers every desired object that is not unchanged.

    ``event`` says which hooks run, ``before`` the state before a release that did not succeed. ``needs`` is
    the order of ``desired`` at that event, where it was found already.
    """

    environment: Environment
    revision: str
    desired: Sequence[Desired]
    inventory: Mapping[ObjectRef, InventoryEntry] = field(default_factory=dict)
    live: Mapping[ObjectRef, Object] = field(default_factory=dict)
    dry_runs: Mapping[ObjectRef, DryRun] = field(default_factory=dict)
    before: Mapping[ObjectRef, Object | None] = field(default_factory=dict)
    event: HookEvent = HookEvent.UPGRADE
    offline: bool = False
    needs: graph.Needs | None = None


def unchanged(desired: Desired, entry: InventoryEntry | None, live: Object | None) -> bool:
    """True where neither the manifest nor the object moved since we applied it (design §6, Reads)."""
    if entry is None or live is None or entry.content != desired.content:
        return False
    if entry.uid != get_path(live, "metadata", "uid", default=""):
        return False
    generation = get_path(live, "metadata", "generation", default=0)
    if generation and entry.generation:
        return bool(generation == entry.generation)
    if entry.resource_version == get_path(live, "metadata", "resourceVersion", default=""):
        return True
    return _is_as_applied(desired, live)


def _is_as_applied(desired: Desired, live: Object) -> bool:
    """Of kinds without a generation (autoscalers, quotas) the version moves with the status, too. An apply of
    exactly what is ours already changes nothing, so it need not be tried."""
    from pipeline.core import adoption  # late: where nothing changed, mostly no version moved either

    return not adoption.tools_of(live) and extract(live, owned(live, FIELD_MANAGER)) == desired.body


def build(world: World) -> tuple[Plan | None, tuple[Problem, ...]]:
    """The plan, or every reason why there is none. Deterministic: equal worlds, equal digests."""
    needs = _needs(world)
    level = {ref: n for n, wave in enumerate(graph.waves(needs), 1) for ref in wave}
    problems: list[Problem] = []
    changes: list[Change] = []
    for desired in world.desired:
        change, found = _change(world, desired, level.get(desired.manifest.ref, 1))
        changes += [change] if change else []
        problems += found
    last = max(chain(level.values(), (0,)))
    gone = _deletions(world, last + 1)
    wanted = [desired.manifest.ref for desired in world.desired]
    problems += pruning.guard(world.environment, len(world.inventory), gone.going, wanted)
    others = bool(gone.going or gone.returning)
    changes = [*_with_hooks(world, changes, others), *gone.going, *gone.returning, *gone.staying]
    problems += _irreversible(world.environment, changes)
    if problems:
        return None, tuple(problems)
    return (
        Plan(
            environment=world.environment.name,
            revision=world.revision,
            changes=tuple(sorted(changes, key=lambda c: (c.wave, c.ref))),
            needs=needs.targets,
            gone_first=gone.order.gone_first,
            warnings=(*_warnings(world), *gone.order.warnings, *_unheld(world, changes, gone.objects)),
        ),
        (),
    )


def _needs(world: World) -> graph.Needs:
    """What must come before what; where nothing can come of the plan, there is no order to find."""
    wanted = {d.manifest.ref for d in world.desired}
    if not world.offline and not world.dry_runs and wanted.issuperset(world.inventory):
        return graph.Needs((), ())
    return world.needs or graph.needs(
        [d.manifest for d in world.desired],
        default_namespace=world.environment.namespace,
        event=world.event,
    )


def hook_phase(desired: Desired, event: HookEvent) -> HookPhase | None:
    """The phase in which the object runs as a hook; None for what is no hook, or does not run now."""
    return hooks.runs(desired.hook, event) if desired.hook else None


def runs_again(desired: Desired) -> bool:
    """Whether a hook does its work by being made anew: a Job, or a bare pod."""
    return desired.hook is not None and desired.manifest.ref.kind in ("Job", "Pod")


def _change(world: World, desired: Desired, wave: int) -> tuple[Change | None, tuple[Problem, ...]]:
    manifest = desired.manifest
    dry = world.dry_runs.get(manifest.ref)
    live = world.live.get(manifest.ref) or (dry.live if dry else None)
    base = Change(
        ref=manifest.ref,
        action=Action.KEEP,
        api_version=manifest.api_version,
        wave=wave,
        origin=manifest.origin,
        content=desired.reviewed or desired.content,
        made_up_name=generated.has_made_up_name(manifest),
        uid=str(get_path(live, "metadata", "uid", default="")),
    )
    if desired.hook:
        phase = hook_phase(desired, world.event)
        base = replace(base, hook=str(phase or "idle"), hook_delete=frozenset(map(str, desired.hook.delete)))
        if phase is None or phase is HookPhase.FAIL:
            return replace(base, body=desired.body, reason="a hook that does not run now"), ()
    if world.offline:
        return replace(base, action=Action.CREATE, body=desired.body, reason="not compared"), ()
    if live is not None and (owner := foreign_owner(live, world.environment)):
        return None, (_owned_by_another(manifest, owner),)
    if dry is None:
        return replace(base, reason="unchanged"), ()
    if dry.problems:
        return None, dry.problems
    if desired.hook and runs_again(desired):
        return _anew(base, desired, dry, live), ()
    return _compared(base, desired, live, dry, adopted=_is_new(world, manifest.ref)), ()


def _owned_by_another(manifest: Manifest, owner: str) -> Problem:
    return Problem(
        code="owned-by-another",
        message=f"{manifest.ref} belongs to {owner}",
        hint="remove it from one of the two, or take the pipeline/ labels off the live object",
        origin=manifest.origin,
        object=manifest.ref,
    )


def _anew(base: Change, desired: Desired, dry: DryRun, live: Object | None) -> Change:
    """A hook that runs: what is left of its last run goes first."""
    action = Action.CREATE if live is None else Action.RECREATE
    return replace(
        base,
        action=action,
        body=desired.body,
        reason=f"a {base.hook} hook",
        note=dry.note,
        reversible=Reversible.ONE_WAY,
    )


def _compared(base: Change, desired: Desired, live: Object | None, dry: DryRun, *, adopted: bool) -> Change:
    """The change that the server's dry run shows."""
    if live is None:
        return replace(
            base,
            action=Action.CREATE,
            body=desired.body,
            reason="new",
            note=dry.note,
            reversible=Reversible.ONE_WAY if _stays(base.ref, desired.body) else Reversible.EXACT,
        )
    # What only a schema could verify is taken to become what is sent.
    result = dry.result if dry.result is not None else _overlaid(live, desired.body)
    fields = diff.diff(live, generated.veiled(result, desired.body, desired.manifest))
    if dry.recreate:
        change = replace(
            base, action=Action.RECREATE, reversible=Reversible.RECREATE, reason="immutable field"
        )
    elif fields or adopted or dry.takes_over:
        change = replace(base, action=Action.UPDATE, reason="adopted" if adopted else "changed")
    else:
        return replace(base, reason="unchanged")
    if _is_one_way(live, dry.result, change, fields):
        change = replace(change, reversible=Reversible.ONE_WAY)
    return replace(
        change,
        fields=fields,
        body=desired.body,
        note=dry.note,
        force=dry.force,
        takes_over=dry.takes_over,
    )


def _overlaid(live: Object, body: Object) -> Object:
    """``live`` with the values of ``body``; lists as a whole, as custom resources have them by default."""
    return live | {
        key: _overlaid(live[key], value)
        if isinstance(value, dict) and isinstance(live.get(key), dict)
        else value
        for key, value in body.items()
    }


STAYING = frozenset({"PersistentVolume", "PersistentVolumeClaim", "Job"})
"""Kinds of which a rollback leaves something: the data, or what it did while it ran."""


def _stays(ref: ObjectRef, body: Object) -> bool:
    """Whether a rollback leaves something of an object that is new."""
    return ref.kind in STAYING or bool(pruning.kept_by_annotation(body))


def _is_one_way(live: Object, result: Object | None, change: Change, fields: Sequence[FieldChange]) -> bool:
    """What no rollback takes back: a volume does not shrink, a Job has run, a stored version stays."""
    match change.ref.kind:
        case "PersistentVolumeClaim":
            return any("storage" in f.path for f in fields)
        case "Job":
            return change.action is Action.RECREATE
        case "CustomResourceDefinition":
            return bool(
                _storage_versions(result) - set(get_path(live, "status", "storedVersions", default=[]))
            )
        case _:
            return False


def _storage_versions(definition: Object | None) -> set[str]:
    versions = get_path(definition, "spec", "versions", default=[])
    return {str(v.get("name")) for v in versions if isinstance(v, dict) and v.get("storage")}


def _with_hooks(world: World, changes: Sequence[Change], deletes: bool) -> list[Change]:
    """Hooks run in a deploy that does something, or where they are other ones than at the last deploy."""
    contents = {desired.manifest.ref: desired.content for desired in world.desired}
    others = deletes or any(
        c.writes and (not c.hook or _is_other(world.inventory.get(c.ref), contents[c.ref])) for c in changes
    )
    if others:
        return list(changes)
    return [
        replace(c, action=Action.KEEP, reason="a hook, and nothing changes") if c.hook else c for c in changes
    ]


def _is_other(entry: InventoryEntry | None, content: str) -> bool:
    return entry is None or entry.content != content


def _deletions(world: World, first: int) -> pruning.Deletions:
    if world.offline:
        return pruning.Deletions()
    wanted = frozenset(d.manifest.ref for d in world.desired)
    served = versions.served(d.body for d in world.desired)
    return pruning.deletions(
        world.environment, wanted, world.inventory, world.live, first, world.before, served
    )


def _unheld(world: World, changes: Sequence[Change], going: Sequence[Manifest]) -> Iterator[Problem]:
    """Rules about deletions that this plan does not follow; offline, those that none ever will."""
    if world.offline:
        yield from change_groups.never_held([d.manifest for d in world.desired])
    elif going:
        writes = {c.ref for c in changes if c.writes}
        yield from change_groups.unheld(
            [d.manifest for d in world.desired if d.manifest.ref in writes], going
        )


def _irreversible(environment: Environment, changes: Sequence[Change]) -> list[Problem]:
    """``rollback.require: exact`` refuses what a rollback could not undo."""
    if environment.rollback.require != "exact":
        return []
    return [
        Problem(
            code="not-reversible",
            message=f"{c.ref}: {c.action} is {c.reversible}, and rollback.require is exact",
            origin=c.origin,
            hint=f"change it in another way, or set rollback.require: possible in {environment.path}",
            object=c.ref,
        )
        for c in changes
        if c.writes and c.reversible is not Reversible.EXACT
    ]


def _warnings(world: World) -> Iterator[Problem]:
    """What the server says of the objects, once each."""
    for desired in world.desired:
        dry = world.dry_runs.get(desired.manifest.ref)
        for text in dict.fromkeys(dry.warnings) if dry else ():
            yield Problem(
                code="server-warning",
                message=f"{desired.manifest.ref}: {text}",
                origin=desired.manifest.origin,
                object=desired.manifest.ref,
                warning=True,
            )


def _is_new(world: World, ref: ObjectRef) -> bool:
    return ref not in world.inventory


def union(*inventories: Iterable[InventoryEntry]) -> tuple[InventoryEntry, ...]:
    """One entry an object; later inventories win."""
    merged = {entry.ref: entry for entry in chain(*inventories)}
    return tuple(merged[ref] for ref in sorted(merged))
