"""Gateway API: what each controller says about its class, its gateways and the routes that attach to them.

Types and reasons are those of gateway.networking.k8s.io/v1 (gateway-api apis/v1/*_types.go). A condition
whose observedGeneration is older than the object is none: it is "out of date with respect to the current
state of the instance" (meta/v1 Condition). Most reasons for False mend when
another object comes (a Secret, a Service, a grant, a listener), and may: only those that rest on the
object's own fields fail it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.core.readiness.verdicts import Facts, current, failed, waiting
from pipeline.core.reading import items, mapping, number, text
from pipeline.model.objects import Json, Object
from pipeline.model.status import ObjectStatus, Status

Conditions = Mapping[str, Object]
"""The conditions of the newest spec by type."""

_OWN_FAULT = frozenset(
    {
        "Unsupported",  # GatewayClass: the controller takes no classes made by users
        "UnsupportedProtocol",  # listener
        "HostnameConflict",  # listeners of one gateway
        "ProtocolConflict",
        "UnsupportedValue",  # route: a field's value
        "IncompatibleFilters",  # route
    }
)
_FAULTY = frozenset({"Accepted", "Conflicted"})
"""Conditions whose reasons speak of the object's own fields; ResolvedRefs has reasons of the same names."""

_WRONG_KIND = frozenset({"InvalidKind", "InvalidRouteKinds"})
"""Reasons of ResolvedRefs: a kind of backend, or of route, that the controller does not know."""


def gateway_class(obj: Object, facts: Facts) -> ObjectStatus:
    """Accepted; until then "Waiting for controller", which the CRD itself writes as a default."""
    found = _conditions(obj, mapping(obj, "status"))
    lack = _lack(found, ("Accepted",))
    name = text(obj, "spec", "controllerName")
    if lack is None:
        return current("Accepted", f"is served by {name}")
    return _verdict(found, lack, f"no controller {name} has accepted it")


def gateway(obj: Object, facts: Facts) -> ObjectStatus:
    """Accepted, Programmed, and so is each of its listeners, with its references resolved.

    Programmed: it "has generated some configuration that is assumed to be ready soon in the
    underlying data plane". A ListenerSet has the same conditions.
    """
    found = _conditions(obj, mapping(obj, "status"))
    lack = _lack(found, ("Accepted", "Programmed"))
    if lack is not None:
        listener = next((told for told in _listeners(obj) if told.status is Status.FAILED), None)
        name = text(obj, "spec", "gatewayClassName")
        return listener or _verdict(
            found, lack, f"no controller{f' of class {name}' if name else ''} has taken it up"
        )
    worst = sorted(_listeners(obj), key=lambda told: told.status is not Status.FAILED)
    if worst:
        return worst[0]
    at = [text(address, "value") for address in items(obj, "status", "addresses")]
    return current(
        "Programmed", f"is reachable at {', '.join(filter(None, at))}" if any(at) else "is programmed"
    )


def _listeners(obj: Object) -> Iterator[ObjectStatus]:
    """Those that fall short; what is left in the status of a listener that is gone does not count."""
    named = {text(listener, "name") for listener in items(obj, "spec", "listeners")}
    for listener in items(obj, "status", "listeners"):
        name = text(listener, "name")
        if name not in named:
            continue
        found = _conditions(obj, listener)
        lack = _lack(found, (), false=("Accepted", "Programmed", "ResolvedRefs"), true=("Conflicted",))
        if lack is not None:
            yield _verdict(found, lack, "", about=f"listener {name}: ")


def route(obj: Object, facts: Facts) -> ObjectStatus:
    """Accepted by every parent it names, with its references resolved.

    "If the Route's ParentRef specifies an existing Gateway that supports Routes of this kind AND that
    Gateway's controller has sufficient access, then that Gateway's controller MUST set the "Accepted"
    condition": no word about a parent means that nobody serves it.
    """
    parents = items(obj, "spec", "parentRefs")
    if not parents:
        return current("Detached", warning="names no parent, so nothing routes by it")
    told = [_attached(obj, parent) for parent in parents]
    for status in (Status.FAILED, Status.IN_PROGRESS):
        for verdict in told:
            if verdict.status is status:
                return verdict
    warnings = dict.fromkeys(verdict.warning for verdict in told if verdict.warning)
    return current("Accepted", "is accepted by its parents", warning="; ".join(warnings))


