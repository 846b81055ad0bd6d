"""Deployment, StatefulSet, DaemonSet, ReplicaSet: counts of replicas, and the traps between them.

Rules as in kstatus (cli-utils, pkg/kstatus/status/core.go), with its gaps closed.
"""

from __future__ import annotations

from pipeline.core.readiness.verdicts import Facts, current, failed, several, waiting
from pipeline.core.reading import condition, condition_is, number, seconds, text
from pipeline.model.objects import Object, get_path
from pipeline.model.status import ObjectStatus

_NO_DEADLINE = 2**31 - 1  # what the API documents as "never" for progressDeadlineSeconds
_DEADLINE = 600  # the API's default


def deployment(obj: Object, facts: Facts) -> ObjectStatus:
    """Complete when every wanted replica is updated and available and no old one is left.

    As DeploymentComplete (kubernetes pkg/controller/deployment/util), which asks for updatedReplicas,
    replicas and availableReplicas. ``spec.replicas`` is the live one, whoever set it: an autoscaler's
    number counts. Pods on their way out are in none of the counts, so a long goodbye holds up nothing.
    """
    wanted = number(obj, "spec", "replicas", default=1)
    progress = (min(_count(obj, "updatedReplicas"), _count(obj, "availableReplicas")), wanted)
    unseen = _unseen(obj, progress)
    if unseen:
        return unseen
    lack = _lack(obj, wanted)
    if get_path(obj, "spec", "paused") is True:
        return _paused(lack, progress)
    late = _deadline(obj, facts, progress)
    if late:
        return late
    lack = lack or _unconfirmed(obj, wanted)
    if lack:
        return waiting(*_with_failure(obj, lack), progress=progress)
    said = f"{wanted} of {wanted} replicas are available" if wanted else "is scaled to zero"
    return current("Available", said, progress=progress)


def _paused(lack: tuple[str, str] | None, progress: tuple[int, int]) -> ObjectStatus:
    """A paused Deployment still scales, but makes no ReplicaSet for a new template.

    Its deadline stands still ("progress will not be estimated during the time a deployment is paused":
    apps/v1 DeploymentSpec), so what the Progressing condition says is from before.
    """
    if lack is None:
        return current("Paused", progress=progress, warning="is paused: later changes will not roll out")
    reason, message = lack
    if reason in ("Updating", "OldReplicas"):
        return waiting("Paused", f"is paused, and its change waits: {message}", progress=progress)
    return waiting(reason, message, progress=progress)


def _deadline(obj: Object, facts: Facts, progress: tuple[int, int]) -> ObjectStatus | None:
    found = condition(obj, "Progressing")
    if found.get("reason") != "ProgressDeadlineExceeded" or found.get("status") != "False":
        return None
    if _deadline_is_stale(obj, facts):
        message = "made no progress before this deploy; none is recorded since"
        return waiting("StaleDeadline", message, progress=progress)
    message = text(found, "message") or "made no progress within its deadline"
    return failed("ProgressDeadlineExceeded", message, progress=progress)


def _with_failure(obj: Object, lack: tuple[str, str]) -> tuple[str, str]:
    """What is missing; where pods are refused (quota, admission), that is why.

    "ReplicaFailure is added in a deployment when one of its pods fails to be created or deleted"
    (apps/v1). It is not final: a quota may be raised.
    """
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") != "True":
        return lack
    why = text(failure, "message") or text(failure, "reason") or "its pods are refused"
    return "ReplicaFailure", f"{lack[1]}: {why}"


