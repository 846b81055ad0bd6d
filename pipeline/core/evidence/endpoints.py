"""Evidence from a Service whose workloads stand, and that finds none of their pods."""

from __future__ import annotations

from pipeline.core.predict.selection import port_hint
from pipeline.core.readiness.endpoints import Serving, lack, missing_port
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade


def of_endpoints(ref: ObjectRef, service: Object, serving: Serving) -> list[Evidence]:
    """Why there are no endpoints; nothing where that is the workloads' doing, or nobody has looked.

    Ready pods without the port are a fact that the controller has stated: that fails before the time is
    over. Anything else may still be on its way.
    """
    if serving.slices is None or serving.unready:
        return []
    missing = missing_port(service, serving.slices)
    names = ", ".join(one.short for one in serving.workloads)
    return [
        Evidence(
            code=CauseCode.NO_ENDPOINTS,
            grade=Grade.PROBABLE if missing else Grade.TRANSIENT,
            message=f"Service {ref.name} has no endpoint: {lack(service, serving)}",
            details=(f"it selects the pods of {names}, and there are ready ones",),
            path=("spec", "ports", missing[0], "targetPort") if missing else ("spec", "selector"),
            hint=port_hint(missing[1], serving.port_names) if missing else "",
        )
    ]
