"""Service and Ingress: what controllers publish about traffic."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.readiness.verdicts import Facts, current, waiting
from pipeline.core.reading import condition, items, mapping, number, text
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus, Status

NO_ENDPOINTS = "NoEndpoints"

_OLD_CLASS = "kubernetes.io/ingress.class"  # from before spec.ingressClassName (networking/v1)


def service(obj: Object, facts: Facts) -> ObjectStatus:
    """A load balancer counts once it has an address: an IP, or on AWS a host name.

    "ip is set for load-balancer ingress points that are IP based (typically GCE or OpenStack
    load-balancers)", "hostname … that are DNS based (typically AWS load-balancers)" (core/v1
    LoadBalancerIngress). kstatus is content with a clusterIP. Where the caller
    knows of endpoints, a Service without any is not ready.
    """
    if text(obj, "spec", "type") == "ExternalName":
        return current("Exists", f"is another name of {text(obj, 'spec', 'externalName')}")
    reached = _reached(obj)
    if reached.status is Status.CURRENT and mapping(obj, "spec", "selector") and facts.endpoints == 0:
        return waiting(NO_ENDPOINTS, "none of the pods that it selects is ready")
    return reached


def _reached(obj: Object) -> ObjectStatus:
    if text(obj, "spec", "type") != "LoadBalancer":
        return current("Exists", "needs no load balancer")
    refused = condition(obj, "LoadBalancerPortsError")
    if refused.get("status") == "True":
        said = text(refused, "message") or text(refused, "reason") or "the load balancer refuses its ports"
        return waiting("AddressPending", said)
    named = text(obj, "spec", "loadBalancerClass")
    return _address(obj, f"no load balancer{f' of class {named}' if named else ''} has given it an address")


def ingress(obj: Object, facts: Facts) -> ObjectStatus:
    """Counts once its controller has published an address (networking/v1 IngressStatus.loadBalancer)."""
    named = text(obj, "spec", "ingressClassName")
    if named and facts.class_exists is False:
        return _address(obj, f"there is no IngressClass {named}, so no controller gives it an address")
    named = named or text(obj, "metadata", "annotations", _OLD_CLASS)
    whose = f" of class {named}" if named else ""
    hint = "" if named else "; it names no class, so only a default class serves it"
    return _address(obj, f"no ingress controller{whose} has given it an address{hint}")


def _address(obj: Object, lack: str) -> ObjectStatus:
    for entry in items(obj, "status", "loadBalancer", "ingress"):
        address = text(entry, "hostname") or text(entry, "ip")
        if address:
            warning = ", ".join(_port_errors(entry))
            return current("AddressAssigned", f"is reachable at {address}", warning=warning)
    return waiting("AddressPending", lack)


def _port_errors(entry: Object) -> Iterator[str]:
    """ "error is to record the problem with the service port" (core/v1 PortStatus)."""
    for port in items(entry, "ports"):
        if text(port, "error"):
            yield f"port {number(port, 'port')}: {text(port, 'error')}"
