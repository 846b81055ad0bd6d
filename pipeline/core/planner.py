"""Desired, owned and live objects to a plan. Rollback and removal are plans too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from pipeline.core import diff, graph
from pipeline.core.desired import foreign_owner, is_ours
from pipeline.model.environment import Environment
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, Object, ObjectRef, get_path
from pipeline.model.plan import Action, Change, Plan, Reversible
from pipeline.model.release import InventoryEntry

KEPT_BY_ANNOTATION = {
    "pipeline/prune": "keep",
    "helm.sh/resource-policy": "keep",
    "argocd.argoproj.io/sync-options": "Prune=false",
}
"""Annotations that protect an object from being pruned, with the value that does."""

NEVER_PRUNED = frozenset(
    {"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"}
)
"""Deleting one of these deletes what is in it, too: a person does that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What the server would make of an object; or why it refuses (``problem``)."""

    result: Object | None = None
    problem: Problem | None = None
    force: bool = False
    recreate: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """One object to be: its manifest, what is sent for it, and the digest of what was written."""

    manifest: Manifest
    body: Object
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is known before planning. ``dry_runs`` covers every desired object that is not unchanged."""

    environment: Environment
    revision: str
    desired: Sequence[Desired]
    inventory: Mapping[ObjectRef, InventoryEntry] = field(default_factory=dict)
    live: Mapping[ObjectRef, Object] = field(default_factory=dict)
    dry_runs: Mapping[ObjectRef, DryRun] = field(default_factory=dict)
    offline: bool = False


def unchanged(desired: Desired, entry: InventoryEntry | None, live: Object | None) -> bool:
    """True where neither the manifest nor the object moved since we applied it (design §6, Reads)."""
    if entry is None or live is None or entry.content != desired.content:
        return False
    if entry.uid != get_path(live, "metadata", "uid", default=""):
        return False
    generation = get_path(live, "metadata", "generation", default=0)
    if generation and entry.generation:
        return bool(generation == entry.generation)
    return bool(entry.resource_version == get_path(live, "metadata", "resourceVersion", default=""))


def build(world: World) -> tuple[Plan | None, tuple[Problem, ...]]:
    """The plan, or every reason why there is none. Deterministic: equal worlds, equal digests."""
    needs = graph.needs([d.manifest for d in world.desired], default_namespace=world.environment.namespace)
    level = {ref: n for n, wave in enumerate(graph.waves(needs), 1) for ref in wave}
    problems: list[Problem] = []
    changes: list[Change] = []
    for desired in world.desired:
        change, problem = _change(world, desired, level.get(desired.manifest.ref, 1))
        changes += [change] if change else []
        problems += [problem] if problem else []
    last = max(chain(level.values(), (0,)))
    deletions, notes = _deletions(world, last + 1)
    problems += _guard(world, deletions)
    if problems:
        return None, tuple(problems)
    changes = sorted([*changes, *deletions, *notes], key=lambda c: (c.wave, c.ref))
    return (
        Plan(
            environment=world.environment.name,
            revision=world.revision,
            changes=tuple(changes),
            needs=needs.targets,
            ready_first=frozenset(e.target for e in needs.edges if e.strength == "ready"),
        ),
        (),
    )


def _change(world: World, desired: Desired, wave: int) -> tuple[Change | None, Problem | None]:
    manifest = desired.manifest
    live = world.live.get(manifest.ref)
    base = Change(
        ref=manifest.ref,
        action=Action.KEEP,
        api_version=manifest.api_version,
        wave=wave,
        origin=manifest.origin,
        content=desired.content,
        uid=str(get_path(live, "metadata", "uid", default="")),
    )
    if world.offline:
        return replace(base, action=Action.CREATE, body=desired.body, reason="not compared"), None
    if live is not None and (owner := foreign_owner(live, world.environment)):
        return None, Problem(
            code="owned-by-another",
            message=f"{manifest.ref} belongs to {owner}",
            hint="remove it from one of the two, or take the pipeline/ labels off the live object",
            origin=manifest.origin,
            object=manifest.ref,
        )
    if unchanged(desired, world.inventory.get(manifest.ref), live):
        return replace(base, reason="unchanged"), None
    return _compared(base, desired, live, world.dry_runs[manifest.ref], adopted=_is_new(world, manifest.ref))


