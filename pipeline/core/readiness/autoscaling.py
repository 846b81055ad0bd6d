"""HorizontalPodAutoscaler: what will never scale, and what only has no numbers yet.

Reasons are those of kubernetes pkg/controller/podautoscaler/horizontal.go.
"""

from __future__ import annotations

import json

from pipeline.core.readiness.verdicts import Facts, current, failed, waiting
from pipeline.core.reading import condition, items, number, seconds, text
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus

_BROKEN_SCALE = frozenset({"FailedGetScale", "FailedUpdateScale"})
_BROKEN_SCALING = frozenset({"InvalidSelector", "AmbiguousSelector", "InvalidMetricSourceType"})

# autoscaling/v1 has no field for conditions; its answers carry them here (k8s.io/api/autoscaling/v1).
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"

_SOURCES = ("resource", "containerResource", "pods", "object", "external")


def autoscaler(obj: Object, facts: Facts) -> ObjectStatus:
    """Broken is what will never scale. Missing metrics are not: the workload runs as it is.

    AbleToScale False with another reason is a pause (backoff), not a fault.
    """
    able, active = _condition(obj, "AbleToScale"), _condition(obj, "ScalingActive")
    if able.get("status") == "False" and able.get("reason") in _BROKEN_SCALE:
        return failed("ScalingBroken", text(able, "message") or "its target cannot be scaled")
    if facts.target_exists is False and not _found_since(able, facts):
        return waiting("NoTarget", f"there is no {_target(obj)} for it to scale")
    if not able and not active:
        # The controller looks every 15 s, and what runs does not depend on it: that must not block.
        return current("NotObserved", warning="its controller has not judged it yet")
    if active.get("status") == "False" and active.get("reason") in _BROKEN_SCALING:
        return failed("ScalingBroken", text(active, "message") or "its selector or metric is not valid")
    return _scaling(obj, active)


def _found_since(able: Object, facts: Facts) -> bool:
    """Whether the controller has found the target after our write: it may have come late."""
    changed = seconds(able.get("lastTransitionTime"))
    is_new = facts.since is not None and changed is not None and changed >= facts.since
    return able.get("status") == "True" and is_new


def _target(obj: Object) -> str:
    return f"{text(obj, 'spec', 'scaleTargetRef', 'kind')} {text(obj, 'spec', 'scaleTargetRef', 'name')}"


def _scaling(obj: Object, active: Object) -> ObjectStatus:
    now, most = number(obj, "status", "currentReplicas"), number(obj, "status", "desiredReplicas")
    progress = (now, most) if most else None
    if active.get("status") == "False" and active.get("reason") == "ScalingDisabled":
        return current("ScalingDisabled", "its target is scaled to zero", progress=progress)
    silent = ", ".join(_silent_metrics(obj))
    if active.get("status") == "False":
        said = text(active, "message") or "no metrics"
        named = f" ({silent})" if silent else ""
        return current("NoMetrics", progress=progress, warning=f"does not scale yet{named}: {said}")
    warning = f"has no value of {silent}, and scales by its other metrics" if silent else ""
    return current("Scaling", "finds its target and its metrics", progress=progress, warning=warning)


def _silent_metrics(obj: Object) -> list[str]:
    """The metrics without a value.

    The controller writes ``status.currentMetrics`` in the order of ``spec.metrics``, with an entry of
    empty type for each that it could not read (computeReplicasForMetrics). Without any it tells nothing.
    """
    wanted, seen = items(obj, "spec", "metrics"), items(obj, "status", "currentMetrics")
    if len(wanted) != len(seen):
        return []
    return [_name(metric) for metric, value in zip(wanted, seen, strict=True) if not text(value, "type")]


def _name(metric: Object) -> str:
    for source in _SOURCES:
        name = text(metric, source, "name") or text(metric, source, "metric", "name")
        if name:
            return f"{source} {name}"
    return text(metric, "type") or "a metric"


def _condition(obj: Object, kind: str) -> Object:
    found = condition(obj, kind)
    written = "" if found else text(obj, "metadata", "annotations", _CONDITIONS)
    if not written:
        return found
    try:
        return condition({"status": {"conditions": json.loads(written)}}, kind)
    except (ValueError, RecursionError):
        return {}
