"""What containers and pods request, with the defaults that a namespace's LimitRanges give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from pipeline.core.predict import quantity
from pipeline.model.objects import Json, Object, get_path

Amounts = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Requests and limits by resource; also the defaults for both."""

    requests: Amounts = field(default_factory=dict)
    limits: Amounts = field(default_factory=dict)


def amounts(value: Json) -> dict[str, Fraction]:
    """The quantities of a mapping; what is none is for the server to refuse."""
    entries = value.items() if isinstance(value, dict) else ()
    read = ((str(key), quantity.parse(text)) for key, text in entries)
    return {key: amount for key, amount in read if amount is not None}


def items_of(limit_range: Object, kind: str) -> Iterator[Json]:
    """The items of a LimitRange for ``Container``, ``Pod`` or ``PersistentVolumeClaim``."""
    items = get_path(limit_range, "spec", "limits")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("type") == kind:
            yield item


def defaults_of(limit_ranges: Iterable[Object]) -> Resources:
    """What containers get that say nothing.

    A missing default is the maximum, a missing default request the default, else the minimum
    (k8s.io/kubernetes pkg/apis/core/v1/defaults.go, ``SetDefaults_LimitRangeItem``).
    """
    requests: dict[str, Fraction] = {}
    limits: dict[str, Fraction] = {}
    for limit_range in limit_ranges:
        for item in items_of(limit_range, "Container"):
            default = amounts(item.get("max")) | amounts(item.get("default"))
            request = amounts(item.get("min")) | default | amounts(item.get("defaultRequest"))
            requests |= {key: amount for key, amount in request.items() if key not in requests}
            limits |= {key: amount for key, amount in default.items() if key not in limits}
    return Resources(requests=requests, limits=limits)


def of_container(container: Json, defaults: Resources) -> Resources:
    """A limit without a request is the request, too; then the defaults fill in what is missing."""
    limits = amounts(get_path(container, "resources", "limits"))
    requests = limits | amounts(get_path(container, "resources", "requests"))
    return Resources(
        requests={**defaults.requests, **requests},
        limits={**defaults.limits, **limits},
    )


def of_pod(spec: Json, defaults: Resources) -> Resources:
    """What quotas and the scheduler count for a pod (k8s.io/component-helpers resource, ``PodRequests``)."""
    requests = _of_containers(spec, defaults, limits=False)
    limits = _of_containers(spec, defaults, limits=True)
    # What the pod itself states counts instead of the sum of its containers.
    own_limits = amounts(get_path(spec, "resources", "limits"))
    own_requests = own_limits | amounts(get_path(spec, "resources", "requests"))
    overhead = amounts(get_path(spec, "overhead"))
    return Resources(
        requests=_sum(requests | own_requests, overhead),
        limits=_sum(limits | own_limits, {k: v for k, v in overhead.items() if k in limits | own_limits}),
    )


def _of_containers(spec: Json, defaults: Resources, *, limits: bool) -> dict[str, Fraction]:
    """The sum of those that run together, or the peak of an init container where that is more."""

    def read(container: Json) -> Amounts:
        found = of_container(container, defaults)
        return found.limits if limits else found.requests

    total: dict[str, Fraction] = {}
    for container in _mappings(spec, "containers"):
        total = _sum(total, read(container))
    sidecars: dict[str, Fraction] = {}
    peak: dict[str, Fraction] = {}
    for container in _mappings(spec, "initContainers"):
        own = read(container)
        if container.get("restartPolicy") == "Always":
            total, sidecars = _sum(total, own), _sum(sidecars, own)
            peak = _greater(peak, sidecars)
        else:
            peak = _greater(peak, _sum(sidecars, own))
    return _greater(total, peak)


def _mappings(spec: Json, kind: str) -> Iterator[dict[str, Json]]:
    entries = get_path(spec, kind)
    return (c for c in (entries if isinstance(entries, list) else ()) if isinstance(c, dict))


def _sum(one: Amounts, other: Amounts) -> dict[str, Fraction]:
    return {key: one.get(key, _NOTHING) + other.get(key, _NOTHING) for key in {**one, **other}}


def _greater(one: Amounts, other: Amounts) -> dict[str, Fraction]:
    return {key: max(one.get(key, _NOTHING), other.get(key, _NOTHING)) for key in {**one, **other}}


_NOTHING = Fraction(0)