def _attached(obj: Object, parent: Object) -> ObjectStatus:
    """The best that a controller says: one that served the parent before may have left its word."""
    home, wanted = text(obj, "metadata", "namespace"), text(parent, "name")
    key = _parent_key(parent, home)
    answers = [
        a for a in items(obj, "status", "parents") if _parent_key(mapping(a, "parentRef"), home) == key
    ]
    silence = f"no controller has answered for its parent {wanted}"
    if not answers:
        return waiting("NotAccepted", silence)
    return _best([_answer(obj, answer, silence, wanted) for answer in answers])


def _answer(obj: Object, answer: Object, silence: str, parent: str) -> ObjectStatus:
    found = _conditions(obj, answer)
    lack = _lack(found, ("Accepted",), false=("ResolvedRefs",))
    if lack is not None:
        return _verdict(found, lack, silence, about=f"parent {parent}: " if parent else "")
    partial = found.get("PartiallyInvalid", {})
    warning = f"is partly not in force: {_said(partial)}" if partial.get("status") == "True" else ""
    return current("Accepted", "is accepted", warning=warning)


def policy(obj: Object, facts: Facts) -> ObjectStatus:
    """BackendTLSPolicy: accepted for each ancestor that reports on it (``status.ancestors``)."""
    silence = "no controller has taken it up"
    told = [_answer(obj, answer, silence, "") for answer in items(obj, "status", "ancestors")]
    if not told:
        return waiting("NotAccepted", silence)
    return max(told, key=_gravity)


_FROM_BEST = (Status.CURRENT, Status.IN_PROGRESS, Status.FAILED)


def _best(told: Sequence[ObjectStatus]) -> ObjectStatus:
    return min(told, key=_gravity)


def _gravity(told: ObjectStatus) -> tuple[int, str, str]:
    return _FROM_BEST.index(told.status), told.message, told.warning


def _parent_key(ref: Json, home: str) -> tuple[str, str, str, str, str, int]:
    """With the defaults of ParentReference: a Gateway of this group, in the route's own namespace."""
    return (
        text(ref, "group") if "group" in ref else "gateway.networking.k8s.io",
        text(ref, "kind") or "Gateway",
        text(ref, "namespace") or home,
        text(ref, "name"),
        text(ref, "sectionName"),
        number(ref, "port"),
    )


def _conditions(obj: Object, holder: Object) -> Conditions:
    generation = number(obj, "metadata", "generation")
    return {
        text(found, "type"): found
        for found in items(holder, "conditions")
        if number(found, "observedGeneration", default=generation) >= generation
    }


def _lack(
    found: Conditions, needed: Sequence[str], *, false: Sequence[str] = (), true: Sequence[str] = ()
) -> str | None:
    """The first condition that speaks against it: of ``needed`` silence does, too."""
    for kind in needed:
        if found.get(kind, {}).get("status") != "True":
            return kind
    for kind in false:
        if kind in found and found[kind].get("status") != "True":
            return kind
    return next((kind for kind in true if found.get(kind, {}).get("status") == "True"), None)


def _verdict(found: Conditions, lack: str, silence: str, *, about: str = "") -> ObjectStatus:
    one = found.get(lack)
    reason = "Conflicted" if lack == "Conflicted" else f"Not{lack}"
    # Unknown with reason Pending is what the CRD puts there before any controller came.
    if one is None or (one.get("status") == "Unknown" and one.get("reason") == "Pending"):
        return waiting(reason, silence or f"{about}{lack} is not reported yet")
    own_fault = text(one, "reason") in _OWN_FAULT and lack in _FAULTY
    wrong_kind = lack == "ResolvedRefs" and text(one, "reason") in _WRONG_KIND
    if own_fault or wrong_kind:
        return failed("CustomResourceFailed", f"{about}{_said(one)}")
    return waiting(reason, f"{about}{_said(one)}")


def _said(found: Object) -> str:
    said = text(found, "message") or text(found, "reason")
    kind, status = text(found, "type"), text(found, "status") or "Unknown"
    return f"{kind} is {status}" + (f": {said}" if said else "")
