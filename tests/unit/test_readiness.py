"""Readiness, kind by kind: each row is a sentence, an object and the verdict."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from pipeline.core.readiness import assess
from pipeline.model.environment import ReadyRule
from pipeline.model.status import Status
from tests.kube_objects import (
    T0,
    at,
    condition,
    daemon_set,
    deployment,
    ended,
    job,
    pod,
    replica_set,
    rolling,
    running,
    simple,
    stateful_set,
    waiting,
)

C, P, F = Status.CURRENT, Status.IN_PROGRESS, Status.FAILED
U, T = Status.UNKNOWN, Status.TERMINATING


def having(obj: Any, *path: Any, value: Any) -> Any:
    """The object with one field changed."""
    obj = deepcopy(obj)
    at_ = obj
    for step in path[:-1]:
        at_ = at_.setdefault(step, {})
    at_[path[-1]] = value
    return obj


def exceeded(when: float) -> Any:
    return condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out", lastUpdateTime=at(when))


def claim(phase: str) -> Any:
    return simple("v1", "PersistentVolumeClaim", spec={"storageClassName": "gp3"}, status={"phase": phase})


def service(kind: str, *ingress: Any) -> Any:
    return simple("v1", "Service", spec={"type": kind}, status={"loadBalancer": {"ingress": list(ingress)}})


def ingress(*entries: Any) -> Any:
    return simple(
        "networking.k8s.io/v1", "Ingress", spec={}, status={"loadBalancer": {"ingress": list(entries)}}
    )


def autoscaler(*conditions: Any) -> Any:
    return simple("autoscaling/v2", "HorizontalPodAutoscaler", status={"conditions": list(conditions)})


def definition(*conditions: Any) -> Any:
    return simple(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", status={"conditions": list(conditions)}
    )


def custom(*conditions: Any, generation: int = 1, **status: Any) -> Any:
    whole = {"conditions": list(conditions), **status}
    return simple("example.com/v1", "Thing", status=whole, generation=generation)


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
    # Service, Ingress, autoscaler, budget
    "a ClusterIP Service is Current": (service("ClusterIP"), C, "Exists"),
    "a load balancer without address is not ready": (service("LoadBalancer"), P, "AddressPending"),
    "a load balancer with a host name is Current": (
        service("LoadBalancer", {"hostname": "x.elb"}),
        C,
        "AddressAssigned",
    ),
    "a load balancer with an IP is Current": (
        service("LoadBalancer", {"ip": "192.0.2.1"}),
        C,
        "AddressAssigned",
    ),
    "a load balancer with an empty entry is not ready": (service("LoadBalancer", {}), P, "AddressPending"),
    "an Ingress without address is not ready": (ingress(), P, "AddressPending"),
    "an Ingress with an address is Current": (ingress({"hostname": "x.elb"}), C, "AddressAssigned"),
    "an autoscaler without metrics is Current": (
        autoscaler(condition("AbleToScale"), condition("ScalingActive", "False", "FailedGetResourceMetric")),
        C,
        "NoMetrics",
    ),
    "an autoscaler of a target at zero is Current": (
        autoscaler(condition("AbleToScale"), condition("ScalingActive", "False", "ScalingDisabled")),
        C,
        "ScalingDisabled",
    ),
    "an autoscaler without target has failed": (
        autoscaler(condition("AbleToScale", "False", "FailedGetScale")),
        F,
        "ScalingBroken",
    ),
    "an autoscaler with a broken selector has failed": (
        autoscaler(condition("AbleToScale"), condition("ScalingActive", "False", "InvalidSelector")),
        F,
        "ScalingBroken",
    ),
    "an autoscaler that nobody has looked at does not block": (autoscaler(), C, "NotObserved"),
    "a disruption budget counts once it is observed": (
        simple("policy/v1", "PodDisruptionBudget", status={"observedGeneration": 1}, generation=1),
        C,
        "Observed",
    ),
    # storage, namespaces, quota
    "a bound claim is Current": (claim("Bound"), C, "Bound"),
    "a pending claim is not ready": (claim("Pending"), P, "ClaimPending"),
    "a lost claim has failed": (claim("Lost"), F, "ClaimLost"),
    "an available volume is Current": (
        simple("v1", "PersistentVolume", status={"phase": "Available"}),
        C,
        "Available",
    ),
    "an active Namespace is Current": (simple("v1", "Namespace", status={"phase": "Active"}), C, "Active"),
    "a Namespace that goes is Terminating": (
        simple("v1", "Namespace", status={"phase": "Terminating"}),
        T,
        "Terminating",
    ),
    "a quota counts once it is in force": (
        simple("v1", "ResourceQuota", spec={"hard": {"pods": "2"}}, status={"hard": {"pods": "1"}}),
        P,
        "NotObserved",
    ),
    # definitions
    "an established CRD is Current": (
        definition(condition("NamesAccepted"), condition("Established")),
        C,
        "Established",
    ),
    "a CRD that is being installed is not ready": (
        definition(condition("NamesAccepted"), condition("Established", "False", "Installing")),
        P,
        "Installing",
    ),
    "a CRD whose names clash has failed": (
        definition(condition("NamesAccepted", "False")),
        F,
        "NamesNotAccepted",
    ),
    "an available APIService is Current": (
        simple("apiregistration.k8s.io/v1", "APIService", status={"conditions": [condition("Available")]}),
        C,
        "Available",
    ),
    # built-in kinds without status
    "a ConfigMap is Current at once": (simple("v1", "ConfigMap"), C, "Exists"),
    "a Role is Current at once": (simple("rbac.authorization.k8s.io/v1", "Role"), C, "Exists"),
    "a NetworkPolicy is Current at once": (
        simple("networking.k8s.io/v1", "NetworkPolicy", spec={}),
        C,
        "Exists",
    ),
    # custom resources
    "a custom resource that is Ready is Current": (custom(condition("Ready")), C, "Ready"),
    "a custom resource that is not Ready is not": (custom(condition("Ready", "False")), P, "NotReady"),
    "a Ready that nobody knows is not ready": (custom(condition("Ready", "Unknown")), P, "NotReady"),
    "a Ready of an older generation does not count": (
        custom(condition("Ready", observedGeneration=1), generation=2),
        P,
        "NotObserved",
    ),
    "an older observedGeneration as a string does not count": (
        custom(condition("Ready"), generation=2, observedGeneration="1"),
        P,
        "NotObserved",
    ),
    "an observedGeneration as a string that matches counts": (
        custom(condition("Ready"), generation=2, observedGeneration="2"),
        C,
        "Ready",
    ),
    "a stalled custom resource has failed": (
        custom(condition("Stalled"), condition("Ready", "False")),
        F,
        "CustomResourceFailed",
    ),
    "a reconciling custom resource is not ready": (
        custom(condition("Reconciling"), condition("Ready")),
        P,
        "Reconciling",
    ),
    "a degraded custom resource is not ready": (
        custom(condition("Available"), condition("Degraded")),
        P,
        "Degraded",
    ),
    "an available custom resource is Current": (custom(condition("Available")), C, "Available"),
    "a custom resource with unusual conditions is Unknown": (
        custom(condition("Moody")),
        U,
        "CustomResourceUnknown",
    ),
    "a custom resource without status is Unknown": (
        simple("example.com/v1", "Thing"),
        U,
        "CustomResourceUnknown",
    ),
    "a kind of a k8s.io group that is no built-in one is a custom resource": (
        simple("things.example.k8s.io/v1", "Thing"),
        U,
        "CustomResourceUnknown",
    ),
}


@pytest.mark.parametrize("sentence", ROWS)
def test_every_kind_is_judged_by_its_rule(sentence: str) -> None:
    obj, status, reason = ROWS[sentence]

    verdict = assess(obj)

    assert (verdict.status, verdict.reason) == (status, reason), verdict.message


def test_an_object_that_does_not_exist_is_not_found() -> None:
    assert assess(None).status is Status.NOT_FOUND


@pytest.mark.parametrize(
    ("has_status", "status"), [(True, Status.IN_PROGRESS), (False, Status.CURRENT), (None, Status.UNKNOWN)]
)
def test_a_custom_resource_without_status_is_judged_by_whether_its_kind_has_one(
    has_status: bool | None, status: Status
) -> None:
    assert assess(simple("example.com/v1", "Thing"), has_status_subresource=has_status).status is status


def test_a_claim_that_waits_for_its_consumer_lets_it_come() -> None:
    verdict = assess(claim("Pending"), wait_for_first_consumer=True)

    assert verdict.status is Status.CURRENT
    assert "first pod" in verdict.warning


def test_the_live_view_gets_counts() -> None:
    assert assess(rolling(updatedReplicas=1, availableReplicas=2)).progress == (1, 2)
    assert assess(job(succeeded=0)).progress == (0, 1)


def test_on_delete_is_told_in_a_warning() -> None:
    obj = having(daemon_set(updatedNumberScheduled=1), "spec", "updateStrategy", value={"type": "OnDelete"})

    assert "2 pods run the old template" in assess(obj).warning


def test_a_crashed_bare_pod_says_how_it_ended() -> None:
    state = {"name": "web", "state": {"terminated": ended(3)}}

    assert assess(pod(state, phase="Failed")).message == "container web exited with 3"


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


class TestRulesOfTheUser:
    def test_the_annotation_wins_over_what_is_built_in(self) -> None:
        obj = having(
            simple("v1", "ConfigMap"),
            "metadata",
            "annotations",
            value={"pipeline/ready": "jsonpath={.data.ok}"},
        )

        assert assess(obj).reason == "RuleNotMet"
        assert assess({**obj, "data": {"ok": "1"}}).status is Status.CURRENT

    def test_all_ready_rules_must_hold_and_any_failed_rule_fails(self) -> None:
        rule = ReadyRule(
            kind="Thing",
            group="example.com",
            ready=("condition=Synced", "jsonpath={.status.phase}=Running"),
            failed=("condition=Broken", "jsonpath={.status.phase}=Dead"),
        )

        def status(*conditions: Any, phase: str) -> Status:
            return assess(custom(*conditions, phase=phase), rules=(rule,)).status

        assert status(condition("Synced"), phase="Running") is Status.CURRENT
        assert status(condition("Synced"), phase="Starting") is Status.IN_PROGRESS
        assert status(condition("Synced"), phase="Dead") is Status.FAILED
        assert status(condition("Broken"), phase="Running") is Status.FAILED

    def test_a_rule_for_failure_alone_leaves_readiness_to_what_is_built_in(self) -> None:
        obj = having(
            custom(condition("Ready")), "metadata", "annotations", value={"pipeline/failed": "condition=Bad"}
        )

        assert assess(obj).reason == "Ready"

    def test_a_rule_of_another_kind_says_nothing(self) -> None:
        rule = ReadyRule(kind="Other", group="example.com", ready=("condition=Never",))

        assert assess(custom(condition("Ready")), rules=(rule,)).status is Status.CURRENT

    def test_a_rule_that_cannot_be_read_is_an_error(self) -> None:
        obj = having(simple("v1", "ConfigMap"), "metadata", "annotations", value={"pipeline/ready": "Ready"})

        with pytest.raises(ValueError, match="starts neither with condition="):
            assess(obj)
