"""Claims, volumes, namespaces: phases, and volumes that grow.

Phases and conditions are those of core/v1 (k8s.io/api/core/v1/types.go).
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.predict import quantity
from pipeline.core.readiness.deleting import terminating
from pipeline.core.readiness.verdicts import Facts, current, failed, waiting
from pipeline.core.reading import condition, condition_is, text
from pipeline.model.objects import Object, get_path
from pipeline.model.status import ObjectStatus

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

# "resizing has failed … with a terminal unrecoverable error" (core/v1 ClaimResourceStatus)
_CANNOT_GROW = frozenset({"ControllerResizeInfeasible", "NodeResizeInfeasible"})

# Each is an attempt that is under way or is made again, in the order in which they tell most.
_CHANGES = {
    "ControllerResizeError": "its volume cannot be resized",
    "NodeResizeError": "its file system cannot be resized",
    "ModifyVolumeError": "its volume cannot be modified",
    "Resizing": "its volume is being resized",
    "ModifyingVolume": "its volume is being modified",
}


def class_of(obj: Object, classes: Iterable[Object]) -> Object | None:
    """The storage class that a claim names; without a name the default one."""
    wanted = get_path(obj, "spec", "storageClassName")
    for one in classes:
        by_default = text(one, "metadata", "annotations", _DEFAULT_CLASS) == "true"
        if text(one, "metadata", "name") == wanted or (wanted is None and by_default):
            return one
    return None


def waits_for_consumer(obj: Object, classes: Iterable[Object]) -> bool:
    """Whether the claim is bound only once a pod uses it (StorageClass.volumeBindingMode)."""
    return text(class_of(obj, classes), "volumeBindingMode") == "WaitForFirstConsumer"


def claim(obj: Object, facts: Facts) -> ObjectStatus:
    """Bound, and as large as asked for; or Pending where the storage class binds only for a consumer.

    Lost: "the claim was bound to a PersistentVolume and this volume does not exist any longer and all
    data on it was lost" (core/v1 ClaimLost).
    """
    phase = text(obj, "status", "phase")
    if phase == "Bound":
        return _change(obj) or current(
            "Bound", f"is bound to {text(obj, 'spec', 'volumeName') or 'a volume'}"
        )
    if phase == "Lost":
        return failed("ClaimLost", "its volume is gone, and the data with it")
    if facts.wait_for_first_consumer:
        warning = "is bound only with the first pod that uses it, as its storage class says"
        return current("WaitForFirstConsumer", warning=warning)
    return waiting("ClaimPending", _no_volume(obj, facts))


def _no_volume(obj: Object, facts: Facts) -> str:
    """A class that does not exist is not final: volumes made by hand may carry its name all the same.

    An empty name asks for a volume without class, none at all for the cluster's default class
    (PersistentVolumes documentation, "Class").
    """
    name = get_path(obj, "spec", "storageClassName")
    if name == "":
        return 'no volume yet: with storage class "" it waits for one that is made by hand'
    if not isinstance(name, str):
        lack = ", and the cluster has none" if facts.class_exists is False else ""
        return f"no volume yet: it names no storage class, so the default one counts{lack}"
    lack = ", which does not exist" if facts.class_exists is False else ""
    return f"no volume yet (storage class {name}{lack})"


def _change(obj: Object) -> ObjectStatus | None:
    """A bound claim that is being resized or modified; None where it is as it should be."""
    if verdict := _cannot_grow(obj) or _cannot_modify(obj):
        return verdict
    for kind, meaning in _CHANGES.items():
        found = condition(obj, kind)
        if found.get("status") == "True":
            said = text(found, "message")
            return waiting(kind, f"{meaning}: {said}" if said else meaning)
    if condition_is(obj, "FileSystemResizePending", "True"):
        # Done by the kubelet where a pod mounts it; without one, that may be never.
        warning = "its file system grows when the next pod mounts it"
        return current("FileSystemResizePending", "is bound", warning=warning)
    return _too_small(obj) or _unmodified(obj)


def _cannot_grow(obj: Object) -> ObjectStatus | None:
    """The verdict is about the size that was tried (core/v1 PersistentVolumeClaimStatus.allocatedResources):
    of another one, as when the request was lowered for that, it is still to come."""
    doing = text(obj, "status", "allocatedResourceStatuses", "storage")
    if doing not in _CANNOT_GROW:
        return None
    asked = quantity.parse(get_path(obj, "spec", "resources", "requests", "storage"))
    tried = quantity.parse(get_path(obj, "status", "allocatedResources", "storage"))
    if asked is None or tried is None or asked == tried:
        return failed("ResizeInfeasible", f"its volume cannot take the new size ({doing})")
    said = f"its volume cannot take {quantity.show(tried)}, and {quantity.show(asked)} has not been tried yet"
    return waiting("Resizing", said)


def _cannot_modify(obj: Object) -> ObjectStatus | None:
    """ "If the claim enters an Infeasible error state, this field can be reset to its previous value
    (including nil) to cancel the modification" (core/v1 volumeAttributesClassName): no verdict is left."""
    target = text(obj, "status", "modifyVolumeStatus", "targetVolumeAttributesClassName")
    is_other = target not in ("", text(obj, "spec", "volumeAttributesClassName"))
    if text(obj, "status", "modifyVolumeStatus", "status") != "Infeasible" or is_other:
        return None
    return failed("ModifyInfeasible", f"its volume cannot take the attributes of {target or 'its new class'}")


