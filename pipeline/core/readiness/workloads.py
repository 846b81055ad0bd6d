"""Deployment, StatefulSet, DaemonSet, ReplicaSet: counts of replicas, and the traps between them.

Rules as in kstatus (cli-utils, pkg/kstatus/status/core.go), with its gaps closed.
"""

from __future__ import annotations

from pipeline.core.readiness.verdicts import Facts, current, failed, waiting
from pipeline.core.reading import condition, condition_is, number, seconds, text
from pipeline.model.objects import Object, get_path
from pipeline.model.status import ObjectStatus

_NO_DEADLINE = 2**31 - 1  # what the API documents as "never" for progressDeadlineSeconds
_DEADLINE = 600  # the API's default


def deployment(obj: Object, facts: Facts) -> ObjectStatus:
    """Complete when every wanted replica is updated and available and no old one is left."""
    wanted = number(obj, "spec", "replicas", default=1)
    progress = (min(_count(obj, "updatedReplicas"), _count(obj, "availableReplicas")), wanted)
    unseen = _unseen(obj, progress)
    if unseen:
        return unseen
    progressing = condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded" and progressing.get("status") == "False":
        if _deadline_is_stale(obj, facts):
            message = "made no progress before this deploy; none is recorded since"
            return waiting("StaleDeadline", message, progress=progress)
        message = text(progressing, "message") or "made no progress within its deadline"
        return failed("ProgressDeadlineExceeded", message, progress=progress)
    lack = _lack(obj, wanted) or _unconfirmed(obj, wanted)
    if get_path(obj, "spec", "paused") is True:
        if lack:
            return waiting("Paused", f"is paused: {lack[1]}", progress=progress)
        return current("Paused", progress=progress, warning="is paused: later changes will not roll out")
    if lack:
        return waiting(*lack, progress=progress)
    return current("Available", f"{wanted} of {wanted} replicas are available", progress=progress)


def _lack(obj: Object, wanted: int) -> tuple[str, str] | None:
    """What is missing yet, in the order in which it comes about."""
    total, updated = _count(obj, "replicas"), _count(obj, "updatedReplicas")
    available, ready = _count(obj, "availableReplicas"), _count(obj, "readyReplicas")
    if updated < wanted:
        return "Updating", f"{updated} of {wanted} replicas are updated"
    if total > updated:
        return "OldReplicas", f"{total - updated} old replicas are still there"
    if total > wanted:
        return "Surplus", f"{total - wanted} replicas too many are still there"
    if available < wanted:
        return "Unavailable", f"{available} of {wanted} replicas are available"
    if ready < wanted:
        return "Unready", f"{ready} of {wanted} replicas are ready"
    return None


def _unconfirmed(obj: Object, wanted: int) -> tuple[str, str] | None:
    """What the controller has not said yet though the counts are right.

    The counts may be those of the ReplicaSet before, in the moment between a new template and
    its ReplicaSet; a Deployment with zero replicas has nothing that could be mistaken.
    """
    if wanted == 0 or get_path(obj, "spec", "paused") is True:
        return None
    limit = number(obj, "spec", "progressDeadlineSeconds", default=_NO_DEADLINE)
    reason = condition(obj, "Progressing").get("reason")
    if limit < _NO_DEADLINE and reason != "NewReplicaSetAvailable":
        return "Unconfirmed", "the new ReplicaSet is not reported as available yet"
    if not condition_is(obj, "Available", "True"):
        return "Unconfirmed", "is not reported as available yet"
    return None


def _deadline_is_stale(obj: Object, facts: Facts) -> bool:
    """Whether an exceeded deadline is that of an earlier rollout.

    Back to a ReplicaSet that exists, the Deployment keeps the old condition with a matching
    observedGeneration until progress is recorded (kubernetes pkg/controller/deployment/progress.go).
    Nothing that follows from our write can exceed the deadline before the deadline is over; after
    that, a condition that still stands means that there was no progress since either.
    """
    if facts.since is None:
        return False
    updated = seconds(condition(obj, "Progressing").get("lastUpdateTime"))
    end = facts.since + number(obj, "spec", "progressDeadlineSeconds", default=_DEADLINE)
    if facts.now is None:
        return updated is None or updated <= facts.since
    # The server's times are whole seconds, so a deadline may look a second early.
    return facts.now < end and (updated is None or updated + 1 < end)