def _lack(obj: Object, wanted: int) -> tuple[str, str] | None:
    """What is missing yet, in the order in which it comes about."""
    total, updated = _count(obj, "replicas"), _count(obj, "updatedReplicas")
    available, ready = _count(obj, "availableReplicas"), _count(obj, "readyReplicas")
    if updated < wanted:
        return "Updating", f"{updated} of {wanted} replicas are updated"
    if total > updated:
        return "OldReplicas", f"{several(total - updated, 'old replica is', 'old replicas are')} still there"
    if total > wanted:
        return "Surplus", _too_many(total - wanted)
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
    if wanted == 0:
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
    """Complete when all replicas are ready and those above the partition are updated.

    "If a partition is specified, all Pods with an ordinal that is greater than or equal to the partition
    will be updated when the StatefulSet's .spec.template is updated" (StatefulSet documentation); with
    OnDelete the controller leaves every pod as it is (kubernetes pkg/controller/statefulset). An
    ordered set whose bad pod blocks its own revert counts as still updating; the evidence says what holds it.
    """
    wanted = number(obj, "spec", "replicas", default=1)
    ready, updated = _count(obj, "readyReplicas"), _count(obj, "updatedReplicas")
    progress = (min(ready, wanted), wanted)
    unseen = _unseen(obj, progress)
    if unseen:
        return unseen
    on_delete = text(obj, "spec", "updateStrategy", "type") == "OnDelete"
    partition = 0 if on_delete else number(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    due = 0 if on_delete else max(0, wanted - partition)
    # Not by comparing the revisions: back on a half-rolled-out template they are equal, with a pod of the
    # bad revision still there. And once the counts are right the controller has made them equal itself.
    if updated < due:
        return waiting("Updating", f"{updated} of {due} replicas are updated", progress=(updated, wanted))
    lack = _stateful_lack(obj, wanted)
    if lack:
        return waiting(*lack, progress=progress)
    warning = ""
    if updated < wanted:
        why = "until someone deletes them (OnDelete)" if on_delete else f"below the partition {partition}"
        warning = f"{several(wanted - updated, 'pod runs', 'pods run')} the old revision {why}"
    said = f"{ready} of {wanted} replicas are ready" if wanted else "is scaled to zero"
    return current("Ready", said, progress=progress, warning=warning)


def _stateful_lack(obj: Object, wanted: int) -> tuple[str, str] | None:
    total, ready = _count(obj, "replicas"), _count(obj, "readyReplicas")
    if total < wanted:
        return "Creating", f"{total} of {wanted} replicas exist"
    if ready < wanted:
        return "Unready", f"{ready} of {wanted} replicas are ready"
    if total > wanted:
        return "Surplus", _too_many(total - wanted)
    if number(obj, "spec", "minReadySeconds") > 0 and _count(obj, "availableReplicas") < wanted:
        return "Unavailable", f"{_count(obj, 'availableReplicas')} of {wanted} replicas are available"
    return None


def daemon_set(obj: Object, facts: Facts) -> ObjectStatus:
    """Complete when every node that should run the pod has it, updated and available.

    "The total number of nodes that should be running the daemon pod" (apps/v1 desiredNumberScheduled)
    counts nodes that are cordoned, since daemon pods tolerate that taint (kubernetes
    pkg/controller/daemon/util), that came a moment ago, or that are not ready and not tainted for it yet.
    Such a node may lack its pod for ever, so the caller may excuse it. ``maxUnavailable`` paces the
    rollout; it is not its end.
    """
    wanted = _count(obj, "desiredNumberScheduled")
    updated, available = _count(obj, "updatedNumberScheduled"), _count(obj, "numberAvailable")
    on_delete = text(obj, "spec", "updateStrategy", "type") == "OnDelete"
    progress = (available if on_delete else min(updated, available), wanted)
    unseen = _unseen(obj, progress)
    if unseen:
        return unseen
    lack = _daemon_lack(obj, on_delete=on_delete)
    # Of pods that run nowhere no node is to blame.
    if lack and lack[2] > min(facts.excused_nodes, wanted - 1):
        return waiting(lack[0], lack[1], progress=progress)
    warning = "" if wanted else "no node matches, so no pod runs"
    if lack:
        warning = f"{lack[1]}; the rest is for nodes that are not ready, cordoned or new"
    elif on_delete and updated < wanted:
        old = several(wanted - updated, "pod runs", "pods run")
        warning = f"{old} the old template until someone deletes them (OnDelete)"
    return current("Ready", f"{available} of {wanted} pods are available", progress=progress, warning=warning)


def _daemon_lack(obj: Object, *, on_delete: bool) -> tuple[str, str, int] | None:
    """What most nodes lack: a word, a sentence, how many. ``excused_nodes`` speaks for that many."""
    wanted, scheduled = _count(obj, "desiredNumberScheduled"), _count(obj, "currentNumberScheduled")
    updated = wanted if on_delete else _count(obj, "updatedNumberScheduled")
    available = min(_count(obj, "numberAvailable"), _count(obj, "numberReady"))
    lacks = (
        ("Scheduling", f"{scheduled} of {wanted} nodes have a pod", wanted - scheduled),
        ("Updating", f"{updated} of {wanted} pods are updated", wanted - updated),
        ("Unavailable", f"{available} of {wanted} pods are available", wanted - available),
    )
    most = max(count for _, _, count in lacks)
    first = next((lack for lack in lacks if lack[2] > 0), None)
    return (*first[:2], most) if first else None


def replica_set(obj: Object, facts: Facts) -> ObjectStatus:
    """Complete when as many pods as wanted are available, and no more. A ReplicationController likewise.

    "ReplicaFailure is added in a replica set when one of its pods fails to be created due to insufficient
    quota, limit ranges, pod security policy, node selectors, etc." (apps/v1): not final, as kstatus says too.
    """
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
    surplus = _count(obj, "replicas") - wanted
    if surplus > 0:
        return waiting("Surplus", _too_many(surplus), progress=progress)
    return current("Available", f"{available} of {wanted} replicas are available", progress=progress)


def _too_many(surplus: int) -> str:
    return f"{several(surplus, 'replica is', 'replicas are')} still there beyond those wanted"


def _count(obj: Object, name: str) -> int:
    return number(obj, "status", name)


def _unseen(obj: Object, progress: tuple[int, int]) -> ObjectStatus | None:
    """These controllers always report the generation; without it they have not been there yet."""
    if number(obj, "status", "observedGeneration", default=-1) >= 0:
        return None
    return waiting("NotObserved", "its controller has not seen it yet", progress=progress)
