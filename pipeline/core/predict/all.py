"""What will go wrong though the server accepts it: from the set, its writes, and facts of the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.core.predict.apis import api_problems
from pipeline.core.predict.autoscaler import autoscaler_problems
from pipeline.core.predict.crd import upgrade_problems
from pipeline.core.predict.disruption import disruption_problems
from pipeline.core.predict.facts import Outlook
from pipeline.core.predict.image import image_problems
from pipeline.core.predict.limits import claim_limits, workload_limits
from pipeline.core.predict.quota import unstated
from pipeline.core.predict.quota_counts import count_problems
from pipeline.core.predict.revision import renews
from pipeline.core.predict.selection import selection_problems
from pipeline.core.predict.surge import quota_problems
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest

_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")


def predict(outlook: Outlook) -> list[Problem]:
    """Every prediction: errors must fail, warnings may. Sorted by place, so that equal sets tell the same."""
    found = [
        *_of_pods(outlook),
        *quota_problems(outlook),
        *count_problems(outlook),
        *selection_problems(outlook),
        *disruption_problems(outlook),
        *autoscaler_problems(outlook),
        *_of_definitions(outlook),
        *(api_problems(outlook.written, server=outlook.facts.server) if outlook.facts.server else ()),
    ]
    return sorted(found, key=lambda p: (p.warning, *_place(p), p.code, p.message))


def _place(problem: Problem) -> tuple[str, int]:
    """As text line 12 would come before line 5."""
    return (problem.origin.path, problem.origin.line) if problem.origin else ("", 0)


def _of_pods(outlook: Outlook) -> Iterator[Problem]:
    for workload in outlook.changed_workloads():
        yield from image_problems(workload)
        live = outlook.facts.live.get(workload.ref)
        # Pods that run are left alone; without replicas there are none.
        if renews(workload, live) and outlook.replicas(workload):
            yield from unstated(workload, outlook)
            yield from workload_limits(workload, outlook)
    for manifest in outlook.written:
        yield from claim_limits(manifest, outlook)


def _of_definitions(outlook: Outlook) -> Iterator[Problem]:
    for manifest in _definitions(outlook.written):
        live = outlook.facts.live.get(manifest.ref)
        if live is not None:
            has_objects = outlook.facts.has_objects.get(manifest.ref)
            yield from upgrade_problems(live, manifest, has_objects)


def _definitions(manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    return (m for m in manifests if m.ref.group_kind == _CRD)
