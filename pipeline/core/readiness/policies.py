"""Disruption budgets, quotas, flow schemas: rules whose controllers say if they hold."""

from __future__ import annotations

from pipeline.core.predict import quantity
from pipeline.core.readiness.verdicts import Facts, current, several, waiting
from pipeline.core.reading import condition, mapping, number, text
from pipeline.model.objects import Json, Object
from pipeline.model.status import ObjectStatus


def disruption_budget(obj: Object, facts: Facts) -> ObjectStatus:
    """Counts once it is observed: "DisruptionsAllowed and other status information is valid only if
    observedGeneration equals to PDB's object generation" (policy/v1)."""
    if number(obj, "status", "observedGeneration", default=-1) < 0:
        return waiting("NotObserved", "its controller has not seen it yet")
    allowed = condition(obj, "DisruptionAllowed")
    if allowed.get("reason") == "SyncFailed":
        warning = text(allowed, "message") or "its controller cannot work it out"
        return current("Observed", "its controller counts with it", warning=warning)
    pods = number(obj, "status", "expectedPods")
    tight = 0 < pods <= number(obj, "status", "desiredHealthy")
    warning = f"allows no disruption of its {several(pods, 'pod')}: a node with one of them cannot be drained"
    return current("Observed", "its controller counts with it", warning=warning if tight else "")


def quota(obj: Object, facts: Facts) -> ObjectStatus:
    """Counts once the quota controller has taken the limits over: "Hard is the set of enforced hard
    limits for each named resource" (core/v1 ResourceQuotaStatus)."""
    wanted, enforced = mapping(obj, "spec", "hard"), mapping(obj, "status", "hard")
    late = [name for name in sorted(wanted) if not _is_equal(wanted[name], enforced.get(name))]
    if late:
        return waiting("NotObserved", f"its limits are not in force yet: {', '.join(late)}")
    return current("InForce", "its limits are in force")


def _is_equal(one: Json, other: Json) -> bool:
    """As quantities, where they are some: ``1000m`` and ``1`` are the same."""
    amount = quantity.parse(one)
    return one == other if amount is None else amount == quantity.parse(other)


def flow_schema(obj: Object, facts: Facts) -> ObjectStatus:
    """A dangling one names a priority level that does not exist, so it is not used
    (flowcontrol.apiserver.k8s.io/v1 FlowSchemaConditionDangling)."""
    if condition(obj, "Dangling").get("status") == "True":
        level = text(obj, "spec", "priorityLevelConfiguration", "name")
        return current("Dangling", warning=f"has no effect: there is no priority level {level}")
    return current("Exists", "has nothing to wait for")
