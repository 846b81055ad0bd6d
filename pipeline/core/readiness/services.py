"""Service, Ingress, autoscaler, disruption budget: what controllers publish about traffic and scale."""

from __future__ import annotations

from pipeline.core.readiness.verdicts import Facts, current, failed, waiting
from pipeline.core.reading import condition, items, number, text
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus

_BROKEN_SCALE = frozenset({"FailedGetScale", "FailedUpdateScale"})
_BROKEN_SCALING = frozenset({"InvalidSelector", "AmbiguousSelector", "InvalidMetricSourceType"})


def service(obj: Object, facts: Facts) -> ObjectStatus:
    """A load balancer counts once it has an address: an IP, or on AWS a host name."""
    if text(obj, "spec", "type") != "LoadBalancer":
        return current("Exists", "needs no load balancer")
    return _address(obj, "no load balancer has given it an address")


def ingress(obj: Object, facts: Facts) -> ObjectStatus:
    return _address(obj, "no ingress controller has given it an address")


def _address(obj: Object, lack: str) -> ObjectStatus:
    for entry in items(obj, "status", "loadBalancer", "ingress"):
        address = text(entry, "hostname") or text(entry, "ip")
        if address:
            return current("AddressAssigned", f"is reachable at {address}")
    return waiting("AddressPending", lack)


def autoscaler(obj: Object, facts: Facts) -> ObjectStatus:
    """Broken is what will never scale. Missing metrics are not: the workload runs as it is."""
    able, active = condition(obj, "AbleToScale"), condition(obj, "ScalingActive")
    now, most = number(obj, "status", "currentReplicas"), number(obj, "status", "desiredReplicas")
    progress = (now, most) if most else None
    if not able and not active:
        # The controller looks every 15 s, and what runs does not depend on it: that must not block.
        return current("NotObserved", warning="its controller has not judged it yet")
    if able.get("status") == "False" and able.get("reason") in _BROKEN_SCALE:
        return failed("ScalingBroken", text(able, "message") or "its target cannot be scaled")
    if active.get("status") == "False":
        said = text(active, "message")
        if active.get("reason") in _BROKEN_SCALING:
            return failed("ScalingBroken", said or "its selector or metric is not valid")
        if active.get("reason") == "ScalingDisabled":
            return current("ScalingDisabled", "its target is scaled to zero", progress=progress)
        return current("NoMetrics", progress=progress, warning=f"does not scale yet: {said or 'no metrics'}")
    return current("Scaling", "finds its target and its metrics", progress=progress)


def disruption_budget(obj: Object, facts: Facts) -> ObjectStatus:
    if number(obj, "status", "observedGeneration", default=-1) < 0:
        return waiting("NotObserved", "its controller has not seen it yet")
    allowed = condition(obj, "DisruptionAllowed")
    warning = text(allowed, "message") if allowed.get("reason") == "SyncFailed" else ""
    return current("Observed", "its controller counts with it", warning=warning)