def _unmodified(obj: Object) -> ObjectStatus | None:
    """ "currentVolumeAttributesClassName is the current name of the VolumeAttributesClass the PVC is using"
    (core/v1 PersistentVolumeClaimStatus): another name in the spec is a change that is still to come."""
    wanted = text(obj, "spec", "volumeAttributesClassName")
    if wanted in ("", text(obj, "status", "currentVolumeAttributesClassName")):
        return None
    # "Pending … due to unmet requirements, such as … VolumeAttributesClass not existing" (core/v1)
    is_stuck = text(obj, "status", "modifyVolumeStatus", "status") == "Pending"
    why = ", which does not exist or does not suit it" if is_stuck else ""
    return waiting("ModifyingVolume", f"its volume does not have the attributes of {wanted} yet{why}")


def _too_small(obj: Object) -> ObjectStatus | None:
    """Between the new request and the resizer's first word only the sizes tell."""
    asked = quantity.parse(get_path(obj, "spec", "resources", "requests", "storage"))
    has = quantity.parse(get_path(obj, "status", "capacity", "storage"))
    if asked is None or has is None or asked <= has:
        return None
    return waiting("Resizing", f"its volume has {quantity.show(has)} of {quantity.show(asked)}")


def volume(obj: Object, facts: Facts) -> ObjectStatus:
    """Failed: "failed to be correctly recycled or deleted after being released from a claim"; Released
    ones "must be recycled before becoming available again" (core/v1 PersistentVolumePhase)."""
    phase = text(obj, "status", "phase")
    if phase == "Failed":
        return failed("VolumeFailed", text(obj, "status", "message") or "could not be reclaimed")
    if phase == "Released":
        warning = "its claim is gone, and none can be bound until spec.claimRef is removed"
        return current("Released", warning=warning)
    if phase in ("Available", "Bound"):
        return current(phase, f"is {phase.lower()}")
    return waiting("Pending", text(obj, "status", "message") or "is not available yet")


def namespace(obj: Object, facts: Facts) -> ObjectStatus:
    """ "Active means the namespace is available for use in the system" (core/v1 NamespacePhase)."""
    phase = text(obj, "status", "phase")
    if phase == "Terminating":
        return terminating(obj)
    return current("Active", "is active") if phase == "Active" else waiting("Pending", "is not active yet")
