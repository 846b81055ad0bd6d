"""Readiness of workloads, also where other tools judge wrongly: a row is a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.readiness import assess
from pipeline.model.status import Status
from tests.kube_objects import (
    T0,
    at,
    condition,
    daemon_set,
    deployment,
    ended,
    having,
    job,
    pod,
    replica_set,
    rolling,
    running,
    simple,
    stateful_set,
    waiting,
)
from tests.unit.judging import is_current_with_a_warning, is_judged, is_told

C, P, F = Status.CURRENT, Status.IN_PROGRESS, Status.FAILED
U, T = Status.UNKNOWN, Status.TERMINATING


def exceeded(when: float) -> Any:
    return condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out", lastUpdateTime=at(when))


def paused(obj: Any) -> Any:
    return having(obj, "spec", "paused", value=True)


def partitioned(partition: int, **status: Any) -> Any:
    path = ("spec", "updateStrategy", "rollingUpdate")
    return having(stateful_set(**status), *path, value={"partition": partition})


def on_delete(obj: Any) -> Any:
    return having(obj, "spec", "updateStrategy", value={"type": "OnDelete"})


def finite_pod(*states: Any, policy: str = "Never", probe: bool = False, **more: Any) -> Any:
    container = {"name": "web", "image": "a:1", **({"readinessProbe": {}} if probe else {})}
    spec = {"restartPolicy": policy, "containers": [container]}
    return pod(*states, spec=spec, **{"phase": "Running", "conditions": [condition("Ready")], **more})


ROWS = {
    # Deployment
    "a complete Deployment is Current": (deployment(), C, "Available"),
    "a Deployment whose new spec is unseen is not ready": (
        deployment(observedGeneration=1),
        P,
        "NotObserved",
    ),
    "a Deployment without any status is not ready": (
        having(deployment(), "status", value={}),
        P,
        "NotObserved",
    ),
    "a Deployment with too few updated replicas is not ready": (rolling(), P, "Updating"),
    "a Deployment with an old replica left is not ready": (deployment(replicas=3), P, "OldReplicas"),
    "a Deployment with an unavailable replica is not ready": (
        deployment(availableReplicas=1),
        P,
        "Unavailable",
    ),
    "right counts do not count before the new ReplicaSet is reported": (
        deployment(condition("Available"), condition("Progressing", reason="ReplicaSetUpdated")),
        P,
        "Unconfirmed",
    ),
    "a Deployment of zero replicas is Current": (
        deployment(condition("Available"), wanted=0),
        C,
        "Available",
    ),
    "a Deployment scaled to zero waits for its pods to go": (
        deployment(condition("Available"), wanted=0, replicas=2, updatedReplicas=2),
        P,
        "Surplus",
    ),
    "a paused Deployment with a pending template is not ready": (
        having(rolling(), "spec", "paused", value=True),
        P,
        "Paused",
    ),
    "a paused Deployment that is complete is Current": (
        having(deployment(), "spec", "paused", value=True),
        C,
        "Paused",
    ),
    "an exceeded deadline fails a Deployment": (deployment(exceeded(5)), F, "ProgressDeadlineExceeded"),
    "a Deployment being deleted is Terminating": (
        having(deployment(), "metadata", "deletionTimestamp", value=at(1)),
        T,
        "Terminating",
    ),
    "a paused Deployment is not failed by a deadline from before": (
        paused(rolling(conditions=[exceeded(5)])),
        P,
        "Paused",
    ),
    "a paused Deployment whose old pods are left waits to be resumed": (
        paused(deployment(replicas=3)),
        P,
        "Paused",
    ),
    "a paused Deployment that lacks a pod lacks a pod": (
        paused(deployment(availableReplicas=1)),
        P,
        "Unavailable",
    ),
    "a Deployment whose pods are refused says so": (
        rolling(conditions=[condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")]),
        P,
        "ReplicaFailure",
    ),
    "a Deployment at zero whose observedGeneration is a string is Current": (
        deployment(wanted=0, observedGeneration="2"),
        C,
        "Available",
    ),
    "a Deployment whose observedGeneration is an old string is not ready": (
        deployment(observedGeneration="1"),
        P,
        "NotObserved",
    ),
    "a Deployment counts the replicas that its autoscaler wants": (
        having(deployment(), "spec", "replicas", value=5),
        P,
        "Updating",
    ),
    "a Deployment without deadline needs no word about progress": (
        having(deployment(condition("Available")), "spec", "progressDeadlineSeconds", value=2**31 - 1),
        C,
        "Available",
    ),
    "pods on their way out do not hold up a Deployment": (deployment(terminatingReplicas=2), C, "Available"),
    # StatefulSet
    "a complete StatefulSet is Current": (stateful_set(), C, "Ready"),
    "a StatefulSet with an unready replica is not ready": (stateful_set(readyReplicas=2), P, "Unready"),
    "a StatefulSet with old pods is not ready though all are": (
        stateful_set(updatedReplicas=1),
        P,
        "Updating",
    ),
    "a StatefulSet back on a half-rolled-out revision waits for the bad pod": (
        stateful_set(updatedReplicas=2, currentRevision="db-b"),
        P,
        "Updating",
    ),
    "a partition needs only the replicas above it": (
        having(
            stateful_set(updatedReplicas=1), "spec", "updateStrategy", "rollingUpdate", value={"partition": 2}
        ),
        C,
        "Ready",
    ),
    "OnDelete waits for nobody to delete pods": (
        having(stateful_set(updatedReplicas=0), "spec", "updateStrategy", value={"type": "OnDelete"}),
        C,
        "Ready",
    ),
    "a partition above all replicas updates nothing": (partitioned(3, updatedReplicas=0), C, "Ready"),
    "a partition still needs the replicas above it": (partitioned(1, updatedReplicas=1), P, "Updating"),
    "an OnDelete StatefulSet with an unready pod is not ready": (
        on_delete(stateful_set(readyReplicas=2)),
        P,
        "Unready",
    ),
    "an ordered StatefulSet that its bad pod blocks is in progress": (
        stateful_set(updatedReplicas=0, readyReplicas=2),
        P,
        "Updating",
    ),
    "a StatefulSet at zero is Current": (stateful_set(0), C, "Ready"),
    "a StatefulSet scaled to zero waits for its pods to go": (
        having(stateful_set(0), "status", "replicas", value=1),
        P,
        "Surplus",
    ),
    "a StatefulSet with minReadySeconds waits until its pods are available": (
        having(stateful_set(availableReplicas=2), "spec", "minReadySeconds", value=10),
        P,
        "Unavailable",
    ),
    # DaemonSet, ReplicaSet
    "a complete DaemonSet is Current": (daemon_set(), C, "Ready"),
    "a DaemonSet with old pods is not ready": (daemon_set(updatedNumberScheduled=1), P, "Updating"),
    "an OnDelete DaemonSet with old pods is Current": (
        having(daemon_set(updatedNumberScheduled=1), "spec", "updateStrategy", value={"type": "OnDelete"}),
        C,
        "Ready",
    ),
    "a DaemonSet that its controller has not seen is not ready": (
        having(daemon_set(0), "status", value={"desiredNumberScheduled": 0}),
        P,
        "NotObserved",
    ),
    "a ReplicaSet with its pod is Current": (
        replica_set(availableReplicas=1, readyReplicas=1),
        C,
        "Available",
    ),
    "a ReplicaSet that cannot create pods is not ready": (
        replica_set(conditions=[condition("ReplicaFailure", "True", "FailedCreate", "quota")]),
        P,
        "ReplicaFailure",
    ),
    "a DaemonSet that no node wants is Current": (daemon_set(0), C, "Ready"),
    "a DaemonSet whose new node has no pod yet is not ready": (
        daemon_set(currentNumberScheduled=2),
        P,
        "Scheduling",
    ),
    "a DaemonSet is not ready while one pod is unavailable, however many may be": (
        having(
            daemon_set(numberAvailable=2),
            "spec",
            "updateStrategy",
            "rollingUpdate",
            value={"maxUnavailable": 1},
        ),
        P,
        "Unavailable",
    ),
    "a ReplicaSet at zero is Current": (
        having(replica_set(replicas=0), "spec", "replicas", value=0),
        C,
        "Available",
    ),
    "a ReplicaSet with too many pods is not ready": (
        replica_set(replicas=2, availableReplicas=2, readyReplicas=2),
        P,
        "Surplus",
    ),
    # Job, CronJob, Pod
    "a Job that runs is not ready": (job(active=1, startTime=at(1)), P, "Running"),
    "a completed Job is Current": (job(condition("Complete"), succeeded=1), C, "Complete"),
    "a Job out of retries has failed": (
        job(condition("Failed", reason="BackoffLimitExceeded")),
        F,
        "JobFailed",
    ),
    "a Job past its deadline has failed so": (
        job(condition("Failed", reason="DeadlineExceeded")),
        F,
        "JobDeadlineExceeded",
    ),
    "a suspended Job is Current": (having(job(), "spec", "suspend", value=True), C, "Suspended"),
    "a CronJob is Current at once": (simple("batch/v1", "CronJob", spec={}), C, "Exists"),
    "a failed Pod has failed": (pod(phase="Failed"), F, "PodFailed"),
    "a Pod that ran to its end is Current": (pod(phase="Succeeded"), C, "Succeeded"),
    "a running Pod that is ready is Current": (
        pod(running(ready=True), phase="Running", conditions=[condition("Ready")]),
        C,
        "Ready",
    ),
    "a running Pod that is not ready is not": (
        pod(running(ready=False), phase="Running", conditions=[condition("Ready", "False")]),
        P,
        "Running",
    ),
    "a Pod that pulls its image is not ready": (pod(waiting("ContainerCreating")), P, "Pending"),
    "a Job that is about to fail has failed": (
        job(condition("FailureTarget", reason="PodFailurePolicy")),
        F,
        "JobFailed",
    ),
    "a Job past its deadline has failed before its pods are gone": (
        job(condition("FailureTarget", reason="DeadlineExceeded")),
        F,
        "JobDeadlineExceeded",
    ),
    "a Job whose success policy is met waits for its last pods": (
        job(condition("SuccessCriteriaMet", reason="SuccessPolicy")),
        P,
        "Ending",
    ),
    "a Job by success policy is Current once it is complete": (
        job(condition("SuccessCriteriaMet"), condition("Complete", reason="SuccessPolicy")),
        C,
        "Complete",
    ),
    "an indexed Job with failed indexes has failed": (
        job(condition("Failed", reason="FailedIndexes"), failedIndexes="1,3-5"),
        F,
        "JobFailed",
    ),
    "a resumed Job is not Current by its old condition": (job(condition("Suspended")), P, "Resuming"),
    "a suspended Job that had failed has failed": (
        having(job(condition("Failed")), "spec", "suspend", value=True),
        F,
        "JobFailed",
    ),
    "a Job that a queue holds back is not done": (
        having(
            having(job(), "spec", "suspend", value=True),
            "metadata",
            "labels",
            value={"kueue.x-k8s.io/queue-name": "team"},
        ),
        P,
        "Queued",
    ),
    "a Job that has failures and retries left is not failed": (job(failed=2, active=1), P, "Running"),
    "a suspended CronJob is Current": (simple("batch/v1", "CronJob", spec={"suspend": True}), C, "Suspended"),
    "a Pod that is not restarted counts at its end": (finite_pod(running(ready=True)), P, "Running"),
    "a Pod that is restarted on failure only counts at its end": (
        finite_pod(running(ready=True), policy="OnFailure"),
        P,
        "Running",
    ),
    "a Pod with a readiness probe serves, restarted or not": (
        finite_pod(running(ready=True), probe=True),
        C,
        "Ready",
    ),
    "an evicted bare Pod has failed": (pod(phase="Failed", reason="Evicted"), F, "PodFailed"),
    "a Pod on a lost node is not ready": (pod(phase="Unknown"), P, "Unknown"),
}


WARNINGS = {
    "of a partition that holds pods back": (partitioned(2, updatedReplicas=1), "2 pods run the old revision"),
    "of OnDelete pods that nobody deletes": (
        on_delete(stateful_set(updatedReplicas=1)),
        "2 pods run the old revision until someone deletes them",
    ),
    "of a single pod": (partitioned(1, updatedReplicas=2), "1 pod runs the old revision below"),
    "of a suspended CronJob": (simple("batch/v1", "CronJob", spec={"suspend": True}), "starts no Jobs"),
}


MESSAGES = {
    "says why pods are refused": (
        rolling(conditions=[condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")]),
        "1 of 2 replicas are updated: exceeded quota",
    ),
    "names failed indexes": (
        job(condition("Failed", message="has failed indexes"), failedIndexes="1,3-5"),
        "indexes 1,3-5",
    ),
    "names the init container that waits": (
        pod(initContainerStatuses=[waiting("CrashLoopBackOff", name="setup")]),
        "container setup waits: CrashLoopBackOff",
    ),
    "names the init container that failed": (
        pod(phase="Failed", initContainerStatuses=[{"name": "setup", "state": {"terminated": ended(3)}}]),
        "container setup exited with 3",
    ),
    "names the sidecar that keeps a Pod running": (
        finite_pod(
            {"name": "work", "state": {"terminated": ended(0)}},
            running(ready=True) | {"name": "proxy"},
        ),
        "container work has ended, proxy still runs",
    ),
}


@pytest.mark.parametrize("sentence", ROWS)
def test_every_workload_is_judged_by_its_rule(sentence: str) -> None:
    is_judged(*ROWS[sentence])


@pytest.mark.parametrize("sentence", WARNINGS)
def test_what_is_odd_about_a_current_object_is_a_warning(sentence: str) -> None:
    is_current_with_a_warning(*WARNINGS[sentence])


@pytest.mark.parametrize("sentence", MESSAGES)
def test_the_message(sentence: str) -> None:
    is_told(*MESSAGES[sentence])


def test_the_live_view_gets_counts() -> None:
    assert assess(rolling(updatedReplicas=1, availableReplicas=2)).progress == (1, 2)
    assert assess(job(succeeded=0)).progress == (0, 1)


def test_on_delete_is_told_in_a_warning() -> None:
    obj = having(daemon_set(updatedNumberScheduled=1), "spec", "updateStrategy", value={"type": "OnDelete"})

    assert "2 pods run the old template" in assess(obj).warning


def test_a_crashed_bare_pod_says_how_it_ended() -> None:
    state = {"name": "web", "state": {"terminated": ended(3)}}

    assert assess(pod(state, phase="Failed")).message == "container web exited with 3"


def test_a_paused_deployment_is_not_failed_by_a_deadline_that_passed_since_the_write() -> None:
    obj = paused(rolling(conditions=[exceeded(601)]))

    assert assess(obj, since=T0, now=T0 + 602).reason == "Paused"


class TestAnExceededDeadline:
    """After a revert the old condition stays, with a matching generation, until progress is recorded."""

    def test_that_is_older_than_our_write_is_no_evidence(self) -> None:
        verdict = assess(deployment(exceeded(-30)), since=T0)

        assert (verdict.status, verdict.reason) == (Status.IN_PROGRESS, "StaleDeadline")

    def test_that_is_newer_than_our_write_is_evidence(self) -> None:
        assert assess(deployment(exceeded(601)), since=T0).status is Status.FAILED
        assert assess(deployment(exceeded(601)), since=T0, now=T0 + 602).status is Status.FAILED

    def test_cannot_follow_from_a_write_whose_deadline_is_not_over(self) -> None:
        assert assess(deployment(exceeded(2)), since=T0, now=T0 + 3).reason == "StaleDeadline"

    def test_still_standing_after_our_own_deadline_means_that_nothing_moved(self) -> None:
        assert assess(deployment(exceeded(-30)), since=T0, now=T0 + 601).status is Status.FAILED

    def test_of_an_object_that_we_did_not_write_is_evidence(self) -> None:
        assert assess(deployment(exceeded(-30))).status is Status.FAILED


class TestNodesThatAreExcused:
    def test_make_up_for_the_pods_that_they_lack(self) -> None:
        verdict = assess(daemon_set(numberAvailable=2, numberReady=2), excused_nodes=1)

        assert verdict.status is C
        assert "2 of 3 pods are available" in verdict.warning

    def test_make_up_for_no_more_than_that(self) -> None:
        assert assess(daemon_set(numberAvailable=1, numberReady=1), excused_nodes=1).reason == "Unavailable"
        assert assess(daemon_set(updatedNumberScheduled=1), excused_nodes=1).reason == "Updating"

    def test_are_no_excuse_for_pods_that_run_nowhere(self) -> None:
        assert assess(daemon_set(numberAvailable=0, numberReady=0), excused_nodes=3).status is P
