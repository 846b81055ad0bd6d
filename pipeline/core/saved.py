"""Readiness of saved objects: all that can be told of them is what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.core.backends import Backends, has_ready_pods, wants_pods
from pipeline.core.predict.facts import Workload
from pipeline.core.readiness import assess
from pipeline.core.readiness.endpoints import Serving, lack, ready_endpoints, service_of
from pipeline.core.readiness.services import NO_ENDPOINTS
from pipeline.model.objects import Manifest, Object, ObjectRef
from pipeline.model.status import ObjectStatus, Status


def assess_saved(manifests: Sequence[Manifest]) -> list[tuple[ObjectRef, ObjectStatus]]:
    """The verdict on each; a Service whose EndpointSlices are among them is judged by these, too."""
    slices: dict[ObjectRef, list[Object]] = {}
    for manifest in manifests:
        if manifest.ref.group_kind == ("discovery.k8s.io", "EndpointSlice"):
            slices.setdefault(service_of(manifest.body), []).append(manifest.body)
    backends = Backends(manifests if slices else ())
    return [
        (m.ref, _service(m, slices[m.ref], backends) if m.ref in slices else assess(m.body))
        for m in manifests
    ]


def _service(service: Manifest, slices: Sequence[Object], backends: Backends) -> ObjectStatus:
    selected = backends.selected(service.ref.namespace, service.body)
    serving = [w for w in backends.of(service.ref.namespace, service.body) if _serves(w)]
    if selected and not serving:
        return assess(service.body)
    status = assess(service.body, endpoints=ready_endpoints(service.body, slices))
    if status.reason != NO_ENDPOINTS:
        return status
    known = Serving(workloads={w.ref: assess(w.manifest.body) for w in serving}, slices=slices)
    return replace(status, message=lack(service.body, known))


def _serves(workload: Workload) -> bool:
    live = workload.manifest.body
    return has_ready_pods(live) if assess(live).status is Status.CURRENT else wants_pods(live)
