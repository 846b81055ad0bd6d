"""What is deleted because nobody wants it any more, in which order, and what never is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pipeline.core.delete_order import DeleteOrder, delete_order
from pipeline.core.desired import foreign_owner, is_ours
from pipeline.core.diff import diff
from pipeline.core.versions import Versions
from pipeline.model.environment import Environment
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin, get_path
from pipeline.model.plan import Action, Change, Reversible
from pipeline.model.release import InventoryEntry

NEVER_PRUNED: Final = frozenset(
    {"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"}
)
"""Deleting one of these deletes what is in it, too: a person does that."""

PROTECTED_NAMESPACES: Final = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
"""Nothing is deleted there unless the environment names the namespace, by itself and not by ``*``."""


def _is(wanted: str) -> Callable[[str], bool]:
    return lambda value: value.strip().lower() == wanted


def _has_option(*options: str) -> Callable[[str], bool]:
    return lambda value: any(part.strip() in options for part in value.split(","))


KEPT_BY_ANNOTATION: Final[Mapping[str, Callable[[str], bool]]] = {
    "pipeline/prune": _is("keep"),
    "helm.sh/resource-policy": _is("keep"),
    "argocd.argoproj.io/sync-options": _has_option(
        "Prune=false", "Prune=confirm", "Delete=false", "Delete=confirm"
    ),
    "kapp.k14s.io/delete-strategy": _is("orphan"),
    "kustomize.toolkit.fluxcd.io/prune": _is("disabled"),
    "cli-utils.sigs.k8s.io/on-remove": _is("keep"),
    "client.lifecycle.config.k8s.io/deletion": _is("detach"),
    "kluctl.io/skip-delete": _is("true"),
}
"""Annotations of every ecosystem that protect an object from being pruned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletions:
    """What goes and, as it is live, ``objects``; and what stays though nobody wants it, with the reason.
    What is ``returning`` was somebody else's before a release took it over that did not succeed.

    ``order`` says what of it is ordered by declaration, and what could not be.
    """

    going: Sequence[Change] = ()
    staying: Sequence[Change] = ()
    returning: Sequence[Change] = ()
    objects: Sequence[Manifest] = ()
    order: DeleteOrder = field(default_factory=DeleteOrder)


def deletions(
    environment: Environment,
    wanted: frozenset[ObjectRef],
    inventory: Mapping[ObjectRef, InventoryEntry],
    live: Mapping[ObjectRef, Object],
    first: int,
    before: Mapping[ObjectRef, Object | None] | None = None,
    served: Versions | None = None,
) -> Deletions:
    """What of the inventory is not wanted: deleted from wave ``first`` on, but for what was there, and not
    ours, in the state ``before`` a release that did not succeed.

    ``served``: in which versions definitions of the same plan serve their kinds by the time of the deletion.
    """
    if not environment.prune.enabled:
        return Deletions()
    going, staying, returning = [], [], []
    for ref, entry in inventory.items():
        obj = live.get(ref)
        if ref in wanted or obj is None or _is_another(entry, obj):
            continue
        change = replace(_deletion(entry, obj, served or {}), wave=first)
        then = (before or {}).get(ref)
        if then is not None and is_ours(obj, environment) and not is_ours(then, environment):
            returning.append(_return(change, then, obj))
        elif reason := stays(entry, obj, environment):
            staying.append(replace(change, action=Action.KEEP, note=f"left in the cluster: {reason}"))
        else:
            going.append(change)
    objects = [Manifest(c.ref, live[c.ref], _origin(inventory[c.ref])) for c in going]
    found = delete_order(objects, environment.namespace)
    going = [replace(c, wave=first + found.waves[c.ref]) for c in going]
    return Deletions(going=going, staying=staying, returning=returning, objects=objects, order=found)


def _deletion(entry: InventoryEntry, obj: Object, served: Versions) -> Change:
    return Change(
        ref=entry.ref,
        action=Action.DELETE,
        api_version=_served_then(entry, served),
        reason="no longer in the repository",
        uid=str(get_path(obj, "metadata", "uid", default="")),
        reversible=Reversible.ONE_WAY if entry.ref.kind == "Job" else Reversible.EXACT,
    )


