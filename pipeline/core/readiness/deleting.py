"""What an object that is being deleted still waits for."""

from __future__ import annotations

from pipeline.core.reading import items, mapping, text
from pipeline.model.objects import Json, Object, get_path
from pipeline.model.status import ObjectStatus, Status

_WHEN: dict[str, str] = {
    # kubernetes pkg/volume/util: PVCProtectionFinalizer, PVProtectionFinalizer
    "kubernetes.io/pvc-protection": "until no pod uses it",
    "kubernetes.io/pv-protection": "until no claim is bound to it",
    # apimachinery meta/v1: FinalizerDeleteDependents, FinalizerOrphanDependents
    "foregroundDeletion": "until what it owns is gone",
    "orphan": "until what it owns is set free",
    # cloud-provider service helpers: LoadBalancerCleanupFinalizer
    "service.kubernetes.io/load-balancer-cleanup": "until its load balancer is gone",
    # apiextensions-apiserver: CustomResourceCleanupFinalizer
    "customresourcecleanup.apiextensions.k8s.io": "until the objects of its kind are gone",
}

# Conditions of a Namespace that goes (core/v1 NamespaceConditionType), the most telling first: a remaining
# finalizer or a failing API hold it for good, remaining content may be on its way.
_HELD_BY = (
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
    "Terminating",  # of a CustomResourceDefinition
)


def terminating(obj: Object) -> ObjectStatus:
    """Terminating, with its finalizers and what its conditions say about the deletion."""
    names = _names(get_path(obj, "metadata", "finalizers"))
    known = [_WHEN[name] for name in names if name in _WHEN]
    said = held_by(obj)
    parts = [
        f", waits for its finalizers {', '.join(names)}" if names else "",
        f" ({', '.join(known)})" if known else "",
        f": {said}" if said else "",
    ]
    return ObjectStatus(Status.TERMINATING, "Terminating", "is being deleted" + "".join(parts))


def held_by(obj: Object) -> str:
    """What its conditions say that a deletion waits for; empty while nobody has found anything."""
    told = {
        text(found, "type"): text(found, "message")
        for found in items(obj, "status", "conditions")
        if found.get("status") == "True"
    }
    return next((told[kind] for kind in _HELD_BY if told.get(kind)), "")


def as_it_ended(obj: Object) -> Object:
    """A Job as if nobody deleted it: what cleans it up afterwards ("eligible to be automatically deleted",
    batch/v1 ttlSecondsAfterFinished) takes nothing back. A Pod may have ended by the deletion itself.
    """
    if text(obj, "kind") != "Job":
        return obj
    meta = {key: value for key, value in mapping(obj, "metadata").items() if key != "deletionTimestamp"}
    return {**obj, "metadata": meta}


def _names(value: Json) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
