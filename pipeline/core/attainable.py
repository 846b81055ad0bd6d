"""What of an object's old state can be had again, where the server does not take all of it back.

A claim does not shrink below what its volume has; a version of a definition in which objects are stored
cannot go; an address or port of a Service may be another one's by now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pipeline.model.objects import Object, ObjectRef, get_path

_SERVICE: Final = ("", "Service")
_CLAIM: Final = ("", "PersistentVolumeClaim")
_DEFINITION: Final = ("apiextensions.k8s.io", "CustomResourceDefinition")

_GIVEN_UP: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    _SERVICE: (r"spec\.(clusterIPs?|ports\b.*\.nodePort|healthCheckNodePort)\b", "another one has it by now"),
    _CLAIM: (r"spec\.resources\.requests\.storage$", "a volume does not shrink, as the plan had said"),
    _DEFINITION: (r"spec\.versions\b", "objects are stored in this version, as the plan had said"),
}
"""(the fields that may be given up, why)."""

_ADDRESSES = ("clusterIP", "clusterIPs")


def given_up(ref: ObjectRef, path: str) -> str:
    """Why the field of an object that the server did not take back whole is not as it was; empty where it
    should be."""
    pattern, why = _GIVEN_UP.get(ref.group_kind, ("$^", ""))
    return why if re.match(pattern, path) else ""


def attainable(body: Object, now: Object | None, refused: Iterable[str], *, one_way: bool) -> Object | None:
    """``body`` without what cannot be had; None where it is not known what that would be.

    ``refused`` are the fields that the server named, ``one_way`` whether the plan had said of the object
    that it could not be undone.
    """
    ref = ObjectRef.of(body)
    if ref.group_kind == _SERVICE:
        less = _without_allocated(body, refused)
    elif ref.group_kind == _CLAIM and one_way:
        less = _as_large(body, now)
    elif ref.group_kind == _DEFINITION and one_way:
        less = _with_stored_versions(body, now)
    else:
        return None
    return less if less != body else None


def _without_allocated(service: Object, refused: Iterable[str]) -> Object:
    fields = list(refused)
    spec = dict(service.get("spec", {}))
    if any("clusterIP" in f for f in fields):
        spec = {key: value for key, value in spec.items() if key not in _ADDRESSES}
    if any("healthCheckNodePort" in f for f in fields):
        spec.pop("healthCheckNodePort", None)
    taken = {int(m[1]) for f in fields if (m := re.search(r"ports\[(\d+)\]\.nodePort", f))}
    if "ports" in spec:
        spec["ports"] = [
            {k: v for k, v in port.items() if k != "nodePort"} if n in taken else port
            for n, port in enumerate(spec["ports"])
        ]
    return {**service, "spec": spec}


def _as_large(claim: Object, now: Object | None) -> Object:
    size = get_path(now, "spec", "resources", "requests", "storage")
    resources = get_path(claim, "spec", "resources")
    if size is None or not isinstance(resources, dict):
        return claim
    requests = {**resources.get("requests", {}), "storage": size}
    return {**claim, "spec": {**claim["spec"], "resources": {**resources, "requests": requests}}}


def _with_stored_versions(definition: Object, now: Object | None) -> Object:
    """With the versions in which objects may be stored by now, though none is stored in them any more."""
    versions = get_path(definition, "spec", "versions", default=[])
    stored = set(get_path(now, "status", "storedVersions", default=[])) - {v.get("name") for v in versions}
    more = [
        {**version, "storage": False}
        for version in get_path(now, "spec", "versions", default=[])
        if version.get("name") in stored
    ]
    return {**definition, "spec": {**definition.get("spec", {}), "versions": [*versions, *more]}}


def with_allocated(body: Object, then: Object, now: Object) -> Object:
    """The body that restores a Service, with the address and the node ports that it had and lost: nobody
    owns them, so they are in no share of its fields."""
    if not lost_allocated(then, now):
        return body
    was, spec = then["spec"], dict(body.get("spec", {}))
    spec |= {key: was[key] for key in (*_ADDRESSES, "healthCheckNodePort") if key in was}
    return {**body, "spec": _with_node_ports(spec, was)}


def without_held(body: Object, live: Object | None) -> Object:
    """A Service without the addresses and node ports that it has already: while the old one holds them, the
    server gives them to no other, not even in a dry run."""
    if ObjectRef.of(body).group_kind != _SERVICE or not isinstance(body.get("spec"), dict):
        return body
    has = get_path(live, "spec", default={})
    held = {port.get("nodePort") for port in has.get("ports", ())}
    spec = dict(body["spec"])
    if spec.get("clusterIP", "None") != "None" and spec["clusterIP"] == has.get("clusterIP"):
        spec = {key: value for key, value in spec.items() if key not in _ADDRESSES}
    if spec.get("healthCheckNodePort") == has.get("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)
    if isinstance(spec.get("ports"), list):
        spec["ports"] = [
            {k: v for k, v in port.items() if k != "nodePort" or v not in held} for port in spec["ports"]
        ]
    return {**body, "spec": spec}


def with_written(tried: Object, body: Object) -> Object:
    """What a trial of ``without_held`` became, with what was left out for it."""
    if ObjectRef.of(body).group_kind != _SERVICE or not isinstance(body.get("spec"), dict):
        return tried
    wanted, spec = body["spec"], dict(tried["spec"])
    spec |= {key: wanted[key] for key in (*_ADDRESSES, "healthCheckNodePort") if key in wanted}
    if "clusterIP" in wanted and "clusterIPs" not in wanted and "clusterIPs" in spec:
        spec["clusterIPs"] = [wanted["clusterIP"], *spec["clusterIPs"][1:]]
    return {**tried, "spec": _with_node_ports(spec, wanted)}


def _with_node_ports(spec: Object, of: Object) -> Object:
    """``spec`` with the node ports of another spec of the Service."""
    given = {_port_key(port): port["nodePort"] for port in of.get("ports", ()) if "nodePort" in port}
    if "ports" not in spec:
        return spec
    ports = [
        {**port, "nodePort": given[_port_key(port)]} if _port_key(port) in given else port
        for port in spec["ports"]
    ]
    return {**spec, "ports": ports}


def lost_allocated(then: Object, now: Object) -> bool:
    """Whether a Service lost an address or a node port that the server had given it."""
    if ObjectRef.of(then).group_kind != _SERVICE:
        return False
    return bool(_allocated(then.get("spec", {})) - _allocated(now.get("spec", {})))


def _allocated(spec: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    ports = {(*_port_key(p), p["nodePort"]) for p in spec.get("ports", ()) if p.get("nodePort")}
    single = {(key, spec[key]) for key in ("clusterIP", "healthCheckNodePort") if spec.get(key)}
    return ports | single


def _port_key(port: Mapping[str, Any]) -> tuple[Any, str]:
    return port.get("port"), port.get("protocol", "TCP")
