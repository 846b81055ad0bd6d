"""PodDisruptionBudgets that allow no eviction: draining a node waits for them until somebody gives in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.core.at_field import warning
from pipeline.core.predict.facts import Outlook, Workload, share
from pipeline.core.predict.labels import of_label_selector
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, get_path

_COUNTED = frozenset({("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "ReplicaSet")})
"""Kinds whose pods the disruption controller counts by ``spec.replicas``."""

_HINT = "node drains and upgrades will hang; allow one pod to be away, or run one more"


def disruption_problems(outlook: Outlook) -> Iterator[Problem]:
    """A warning for each budget that blocks, where it or what it is for is written."""
    for budget in outlook.of_kind("policy", "PodDisruptionBudget"):
        selector = of_label_selector(get_path(budget.body, "spec", "selector"))
        chosen = outlook.selected(budget.ref.namespace, selector)
        if budget.ref in outlook.refs or any(w.ref in outlook.refs for w in chosen):
            yield from _blocking(budget, chosen, outlook)


def _blocking(budget: Manifest, chosen: Sequence[Workload], outlook: Outlook) -> Iterator[Problem]:
    most = get_path(budget.body, "spec", "maxUnavailable")
    least = get_path(budget.body, "spec", "minAvailable")
    # Percentages are rounded up (k8s.io/kubernetes pkg/controller/disruption, getExpectedPodCount).
    if most is not None and share(most, 100, up=True) == 0:
        message = f"maxUnavailable {most} allows no eviction at all"
        yield warning(budget, ("spec", "maxUnavailable"), "pdb-blocks", message, _HINT)
    if least is None:
        return
    total = _total(chosen, outlook)
    wanted = share(least, total or 100, up=True)
    is_all = isinstance(least, str) and wanted is not None and wanted >= (total or 100)
    if is_all or (total and wanted is not None and wanted >= total):
        of = f" of {total} {'replica' if total == 1 else 'replicas'}" if total else ""
        message = f"minAvailable {least}{of} allows no eviction"
        yield warning(budget, ("spec", "minAvailable"), "pdb-blocks", message, _HINT)


def _total(chosen: Sequence[Workload], outlook: Outlook) -> int:
    """How many pods there are to be; 0 where that is not known."""
    if any(w.ref.group_kind not in _COUNTED for w in chosen):
        return 0
    return sum(outlook.replicas(w) for w in chosen)
