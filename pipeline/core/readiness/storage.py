"""Claims, volumes, namespaces, quotas: phases."""

from __future__ import annotations

from pipeline.core.readiness.verdicts import Facts, current, failed, waiting
from pipeline.core.reading import mapping, text
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus, Status


def claim(obj: Object, facts: Facts) -> ObjectStatus:
    """Bound; or Pending where the storage class binds only for a consumer."""
    phase = text(obj, "status", "phase")
    if phase == "Bound":
        return current("Bound", f"is bound to {text(obj, 'spec', 'volumeName') or 'a volume'}")
    if phase == "Lost":
        return failed("ClaimLost", "its volume is gone, and the data with it")
    if facts.wait_for_first_consumer:
        warning = "is not bound: its storage class waits for the first pod that uses it"
        return current("WaitForFirstConsumer", warning=warning)
    name = text(obj, "spec", "storageClassName")
    return waiting("ClaimPending", f"no volume yet (storage class {name or 'of the cluster'})")


def volume(obj: Object, facts: Facts) -> ObjectStatus:
    phase = text(obj, "status", "phase")
    if phase == "Failed":
        return failed("VolumeFailed", text(obj, "status", "message") or "could not be reclaimed")
    if phase in ("Available", "Bound", "Released"):
        return current(phase, f"is {phase.lower()}")
    return waiting("Pending", "is not available yet")


def namespace(obj: Object, facts: Facts) -> ObjectStatus:
    phase = text(obj, "status", "phase")
    if phase == "Terminating":
        return ObjectStatus(Status.TERMINATING, "Terminating", "is being deleted")
    return current("Active", "is active") if phase == "Active" else waiting("Pending", "is not active yet")


def quota(obj: Object, facts: Facts) -> ObjectStatus:
    """Counts once the quota controller has taken the limits over into the status."""
    if mapping(obj, "spec", "hard") != mapping(obj, "status", "hard"):
        return waiting("NotObserved", "its limits are not in force yet")
    return current("InForce", "its limits are in force")