def stateful_set(obj: Object, facts: Facts) -> ObjectStatus:
    """Complete when all replicas are ready and those above the partition are updated."""
    wanted = number(obj, "spec", "replicas", default=1)
    ready, updated = _count(obj, "readyReplicas"), _count(obj, "updatedReplicas")
    progress = (min(ready, wanted), wanted)
    unseen = _unseen(obj, progress)
    if unseen:
        return unseen
    on_delete = text(obj, "spec", "updateStrategy", "type") == "OnDelete"
    if not on_delete:
        partition = number(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
        due = max(0, wanted - partition)
        # Not by comparing the revisions: back on a half-rolled-out template they are equal, with a pod
        # of the bad revision still there.
        if updated < due:
            return waiting("Updating", f"{updated} of {due} replicas are updated", progress=(updated, wanted))
    lack = _stateful_lack(obj, wanted)
    if lack:
        return waiting(*lack, progress=progress)
    warning = ""
    if on_delete and updated < wanted:
        warning = f"{wanted - updated} pods run the old revision until someone deletes them (OnDelete)"
    return current("Ready", f"{ready} of {wanted} replicas are ready", progress=progress, warning=warning)


def _stateful_lack(obj: Object, wanted: int) -> tuple[str, str] | None:
    total, ready = _count(obj, "replicas"), _count(obj, "readyReplicas")
    if total < wanted:
        return "Creating", f"{total} of {wanted} replicas exist"
    if ready < wanted:
        return "Unready", f"{ready} of {wanted} replicas are ready"
    if total > wanted:
        return "Surplus", f"{total - wanted} replicas too many are still there"
    if number(obj, "spec", "minReadySeconds") > 0 and _count(obj, "availableReplicas") < wanted:
        return "Unavailable", f"{_count(obj, 'availableReplicas')} of {wanted} replicas are available"
    return None


def daemon_set(obj: Object, facts: Facts) -> ObjectStatus:
    """Complete when every node that should run the pod has it, updated and available."""
    wanted = _count(obj, "desiredNumberScheduled")
    updated, available = _count(obj, "updatedNumberScheduled"), _count(obj, "numberAvailable")
    on_delete = text(obj, "spec", "updateStrategy", "type") == "OnDelete"
    progress = (available if on_delete else min(updated, available), wanted)
    unseen = _unseen(obj, progress)
    if unseen:
        return unseen
    if _count(obj, "currentNumberScheduled") < wanted:
        scheduled = _count(obj, "currentNumberScheduled")
        return waiting("Scheduling", f"{scheduled} of {wanted} nodes have a pod", progress=progress)
    if updated < wanted and not on_delete:
        return waiting("Updating", f"{updated} of {wanted} pods are updated", progress=progress)
    if min(available, _count(obj, "numberReady")) < wanted:
        return waiting("Unavailable", f"{available} of {wanted} pods are available", progress=progress)
    warning = "" if wanted else "no node matches, so no pod runs"
    if on_delete and updated < wanted:
        warning = f"{wanted - updated} pods run the old template until someone deletes them (OnDelete)"
    return current("Ready", f"{available} of {wanted} pods are available", progress=progress, warning=warning)


def replica_set(obj: Object, facts: Facts) -> ObjectStatus:
    wanted = number(obj, "spec", "replicas", default=1)
    available = _count(obj, "availableReplicas")
    progress = (min(available, wanted), wanted)
    unseen = _unseen(obj, progress)
    if unseen:
        return unseen
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") == "True":
        return waiting("ReplicaFailure", text(failure, "message") or "cannot create pods", progress=progress)
    if min(available, _count(obj, "readyReplicas")) < wanted:
        return waiting("Unavailable", f"{available} of {wanted} replicas are available", progress=progress)
    if _count(obj, "replicas") > wanted:
        return waiting("Surplus", "replicas too many are still there", progress=progress)
    return current("Available", f"{available} of {wanted} replicas are available", progress=progress)


def _count(obj: Object, name: str) -> int:
    return number(obj, "status", name)


def _unseen(obj: Object, progress: tuple[int, int]) -> ObjectStatus | None:
    """These controllers always report the generation; without it they have not been there yet."""
    if number(obj, "status", "observedGeneration", default=-1) >= 0:
        return None
    return waiting("NotObserved", "its controller has not seen it yet", progress=progress)