def _served_then(entry: InventoryEntry, served: Versions) -> str:
    """In another version than its own where this plan's definition serves that no more: asked for by it, the
    server would call an object absent that is still there."""
    versions = served.get(entry.ref.group_kind, ())
    return entry.api_version if not versions or entry.api_version in versions else versions[0]


def _return(deletion: Change, then: Object, now: Object) -> Change:
    """A deletion would take from others what they had before a release that never stood took it over."""
    return replace(
        deletion,
        action=Action.UPDATE,
        fields=diff(now, then),
        reason="no longer in the repository, and there before a release that did not succeed took it over",
        reversible=Reversible.EXACT,
        returns=True,
    )


def guard(
    environment: Environment, owned: int, going: Sequence[Change], wanted: Collection[ObjectRef] = ()
) -> list[Problem]:
    """Refuse to delete much at once: an empty render or a wrong path looks just like that.

    What ``wanted`` has with another hash is not lost: kustomize's generators name each content anew.
    """
    prune = environment.prune
    renewed = {_without_hash(ref) for ref in wanted}
    going = [change for change in going if (_without_hash(change.ref) or change.ref) not in renewed]
    count = len(going)
    percent = 100 * count / owned if owned else 0
    # A share says little of a handful: losing one of three objects is no accident.
    over_share = percent > prune.max_percent and count > 3
    if count <= prune.max_deletions and not over_share:
        return []
    names = ", ".join(str(c.ref) for c in going[:3]) + (", …" if count > 3 else "")
    return [
        Problem(
            code="mass-deletion",
            message=f"this would delete {count} of {owned} objects of {environment.name} ({names})",
            hint=f"if that is meant, raise prune.maxDeletions ({prune.max_deletions}) or "
            f"prune.maxPercent ({prune.max_percent}) in {environment.path}",
        )
    ]


_HASH: Final = re.compile(r"-[2456789bcdfghkmt]{10}")
"""As kustomize writes it: ten digits of a checksum, in letters that make no words (api/hasher/hasher.go)."""


def _without_hash(ref: ObjectRef) -> ObjectRef | None:
    """What a generated ConfigMap or Secret is called whatever it holds; None for all else."""
    stem, hashed = ref.name[:-11], _HASH.fullmatch(ref.name[-11:])
    return ref._replace(name=stem) if hashed and ref.kind in ("ConfigMap", "Secret") else None


def _is_another(entry: InventoryEntry, live: Object) -> bool:
    """Somebody made it anew. A run that died may have created ours without learning its uid: then our
    labels must tell."""
    return bool(entry.uid) and get_path(live, "metadata", "uid") != entry.uid


def stays(entry: InventoryEntry, live: Object, environment: Environment) -> str:
    """Why an object that nobody wants any more is not deleted; empty where it is."""
    ref = entry.ref
    if owner := foreign_owner(live, environment):
        return f"it belongs to {owner} now"
    if not is_ours(live, environment):
        return "its labels of this environment were taken off"
    if ref.kind in NEVER_PRUNED:
        return f"a {ref.kind} is never pruned"
    named = {environment.namespace, *environment.allow.namespaces}
    if ref.namespace in PROTECTED_NAMESPACES and ref.namespace not in named:
        return f"nothing is pruned in {ref.namespace} unless allow.namespaces names it"
    return kept_by_annotation(live)


def kept_by_annotation(obj: Object) -> str:
    """Which of its annotations says that the object is to stay; empty where none does."""
    annotations = get_path(obj, "metadata", "annotations")
    for key, keeps in KEPT_BY_ANNOTATION.items() if isinstance(annotations, dict) else ():
        if keeps(str(annotations.get(key, ""))):
            return f"annotation {key}: {annotations[key]}"
    return ""


def _origin(entry: InventoryEntry) -> Origin:
    """Where the object was written when it was applied last."""
    return Origin.parse(entry.origin) or Origin("the cluster")