def _compared(
    base: Change, desired: Desired, live: Object | None, dry: DryRun, *, adopted: bool
) -> tuple[Change | None, Problem | None]:
    """The change that the server's dry run shows."""
    if dry.problem is not None:
        return None, dry.problem
    if live is None:
        return replace(
            base,
            action=Action.CREATE,
            body=desired.body,
            reason="new",
            note=dry.note,
            reversible=Reversible.ONE_WAY if base.ref.kind in NEVER_PRUNED else Reversible.EXACT,
        ), None
    fields = diff.diff(live, dry.result)
    if dry.recreate:
        change = replace(
            base, action=Action.RECREATE, reversible=Reversible.RECREATE, reason="immutable field"
        )
    elif fields or adopted:
        change = replace(base, action=Action.UPDATE, reason="adopted" if adopted else "changed")
    else:
        return replace(base, reason="unchanged"), None
    if base.ref.kind == "PersistentVolumeClaim" and any("storage" in f.path for f in fields):
        change = replace(change, reversible=Reversible.ONE_WAY)
    return replace(change, fields=fields, body=desired.body, note=dry.note, force=dry.force), None


def _is_new(world: World, ref: ObjectRef) -> bool:
    return ref not in world.inventory


def _deletions(world: World, wave: int) -> tuple[list[Change], list[Change]]:
    """(objects to delete, objects kept though nobody wants them any more), reverse order of creation."""
    if world.offline or not world.environment.prune.enabled:
        return [], []
    wanted = {d.manifest.ref for d in world.desired}
    deletions, kept = [], []
    for ref, entry in world.inventory.items():
        live = world.live.get(ref)
        if ref in wanted or live is None or not _same(entry, live, world.environment):
            continue
        change = Change(
            ref=ref,
            action=Action.DELETE,
            api_version=entry.api_version,
            wave=wave,
            reason="no longer in the repository",
            uid=str(get_path(live, "metadata", "uid", default="")),
        )
        if reason := _protected(ref, live):
            kept.append(replace(change, action=Action.KEEP, note=f"left in the cluster: {reason}"))
        else:
            deletions.append(change)
    return deletions, kept


def _same(entry: InventoryEntry, live: Object, environment: Environment) -> bool:
    """Whether the live object is the one of the inventory.

    A run that died may have created it without learning its uid; then our labels must tell.
    """
    if entry.uid:
        return bool(get_path(live, "metadata", "uid") == entry.uid)
    return is_ours(live, environment)


def _protected(ref: ObjectRef, live: Object) -> str:
    if ref.kind in NEVER_PRUNED:
        return f"a {ref.kind} is never pruned"
    annotations = get_path(live, "metadata", "annotations", default={})
    for key, value in KEPT_BY_ANNOTATION.items():
        if value in [v.strip() for v in str(annotations.get(key, "")).split(",")]:
            return f"annotation {key}: {value}"
    return ""


def _guard(world: World, deletions: Sequence[Change]) -> list[Problem]:
    """Refuse to delete much at once: an empty render or a wrong path looks just like that."""
    prune = world.environment.prune
    owned = len(world.inventory)
    count = len(deletions)
    percent = 100 * count / owned if owned else 0
    # A share says little of a handful: losing one of three objects is no accident.
    over_share = percent > prune.max_percent and count > 3
    if count <= prune.max_deletions and not over_share:
        return []
    names = ", ".join(str(c.ref) for c in deletions[:3]) + (", …" if count > 3 else "")
    return [
        Problem(
            code="mass-deletion",
            message=f"this would delete {count} of {owned} objects of {world.environment.name} ({names})",
            hint=f"if that is meant, raise prune.maxDeletions ({prune.max_deletions}) or "
            f"prune.maxPercent ({prune.max_percent}) in {world.environment.path}",
        )
    ]


def union(*inventories: Iterable[InventoryEntry]) -> tuple[InventoryEntry, ...]:
    """One entry an object; later inventories win."""
    merged = {entry.ref: entry for entry in chain(*inventories)}
    return tuple(merged[ref] for ref in sorted(merged))
