"""The rollout as a whole: one look at the cluster → what is ready, what has failed, whether it is over.

Pure. The watch keeps a ``Snapshot`` up to date and calls ``step`` after every change and once a
second; ``pending_causes`` explains what is missing when the time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from pipeline.core import brief_pods
from pipeline.core.evidence import EventIndex, EvidenceLog, evidence, remember
from pipeline.core.evidence.endpoints import of_endpoints
from pipeline.core.evidence.newest import new_pods
from pipeline.core.evidence.pending import explain_failure, explain_loss, explain_pending
from pipeline.core.fatal import most_telling
from pipeline.core.readiness import assess
from pipeline.core.readiness.deleting import terminating
from pipeline.core.readiness.endpoints import Serving, lack, ready_endpoints
from pipeline.core.readiness.nodes import excused
from pipeline.core.readiness.services import NO_ENDPOINTS
from pipeline.core.readiness.steady import UNSTEADY, unsteady
from pipeline.core.readiness.verdicts import unknown, waiting
from pipeline.core.reading import condition, is_deleting, number, observed, owner_uid, uid
from pipeline.model.environment import Rollout
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.status import Evidence, ObjectStatus, Status

WORKLOADS = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("batch", "Job"),
        ("", "Pod"),
        ("", "ReplicationController"),
        ("argoproj.io", "Rollout"),
    }
)
"""The kinds whose pods are evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One object that is waited for.

    ``since`` is when we wrote it (seconds since 1970, the server's clock); None where we did not.
    ``generation`` and ``uid`` are what the write returned: a snapshot with less is older than the
    write. ``gone``: it was deleted, and is waited for to disappear. ``class_exists``: the StorageClass or
    IngressClass that it names, or the default one; ``target_exists``: what it scales. None: nobody looked.
    """

    ref: ObjectRef
    since: float | None = None
    generation: int = 0
    uid: str = ""
    gone: bool = False
    has_status_subresource: bool | None = None
    wait_for_first_consumer: bool = False
    class_exists: bool | None = None
    target_exists: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The cluster as last seen: the targets that exist, and lists that may hold more than theirs.

    Without ``nodes`` a DaemonSet waits for all of its nodes, whatever state they are in. ``services`` are
    those that must find pods: the endpoints of others say nothing. ``shown`` are the workloads whose pods
    are among ``pods``, or will be as soon as they are seen; ``briefs`` the pods in brief of others.
    """

    objects: Mapping[ObjectRef, Object] = field(default_factory=dict)
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    controller_revisions: Sequence[Object] = ()
    nodes: Sequence[Object] = ()
    services: Mapping[ObjectRef, Serving] = field(default_factory=dict)
    shown: frozenset[ObjectRef] = frozenset()
    briefs: Mapping[ObjectRef, Sequence[Object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutLog:
    """What a rollout remembers from look to look; ``finished`` runs may have been cleaned up since."""

    evidence: EvidenceLog = field(default_factory=EvidenceLog)
    finished: Mapping[ObjectRef, ObjectStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDecision:
    """The verdict of one look.

    ``fatal`` is what ends the rollout, the most telling first; ``present`` all evidence against
    objects that are not Current; ``done`` that every target is Current. Neither: go on waiting.
    ``blameless`` are Services without endpoints for which something else is the reason.
    """

    statuses: Mapping[ObjectRef, ObjectStatus]
    fatal: tuple[tuple[ObjectRef, Evidence], ...]
    present: tuple[tuple[ObjectRef, Evidence], ...]
    log: RolloutLog
    done: bool
    pending: tuple[tuple[ObjectRef, Evidence], ...] = ()
    blameless: frozenset[ObjectRef] = frozenset()


def step(
    targets: Sequence[Target],
    snapshot: Snapshot,
    log: RolloutLog,
    policy: Rollout,
    now: float,
    *,
    blindly: bool = False,
) -> RolloutDecision:
    """Judge one look at the cluster; ``now`` is seconds since 1970 on the server's clock.

    ``blindly``: pods were looked at in brief at most, so only what has failed is asked why.

    The log of the decision goes into the next call. A target that is whole has no evidence against it: one
    pod's crash does not count any more, though its pods must have been seen to run since.
    """
    index = _Index(snapshot)
    memory = remember(log.evidence.memory, list(snapshot.pods))
    judge = partial(_steady_status, index=index, snapshot=snapshot, log=log, policy=policy, now=now)
    statuses, services = _statuses(targets, snapshot, judge)
    lacking = _lacking(snapshot, statuses, services)
    found: list[tuple[ObjectRef, Evidence]] = []
    summed_up: list[tuple[ObjectRef, Evidence]] = []
    pending: list[tuple[ObjectRef, Evidence]] = []
    for target in targets:
        ref, obj, status = target.ref, snapshot.objects.get(target.ref), statuses[target.ref]
        if status.status is Status.CURRENT or lacking.get(ref) == []:
            continue
        is_lost = bool(target.uid) and status.reason in _LOST
        if blindly and status.status is not Status.FAILED and not is_lost and ref not in lacking:
            continue
        is_whole = status.reason in UNSTEADY
        shown = lacking.get(ref) or ([] if is_whole else _evidence(target, obj, index, memory, now))
        if is_lost:
            shown = [explain_loss(ref, replaced=obj is not None)]
        if status.status is Status.FAILED:
            if status.reason == "ProgressDeadlineExceeded":
                summed_up += ((ref, one) for one in shown)
            shown = [*shown, explain_failure(ref, status, shown)]
        found += ((ref, one) for one in shown)
        told = log.evidence.of(ref) if is_whole else shown
        pending += ((ref, one) for one in explain_pending(ref, obj, status, told, index.events))
    evidence_log = replace(log.evidence, memory=memory).update(found, now)
    return RolloutDecision(
        statuses=statuses,
        fatal=most_telling([*evidence_log.fatal(policy.grace, now), *summed_up], pending),
        present=tuple(evidence_log.present()),
        log=RolloutLog(evidence=evidence_log, finished=_finished(statuses, log)),
        done=all(status.status is Status.CURRENT for status in statuses.values()),
        pending=tuple(pending),
        blameless=frozenset(ref for ref, shown in lacking.items() if not shown),
    )


def status_of(
    target: Target,
    obj: Object | None,
    log: RolloutLog,
    policy: Rollout,
    now: float,
    serving: Serving | None = None,
    pods: Sequence[Object] | None = None,
) -> ObjectStatus:
    """The readiness of one target, as ``step`` judges it, without what speaks against it. ``pods``: its own
    in brief, all of them as far as they were seen; None where nobody looks."""
    status = _status(target, obj, log, policy, now, serving=serving)
    if pods is None or obj is None or not _is_to_stand(target, status):
        return status
    newest = brief_pods.newest(obj, pods)
    return _standing(target, obj, status, newest, policy, now, all_shown=True)


def settled(log: RolloutLog, ref: ObjectRef, status: ObjectStatus) -> RolloutLog:
    """The log with a run that has ended: it may be cleaned up before the next look."""
    ended = _finished({ref: status}, log)
    return log if ended == log.finished else replace(log, finished=ended)


def pending_causes(decision: RolloutDecision) -> list[tuple[ObjectRef, Evidence]]:
    """Why each target that is not Current is not, for the report when the time budget is over."""
    return list(decision.pending)


def is_available(obj: Object | None) -> bool:
    """Whether some of a workload serves, at its newest spec: enough for what calls its Service."""
    if obj is None or not observed(obj):
        return False
    match obj.get("kind"):
        case "Deployment":
            return condition(obj, "Available").get("status") == "True"
        case "StatefulSet" | "ReplicaSet" | "ReplicationController":
            return number(obj, "status", "readyReplicas") > 0
        case "DaemonSet":
            return number(obj, "status", "numberReady") > 0
        case _:
            return False


_LOST = frozenset({"NotFound", "Replaced"})
"""Statuses of an object that we wrote and that is not there, or is another."""


class _Index:
    """A snapshot's lists by owner, so that a step costs what the cluster holds, not that times targets."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.events = EventIndex(snapshot.events)
        self.nodes = snapshot.nodes
        self.replica_sets = _by_owner(snapshot.replica_sets)
        self.pods = _by_owner(snapshot.pods)
        self.controller_revisions = _by_owner(snapshot.controller_revisions)


def _by_owner(objects: Iterable[Object]) -> dict[str, list[Object]]:
    owned: dict[str, list[Object]] = {}
    for obj in objects:
        owned.setdefault(owner_uid(obj), []).append(obj)
    return owned


def _statuses(
    targets: Sequence[Target], snapshot: Snapshot, judge: Callable[..., ObjectStatus]
) -> tuple[dict[ObjectRef, ObjectStatus], dict[ObjectRef, Serving]]:
    """Every target's status, and what is known of the Services with their workloads as of this look."""
    statuses: dict[ObjectRef, ObjectStatus] = {}
    services: dict[ObjectRef, Serving] = {}
    for target in sorted(targets, key=lambda target: target.ref in snapshot.services):  # workloads come first
        serving = snapshot.services.get(target.ref)
        if serving is not None:
            seen = {ref: statuses.get(ref, status) for ref, status in serving.workloads.items()}
            serving = services[target.ref] = replace(serving, workloads=seen)
        statuses[target.ref] = judge(target, snapshot.objects.get(target.ref), serving)
    return statuses, services


def _steady_status(
    target: Target,
    obj: Object | None,
    serving: Serving | None,
    *,
    index: _Index,
    snapshot: Snapshot,
    log: RolloutLog,
    policy: Rollout,
    now: float,
) -> ObjectStatus:
    """A status in which what is whole has also stood for a moment, as far as its pods are looked at."""
    excused_nodes = _excused(target, obj, index)
    status = _status(target, obj, log, policy, now, excused_nodes=excused_nodes, serving=serving)
    if obj is None or not _is_to_stand(target, status):
        return status
    pods, replica_sets, revisions = _owned(obj, index)
    newest = new_pods(obj, replica_sets, pods, revisions)
    if target.ref in snapshot.briefs:  # what they do not show may be among those that are seen whole
        newest = max(brief_pods.newest(obj, snapshot.briefs[target.ref]), newest, key=len)
    all_shown = target.ref in snapshot.briefs or target.ref in snapshot.shown
    return _standing(target, obj, status, newest, policy, now, all_shown=all_shown)


def _is_to_stand(target: Target, status: ObjectStatus) -> bool:
    """Whether its pods have a say, though it is whole by its own counts."""
    has_pods = target.ref.group_kind in WORKLOADS and target.ref.kind != "Job"
    return has_pods and status.status is Status.CURRENT and not target.gone


def _standing(
    target: Target,
    obj: Object,
    status: ObjectStatus,
    newest: Sequence[Object],
    policy: Rollout,
    now: float,
    *,
    all_shown: bool,
) -> ObjectStatus:
    if target.since is None:
        return status
    return unsteady(obj, status, newest, target.since, now, policy.steady_s, all_shown=all_shown) or status


def _lacking(
    snapshot: Snapshot, statuses: Mapping[ObjectRef, ObjectStatus], services: Mapping[ObjectRef, Serving]
) -> dict[ObjectRef, list[Evidence]]:
    """The Services without endpoints, and what that proves: nothing where something else is the reason."""
    return {
        ref: of_endpoints(ref, snapshot.objects[ref], serving)
        for ref, serving in services.items()
        if statuses[ref].reason == NO_ENDPOINTS
    }


def _excused(target: Target, obj: Object | None, index: _Index) -> int:
    if obj is None or not index.nodes or target.ref.group_kind != ("apps", "DaemonSet"):
        return 0
    return excused(obj, index.pods.get(uid(obj), []), index.nodes, target.since)


def _status(
    target: Target,
    obj: Object | None,
    log: RolloutLog,
    policy: Rollout,
    now: float,
    *,
    excused_nodes: int = 0,
    serving: Serving | None = None,
) -> ObjectStatus:
    if target.gone:
        return _gone(target, obj)
    if obj is None:
        # A Job with ttlSecondsAfterFinished may vanish between its end and our last look.
        done = log.finished.get(target.ref)
        return done or ObjectStatus(Status.NOT_FOUND, "NotFound", "does not exist")
    if target.uid and uid(obj) != target.uid:
        return waiting("Replaced", "is another object than the one that was written")
    if number(obj, "metadata", "generation") < target.generation:
        return waiting("NotObserved", "the change has not been seen in the cluster yet")
    slices = serving.slices or () if serving else ()
    try:
        status = assess(
            obj,
            rules=policy.rules,
            has_status_subresource=target.has_status_subresource,
            since=target.since,
            now=now,
            wait_for_first_consumer=target.wait_for_first_consumer,
            class_exists=target.class_exists,
            endpoints=ready_endpoints(obj, slices) if serving else None,
            target_exists=target.target_exists,
            excused_nodes=excused_nodes,
        )
    except ValueError as error:
        # Validation has read the rules of the manifest; these are someone else's, on the live object.
        return unknown("RuleInvalid", str(error))
    if serving and status.reason == NO_ENDPOINTS:
        return replace(status, message=lack(obj, serving))
    return status


def _owned(obj: Object, index: _Index) -> tuple[list[Object], list[Object], list[Object]]:
    """Its pods, its ReplicaSets and its ControllerRevisions."""
    replica_sets = index.replica_sets.get(uid(obj), [])
    owners = [uid(obj), *(uid(replica_set) for replica_set in replica_sets)]
    pods = [pod for owner in owners if owner for pod in index.pods.get(owner, [])]
    return pods, replica_sets, index.controller_revisions.get(uid(obj), [])


def _gone(target: Target, obj: Object | None) -> ObjectStatus:
    if obj is None or (target.uid and uid(obj) != target.uid):
        return ObjectStatus(Status.CURRENT, "Deleted", "is gone")
    return terminating(obj) if is_deleting(obj) else waiting("Deleting", "is still there")


def _evidence(
    target: Target, obj: Object | None, index: _Index, memory: Mapping[tuple[str, str], str], now: float
) -> list[Evidence]:
    if obj is None or target.gone or target.ref.group_kind not in WORKLOADS:
        return []
    pods, replica_sets, revisions = _owned(obj, index)
    return evidence(
        obj,
        replica_sets,
        pods,
        index.events,
        now,
        memory,
        since=target.since,
        controller_revisions=revisions,
    )


_ENDS: Mapping[Status, tuple[str, ...]] = {
    Status.CURRENT: ("Complete", "Succeeded"),
    Status.FAILED: ("JobFailed", "JobDeadlineExceeded", "PodFailed"),
}
"""How runs end: nothing comes after it but the clean-up."""


def _finished(statuses: Mapping[ObjectRef, ObjectStatus], log: RolloutLog) -> dict[ObjectRef, ObjectStatus]:
    ended = {ref: status for ref, status in statuses.items() if status.reason in _ENDS.get(status.status, ())}
    return {**log.finished, **ended}
