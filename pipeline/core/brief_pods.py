"""Pods in brief: of thousands only what tells whether their workload has stood, and that one is in trouble.

A tenth of a pod is enough for that, and its names say which workload it is of, so that no ReplicaSets have
to be followed: "the name of the ReplicaSet is always formatted as [DEPLOYMENT-NAME]-[HASH]", and "this label
[pod-template-hash] is added by the Deployment controller to every ReplicaSet" and its pods (Kubernetes
documentation, Deployments).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.core.evidence.newest import new_pods
from pipeline.core.reading import condition, is_deleting, items, mapping, number, owner, seconds, text
from pipeline.model.objects import Object, ObjectRef, get_path

_HASHES = {
    "pod-template-hash": ("apps", "Deployment"),
    "rollouts-pod-template-hash": ("argoproj.io", "Rollout"),
}
"""The label that names a pod's revision, and the kind whose ReplicaSets bear it."""

_LABELS = (*_HASHES, "controller-revision-hash", "pod-template-generation")
_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_OWNER = ("apiVersion", "kind", "name", "uid")
_TOLD = (("DisruptionTarget", "True"), ("PodScheduled", "False"))
"""Conditions that say something."""

_SPECS = ("initContainers", "containers")
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_STATUSES = ("initContainerStatuses", "containerStatuses")


def workload_of(pod: Object) -> ObjectRef:
    """The workload that a pod is of, by names alone; the pod itself where nothing owns it."""
    namespace, controller = text(pod, "metadata", "namespace"), owner(pod)
    if not controller:
        return ObjectRef("", "Pod", namespace, text(pod, "metadata", "name"))
    kind, name = text(controller, "kind"), text(controller, "name")
    labels = mapping(pod, "metadata", "labels")
    for label, (group, above) in _HASHES.items():
        suffix = f"-{labels.get(label)}"
        if kind == "ReplicaSet" and label in labels and name.endswith(suffix):
            return ObjectRef(group, above, namespace, name.removesuffix(suffix))
    return ObjectRef(text(controller, "apiVersion").rpartition("/")[0], kind, namespace, name)


def brief(pod: Object) -> Object:
    """The part of a pod that the functions here, and ``steady``, read."""
    meta, labels, status = (
        mapping(pod, "metadata"),
        mapping(pod, "metadata", "labels"),
        mapping(pod, "status"),
    )
    controller = owner(pod)
    return {
        "kind": "Pod",
        "metadata": {
            **{key: meta[key] for key in _META if key in meta},
            "labels": {key: labels[key] for key in _LABELS if key in labels},
            "ownerReferences": [{key: controller[key] for key in _OWNER if key in controller}],
        },
        "spec": {key: _containers(pod, key) for key in _SPECS if get_path(pod, "spec", key)},
        "status": {
            **{key: status[key] for key in ("phase", "reason") if key in status},
            "conditions": [
                c for c in items(status, "conditions") if (c.get("type"), c.get("status")) in _TOLD
            ],
            **{key: [_state(one) for one in items(status, key)] for key in _STATUSES if key in status},
        },
    }


def _containers(pod: Object, key: str) -> list[Object]:
    kept = ("name", "restartPolicy")
    return [
        {k: c[k] for k in kept if k in c} | ({"readinessProbe": {}} if "readinessProbe" in c else {})
        for c in items(pod, "spec", key)
    ]


def _state(status: Object) -> Object:
    kept = ("name", "restartCount", "state", "lastState")
    return {key: status[key] for key in kept if status.get(key)}


def newest(workload: Object, pods: Iterable[Object]) -> list[Object]:
    """Those of a workload's own pods that are of its newest revision, once it is whole by its own counts.

    Then a Deployment has pods of one revision only; others that are still seen are about to go, and
    the newest pod is of it, whether its revision is new or was there before. A Rollout names its revision
    (Argo Rollouts, RolloutStatus.currentPodHash), as it may keep the pods of another for a while.
    """
    for label, group_kind in _HASHES.items():
        if ObjectRef.of(workload).group_kind == group_kind:
            living = [pod for pod in pods if not is_deleting(pod) and not _was_taken(pod)]
            latest = max(living, key=lambda pod: text(pod, "metadata", "creationTimestamp"), default={})
            wanted = text(workload, "status", "currentPodHash") or text(latest, "metadata", "labels", label)
            return [pod for pod in living if text(pod, "metadata", "labels", label) == wanted]
    return new_pods(workload, (), pods)


def is_in_trouble(pod: Object, since: float | None) -> bool:
    """Whether something about the pod asks for an explanation: it waits for anything but its start, no node
    takes it, or it has ended otherwise than well, after ``since``."""
    if is_deleting(pod) or _was_taken(pod):
        return False
    if text(pod, "status", "phase") == "Failed" or _finds_no_node(pod):
        return True
    return any(_is_ill(one, since) for key in _STATUSES for one in items(pod, "status", key))


def _finds_no_node(pod: Object) -> bool:
    placed = condition(pod, "PodScheduled")
    return placed.get("status") == "False" and placed.get("reason") == "Unschedulable"


def _is_ill(container: Object, since: float | None) -> bool:
    if text(container, "state", "waiting", "reason") not in _STARTING:
        return True
    ends: Sequence[Object] = (
        mapping(container, "state", "terminated"),
        mapping(container, "lastState", "terminated"),
    )
    return any(number(end, "exitCode") != 0 and _is_after(end, since) for end in ends)


def _is_after(end: Object, since: float | None) -> bool:
    finished = seconds(end.get("finishedAt"))
    return since is not None and finished is not None and finished >= since


def _was_taken(pod: Object) -> bool:
    return condition(pod, "DisruptionTarget").get("status") == "True"
