"""Which pods a ResourceQuota with scopes counts.

After ``podMatchesScopeFunc`` (k8s.io/kubernetes pkg/quota/v1/evaluator/core/pods.go). Where a scope is
unknown here, or rests on what the server adds (a default PriorityClass), the pod is not counted: a wrong
prediction is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.core.predict.resources import Amounts
from pipeline.model.objects import Json, Object, get_path

_COMPUTE: Final = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


@dataclass(frozen=True, slots=True)
class Scope:
    """One requirement: ``operator`` and ``values`` matter for PriorityClass only."""

    name: str
    operator: str = "Exists"
    values: tuple[str, ...] = ()


def scopes_of(quota: Object) -> tuple[Scope, ...]:
    """All of them must hold."""
    return tuple(_scopes(quota))


def _scopes(quota: Object) -> Iterator[Scope]:
    for name in _list(quota, "spec", "scopes"):
        yield Scope(str(name))
    for one in _list(quota, "spec", "scopeSelector", "matchExpressions"):
        values = tuple(map(str, _list(one, "values")))
        yield Scope(str(get_path(one, "scopeName")), str(get_path(one, "operator")), values)


def _list(holder: Json, *path: str) -> list[Json]:
    value = get_path(holder, *path)
    return value if isinstance(value, list) else []


def counts(scope: Scope, spec: Json, charged: Amounts) -> bool:
    """Whether a pod of this ``spec``, for which quotas count ``charged``, is in the scope."""
    known = _KNOWN.get(scope.name)
    return known is not None and known(scope, spec, charged)


def _terminating(scope: Scope, spec: Json, charged: Amounts) -> bool:
    del scope, charged
    return get_path(spec, "activeDeadlineSeconds", default=None) is not None


def _best_effort(scope: Scope, spec: Json, charged: Amounts) -> bool:
    del scope, spec
    return not any(charged.get(name) for name in _COMPUTE)


def _priority(scope: Scope, spec: Json, charged: Amounts) -> bool:
    del charged
    name = get_path(spec, "priorityClassName", default=None)
    if not name:
        return False
    match scope.operator:
        case "Exists":
            return True
        case "In":
            return name in scope.values
        case "NotIn":
            return name not in scope.values
        case _:
            return False


def _affine(scope: Scope, spec: Json, charged: Amounts) -> bool:
    """A pod (anti-)affinity that looks into other namespaces."""
    del scope, charged
    return any(
        "namespaces" in term or "namespaceSelector" in term
        for kind in ("podAffinity", "podAntiAffinity")
        for term in _terms(get_path(spec, "affinity", kind, default=None) or {})
    )


def _terms(affinity: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    for weighted in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
        yield weighted.get("podAffinityTerm") or {}


_Rule = Callable[[Scope, Json, Amounts], bool]


def _not(rule: _Rule) -> _Rule:
    return lambda scope, spec, charged: not rule(scope, spec, charged)


_KNOWN: Final[Mapping[str, _Rule]] = {
    "Terminating": _terminating,
    "NotTerminating": _not(_terminating),
    "BestEffort": _best_effort,
    "NotBestEffort": _not(_best_effort),
    "PriorityClass": _priority,
    "CrossNamespacePodAffinity": _affine,
}
