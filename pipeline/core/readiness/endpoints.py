"""A Service's endpoints: what its EndpointSlices (discovery.k8s.io/v1) say of the pods behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.reading import items, mapping, owner_uid, text, uid
from pipeline.model.objects import Object, ObjectRef, get_path
from pipeline.model.status import ObjectStatus, Status

SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_CONTROLLER = "endpointslice-controller.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a Service should find, and what it finds.

    ``workloads`` are those whose pods it selects, as they were last judged; ``port_names`` what their
    containers name. ``slices`` are its EndpointSlices; None where nobody has looked.
    """

    workloads: Mapping[ObjectRef, ObjectStatus]
    port_names: Sequence[str] = ()
    slices: Sequence[Object] | None = None

    @property
    def unready(self) -> list[ObjectRef]:
        """The workloads that are not Current: as long as there are some, they are what is to be told."""
        return [ref for ref, status in self.workloads.items() if status.status is not Status.CURRENT]


def service_of(endpoint_slice: Object) -> ObjectRef:
    """The Service that an EndpointSlice belongs to; one without name where it belongs to none."""
    name = text(endpoint_slice, "metadata", "labels", SERVICE_NAME)
    return ObjectRef("", "Service", text(endpoint_slice, "metadata", "namespace"), name)


def ready_endpoints(service: Object, slices: Iterable[Object]) -> int | None:
    """How many ready endpoints can be reached through one of the Service's ports.

    None where somebody else than Kubernetes manages some of them, who has rules of his own. "A nil value
    should be interpreted as true" (discovery/v1 EndpointConditions.ready; with publishNotReadyAddresses the
    controller says true of all). Pods that lack each port that the Service names are endpoints without ports
    (endpointslice/utils.go getEndpointPorts): ready, and no use but to the DNS of a headless Service.
    """
    own = list(_own(service, slices))
    if any(text(one, "metadata", "labels", _MANAGED_BY) != _CONTROLLER for one in own):
        return None
    return sum(_ready(one) for one in own if _needs_no_port(service) or items(one, "ports"))


def rests_on_unknown(service: Object, port_names: Sequence[str]) -> bool:
    """Whether each of its ports leads to a name, and none of these is known."""
    targets = [text(port, "targetPort") for port in items(service, "spec", "ports")]
    return not _needs_no_port(service) and all(name and name not in port_names for name in targets)


def missing_port(service: Object, slices: Iterable[Object]) -> tuple[int, str] | None:
    """Place and name of the first target port that no ready pod has, where for want of it there is no
    endpoint though pods are ready."""
    slices = list(slices)
    if ready_endpoints(service, slices) != 0 or not any(_ready(one) for one in _own(service, slices)):
        return None
    for place, port in enumerate(items(service, "spec", "ports")):
        if text(port, "targetPort"):
            return place, text(port, "targetPort")
    return None


def lack(service: Object, serving: Serving) -> str:
    """Why a Service has no endpoint, as a sentence about it."""
    waits = ", ".join(ref.short for ref in serving.unready)
    if serving.slices is None:
        return f"waits for {waits}, whose pods it selects" if waits else "its endpoints are not known yet"
    if waits:
        return f"none of the pods that it selects is ready; waits for {waits}"
    if port := missing_port(service, serving.slices):
        return f"its targetPort {port[1]!r} is the name of no port of the pods that it selects"
    if not any(_own(service, serving.slices)):
        return "no EndpointSlice has been made for it"
    return "none of the pods that it selects is ready"


def _needs_no_port(service: Object) -> bool:
    return text(service, "spec", "clusterIP") == "None" or not items(service, "spec", "ports")


def _own(service: Object, slices: Iterable[Object]) -> Iterator[Object]:
    """Without those of an older Service of that name, which the garbage collector has not met yet."""
    own = uid(service)
    return (one for one in slices if not own or owner_uid(one) in ("", own))


def _ready(endpoint_slice: Object) -> int:
    conditions = (mapping(one, "conditions") for one in items(endpoint_slice, "endpoints"))
    return sum(get_path(one, "ready") is not False for one in conditions)
