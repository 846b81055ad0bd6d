"""ResourceQuotas that count objects: what a plan adds beyond the room that they leave.

A dry run is charged by itself only: each of ten objects is accepted where there is room for one. What the
plan deletes comes last, and makes no room in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from pipeline.core.at_field import error
from pipeline.core.hooks import hook_of
from pipeline.core.kinds import builtin
from pipeline.core.predict.facts import Outlook
from pipeline.core.predict.quantity import show
from pipeline.core.predict.quota_scopes import scopes_of
from pipeline.core.predict.resources import Amounts, amounts
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, Object, get_path

_BY_NAME: Final = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
    }
)
"""Also counted by their bare names (kubernetes pkg/quota/v1/evaluator/core, ``legacyObjectCountAliases``)."""

_ONE: Final = Fraction(1)


def count_problems(outlook: Outlook) -> Iterator[Problem]:
    """An error for each quota that the new objects of a namespace exceed, at the first that does not fit."""
    new: dict[str, list[tuple[Manifest, Amounts]]] = {}
    for manifest in outlook.written:
        namespace = manifest.ref.namespace
        # Of hooks one may be gone before the next one comes.
        is_new = manifest.ref not in outlook.facts.live and hook_of(manifest) is None
        if is_new and outlook.quotas(namespace):
            new.setdefault(namespace, []).append((manifest, _charge(manifest)))
    for namespace, charged in new.items():
        for quota in outlook.quotas(namespace):
            # Objects other than pods have no scope, and a claim's are of its class alone.
            if not scopes_of(quota):
                yield from _exceeded(quota, charged)


def _exceeded(quota: Object, charged: list[tuple[Manifest, Amounts]]) -> Iterator[Problem]:
    # Of a quota that is new itself nobody has counted yet what is there.
    used = amounts(get_path(quota, "status", "used"))
    for resource, hard in amounts(get_path(quota, "spec", "hard")).items():
        if resource not in used:
            continue
        wanting = [(manifest, amount[resource]) for manifest, amount in charged if amount.get(resource)]
        total, left = sum((amount for _, amount in wanting), Fraction(0)), hard - used[resource]
        if wanting and total > left:
            name = get_path(quota, "metadata", "name")
            message = (
                f"new objects take {show(total)} of {resource}, and ResourceQuota/{name} leaves"
                f" {show(max(left, Fraction(0)))} ({show(used[resource])} of {show(hard)} are used)"
            )
            at = _first_over(wanting, left)
            yield error(at, (), "quota-exceeded", message, "raise the quota, or delete others first")


def _first_over(wanting: list[tuple[Manifest, Fraction]], left: Fraction) -> Manifest:
    for manifest, amount in wanting:
        left -= amount
        if left < 0:
            return manifest
    return wanting[-1][0]


def _charge(manifest: Manifest) -> Amounts:
    """What quotas count for one object; of pods others tell (``predict.surge``)."""
    known = builtin(manifest.api_version, manifest.ref.kind)
    if known is None or known.plural == "pods":
        return {}
    group = f".{known.group}" if known.group else ""
    found = {f"count/{known.plural}{group}": _ONE}
    if not known.group and known.plural in _BY_NAME:
        found[known.plural] = _ONE
    if known.plural == "persistentvolumeclaims":
        found |= {
            f"requests.{resource}": amount
            for resource, amount in amounts(get_path(manifest.body, "spec", "resources", "requests")).items()
        }
    if known.plural == "services" and get_path(manifest.body, "spec", "type") == "LoadBalancer":
        found["services.loadbalancers"] = _ONE
    return found
