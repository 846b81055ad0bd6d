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
    doing = text(obj, "status", "allocatedResourceStatuses", "storage")
    if doing in _CANNOT_GROW:
        return failed("ResizeInfeasible", f"its volume cannot take the new size ({doing})")
    if text(obj, "status", "modifyVolumeStatus", "status") == "Infeasible":
        name = text(obj, "status", "modifyVolumeStatus", "targetVolumeAttributesClassName")
        return failed(
            "ModifyInfeasible", f"its volume cannot take the attributes of {name or 'its new class'}"
        )
    for kind, meaning in _CHANGES.items():
        found = condition(obj, kind)
        if found.get("status") == "True":
            said = text(found, "message")
            return waiting(kind, f"{meaning}: {said}" if said else meaning)
    if condition_is(obj, "FileSystemResizePending", "True"):
        # Done by the kubelet where a pod mounts it; without one, that may be never.
        warning = "its file system grows when the next pod mounts it"
        return current("FileSystemResizePending", "is bound", warning=warning)
    return _too_small(obj)


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
