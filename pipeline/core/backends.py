"""Which workloads of a set a Service must find pods of, as far as a set can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipeline.core.desired import scaled_by_autoscaler
from pipeline.core.predict.facts import Facts, Outlook, Workload
from pipeline.core.predict.labels import of_labels
from pipeline.core.reading import condition_is, mapping, number, text
from pipeline.model.objects import Manifest, Object, ObjectRef, get_path

_KINDS = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("", "Pod"),
    }
)
"""The pods of these stay. A Job's come and go, and what other kinds do with theirs is for them to know."""

_KEDA_PAUSED = "autoscaling.keda.sh/paused-replicas"


class Backends:
    """The workloads of a set, for Services to be looked up among."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self._outlook = Outlook((), manifests, Facts())
        self._may_be_idle = frozenset(_scaled_to_nothing(manifests))

    def of(self, namespace: str, service: Object) -> list[Workload]:
        """Those whose pods the Service selects, and that never do without pods of their own accord."""
        return [w for w in self.selected(namespace, service) if self._stays(w)]

    def selected(self, namespace: str, service: Object) -> list[Workload]:
        """Those whose pods the Service selects.

        None for a selector with labels that controllers give to single pods: which pods those are cannot be
        told from a template (an operator's primary, one replica of a StatefulSet, a Rollout's canary).
        """
        written = mapping(service, "spec", "selector")
        selector = of_labels(written)
        if (
            text(service, "spec", "type") == "ExternalName"
            or not written
            or len(selector.pairs) < len(written)
        ):
            return []
        return self._outlook.selected(namespace, selector)

    def _stays(self, workload: Workload) -> bool:
        return workload.ref.group_kind in _KINDS and workload.ref not in self._may_be_idle


def wants_pods(workload: Object) -> bool:
    """Whether a manifest or live object asks for pods that stay."""
    if workload.get("kind") == "Pod":
        return text(workload, "spec", "restartPolicy") in ("", "Always")
    return workload.get("kind") == "DaemonSet" or number(workload, "spec", "replicas", default=1) > 0


def has_ready_pods(workload: Object) -> bool:
    """Whether a live object says so: one that is Current without any has its reasons, such as a DaemonSet
    that fits no node."""
    match workload.get("kind"):
        case "Pod":
            return condition_is(workload, "Ready", "True")
        case "DaemonSet":
            return number(workload, "status", "numberReady") > 0
        case _:
            return number(workload, "status", "readyReplicas") > 0


def _scaled_to_nothing(manifests: Iterable[Manifest]) -> Iterator[ObjectRef]:
    """Workloads whose autoscaler may leave them without a pod: autoscaling/v2 minReplicas is 1 by default,
    KEDA's minReplicaCount is 0."""
    for manifest in manifests:
        body = manifest.body
        match manifest.ref.group_kind:
            case ("autoscaling", "HorizontalPodAutoscaler"):
                may = number(body, "spec", "minReplicas", default=1) == 0
            case ("keda.sh", "ScaledObject"):
                paused = get_path(body, "metadata", "annotations", _KEDA_PAUSED) is not None
                may = paused or number(body, "spec", "minReplicaCount") == 0
            case _:
                continue
        for ref in scaled_by_autoscaler([body]) if may else ():
            yield ObjectRef(ref.group, ref.kind, manifest.ref.namespace, ref.name)
