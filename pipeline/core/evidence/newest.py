"""Which pods speak for the new revision of a workload. All others are the past, or on their way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.core.reading import (
    condition_is,
    is_deleting,
    mapping,
    number,
    observed,
    owner_uid,
    seconds,
    text,
    uid,
)
from pipeline.model.objects import Json, Object, get_path

_TEMPLATE_HASH = "pod-template-hash"
_ROLLOUT_HASH = "rollouts-pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"
_REVISION_HASH = "controller-revision-hash"
_GENERATION = "pod-template-generation"
_DS_GENERATION = "deprecated.daemonset.template.generation"

BY_REPLICA_SET = frozenset({"Deployment", "Rollout"})
"""Kinds whose pods belong to a ReplicaSet for each revision."""

# Reasons of a Failed pod that the node, not the pod, is to blame for (kubelet eviction, preemption,
# node shutdown). Its controller makes another one.
_TAKEN_AWAY = frozenset(
    {"Evicted", "Preempting", "Preempted", "NodeShutdown", "Shutdown", "Terminated", "NodeLost"}
)


def new_pods(
    workload: Object,
    replica_sets: Iterable[Object],
    pods: Iterable[Object],
    controller_revisions: Iterable[Object] = (),
) -> list[Object]:
    """The pods of the newest revision, sorted by name; none while the controller has not seen it.

    Pods that are being deleted, or were taken away from their node, are left out; but those of a Job that
    has failed are deleted for that, by its controller, and tell why.
    """
    leaving = _was_taken if _has_failed(workload) else _is_leaving
    living = [pod for pod in pods if not leaving(pod)]
    kind = text(workload, "kind")
    if kind == "Pod":
        found = [pod for pod in living if uid(pod) == uid(workload)] or [workload]
    elif kind in BY_REPLICA_SET:
        replica_set = new_replica_set(workload, replica_sets)
        found = _owned(living, replica_set) if replica_set else []
    elif kind == "StatefulSet":
        found = _of_stateful_set(workload, _owned(living, workload))
    elif kind == "DaemonSet":
        found = _of_daemon_set(workload, _owned(living, workload), controller_revisions)
    else:
        found = _owned(living, workload)
    return sorted(found, key=lambda pod: text(pod, "metadata", "name"))


def new_replica_set(deployment: Object, replica_sets: Iterable[Object]) -> Object | None:
    """The ReplicaSet with the Deployment's template; the oldest of several, as its controller chooses.

    A Rollout says which one it is (Argo Rollouts, RolloutStatus.currentPodHash), as its template may be that
    of another object (``spec.workloadRef``).
    """
    if text(deployment, "kind") == "Rollout":
        return _of_rollout(deployment, replica_sets)
    owned = sorted(
        _owned(replica_sets, deployment), key=lambda r: (text(r, "metadata", "creationTimestamp"), uid(r))
    )
    wanted = _template(deployment)
    for replica_set in owned:
        if _template(replica_set) == wanted:
            return replica_set
    # A webhook or a default of a newer API server may make the templates differ. The revision counts
    # only once the controller has seen this spec: until then it is that of the old template.
    if not observed(deployment):
        return None
    revision = text(deployment, "metadata", "annotations", _REVISION)
    return next(
        (r for r in owned if revision and text(r, "metadata", "annotations", _REVISION) == revision), None
    )


def _of_rollout(rollout: Object, replica_sets: Iterable[Object]) -> Object | None:
    wanted = text(rollout, "status", "currentPodHash")
    if not wanted or not observed(rollout):
        return None
    owned = _owned(replica_sets, rollout)
    return next((one for one in owned if text(one, "metadata", "labels", _ROLLOUT_HASH) == wanted), None)


def old_pods(workload: Object, pods: Iterable[Object], new: Sequence[Object]) -> list[Object]:
    """The pods that a workload owns directly and that are not among its new ones."""
    uids = {uid(pod) for pod in new}
    return [pod for pod in _owned(pods, workload) if uid(pod) not in uids and not _is_leaving(pod)]


def _of_stateful_set(workload: Object, pods: list[Object]) -> list[Object]:
    revision = text(workload, "status", "updateRevision")
    if not revision or not observed(workload):
        return []
    return [pod for pod in pods if text(pod, "metadata", "labels", _REVISION_HASH) == revision]


def _of_daemon_set(workload: Object, pods: list[Object], revisions: Iterable[Object]) -> list[Object]:
    """By the newest ControllerRevision, else the generation of the template, else the newest pod's hash."""
    if not observed(workload):
        return []
    newest = max(_owned(revisions, workload), key=lambda r: number(r, "revision"), default=None)
    if newest is not None:
        wanted = text(newest, "metadata", "labels", _REVISION_HASH)
        return [pod for pod in pods if text(pod, "metadata", "labels", _REVISION_HASH) == wanted]
    generation = text(workload, "metadata", "annotations", _DS_GENERATION)
    if generation:
        return [pod for pod in pods if text(pod, "metadata", "labels", _GENERATION) == generation]
    youngest = max(
        pods, key=lambda pod: seconds(get_path(pod, "metadata", "creationTimestamp")) or 0.0, default={}
    )
    wanted = text(youngest, "metadata", "labels", _REVISION_HASH)
    return [pod for pod in pods if text(pod, "metadata", "labels", _REVISION_HASH) == wanted]


def _owned(objects: Iterable[Object], owner: Object) -> list[Object]:
    wanted = uid(owner)
    return [obj for obj in objects if wanted and owner_uid(obj) == wanted]


def _template(obj: Object) -> tuple[Json, Json]:
    """The pod template without the label that its ReplicaSet adds."""
    template: dict[str, Any] = dict(mapping(obj, "spec", "template"))
    meta = {k: v for k, v in mapping(template, "metadata").items() if v not in (None, {}, [])}
    labels = {k: v for k, v in mapping(meta, "labels").items() if k != _TEMPLATE_HASH}
    return {**meta, "labels": labels}, template.get("spec")


def _has_failed(workload: Object) -> bool:
    """Whether it is a Job that is at its end: "the job is about to fail its execution" (batch/v1
    JobFailureTarget) is when its running pods are deleted."""
    is_job = text(workload, "kind") == "Job"
    return is_job and any(condition_is(workload, kind, "True") for kind in ("FailureTarget", "Failed"))


def _is_leaving(pod: Object) -> bool:
    return is_deleting(pod) or _was_taken(pod)


def _was_taken(pod: Object) -> bool:
    if condition_is(pod, "DisruptionTarget", "True"):
        return True
    return text(pod, "status", "phase") == "Failed" and text(pod, "status", "reason") in _TAKEN_AWAY
