"""Readiness of the other built-in kinds, also where other tools judge wrongly: a row is a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.readiness import assess, exists_is_enough
from pipeline.model.status import Status
from tests.kube_objects import T0, at, condition, having, simple
from tests.unit.judging import is_current_with_a_warning, is_judged, is_told

C, P, F = Status.CURRENT, Status.IN_PROGRESS, Status.FAILED
U, T = Status.UNKNOWN, Status.TERMINATING


GATEWAY = "gateway.networking.k8s.io"


def service(kind: str, *ingress: Any) -> Any:
    return simple("v1", "Service", spec={"type": kind}, status={"loadBalancer": {"ingress": list(ingress)}})


def ingress(*entries: Any) -> Any:
    return simple(
        "networking.k8s.io/v1", "Ingress", spec={}, status={"loadBalancer": {"ingress": list(entries)}}
    )


def autoscaler(*conditions: Any) -> Any:
    return simple("autoscaling/v2", "HorizontalPodAutoscaler", status={"conditions": list(conditions)})


def claim(phase: str = "Bound", *conditions: Any, asked: str = "8Gi", has: str = "8Gi", **status: Any) -> Any:
    spec = {"storageClassName": "gp3", "resources": {"requests": {"storage": asked}}}
    whole = {"phase": phase, "capacity": {"storage": has}, "conditions": list(conditions), **status}
    return simple("v1", "PersistentVolumeClaim", spec=spec, status=whole)


def of_class(wanted: str, has: str = "", target: str = "", status: str = "") -> Any:
    """A bound claim with a VolumeAttributesClass."""
    found = claim(currentVolumeAttributesClassName=has) if has else claim()
    found["spec"]["volumeAttributesClassName"] = wanted
    if target:
        modify = {"targetVolumeAttributesClassName": target, "status": status}
        found["status"]["modifyVolumeStatus"] = modify
    return found


def volume(phase: str) -> Any:
    return simple("v1", "PersistentVolume", status={"phase": phase})


def budget(**status: Any) -> Any:
    return simple(
        "policy/v1", "PodDisruptionBudget", status={"observedGeneration": 1, **status}, generation=1
    )


def gateway_class(*conditions: Any) -> Any:
    spec = {"controllerName": "example.com/gw"}
    return simple(f"{GATEWAY}/v1", "GatewayClass", spec=spec, status={"conditions": list(conditions)})


def gateway(*conditions: Any, listener: Any = (), name: str = "https") -> Any:
    listeners = [{"name": name, "conditions": list(listener)}]
    status = {"conditions": list(conditions), "listeners": listeners, "addresses": [{"value": "x.elb"}]}
    spec = {"gatewayClassName": "eks", "listeners": [{"name": "https"}]}
    return simple(f"{GATEWAY}/v1", "Gateway", spec=spec, status=status, generation=2)


def route(*answers: Any, parents: Any = None, kind: str = "HTTPRoute") -> Any:
    spec = {"parentRefs": [{"name": "gw"}] if parents is None else parents}
    return simple(f"{GATEWAY}/v1", kind, spec=spec, status={"parents": list(answers)}, generation=2)


def answer(*conditions: Any, **ref: Any) -> Any:
    return {"parentRef": {"name": "gw", **ref}, "controllerName": "c", "conditions": list(conditions)}


def webhook(kind: str = "MutatingWebhookConfiguration", *, client: Any, injected: bool = True) -> Any:
    notes = {"cert-manager.io/inject-ca-from": "demo/hook"} if injected else {}
    obj = simple("admissionregistration.k8s.io/v1", kind, annotations=notes)
    return {**obj, "webhooks": [{"name": "a.example", "clientConfig": client}]}


def converted(*, client: Any) -> Any:
    notes = {"cert-manager.io/inject-ca-from": "demo/hook"}
    conversion = {"strategy": "Webhook", "webhook": {"clientConfig": client}}
    return simple(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        spec={"conversion": conversion},
        status={"conditions": [condition("NamesAccepted"), condition("Established")]},
        annotations=notes,
    )


def signing(*conditions: Any) -> Any:
    status = {"conditions": list(conditions)}
    return simple("certificates.k8s.io/v1", "CertificateSigningRequest", status=status)


def migrating(*conditions: Any) -> Any:
    status = {"conditions": list(conditions)}
    return simple("storagemigration.k8s.io/v1beta1", "StorageVersionMigration", status=status)


ACCEPTED, PROGRAMMED = condition("Accepted"), condition("Programmed")
REFUSED = condition("Accepted", "False", "NotAllowedByListeners")


ROWS = {
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
    "an ExternalName Service is Current": (service("ExternalName"), C, "Exists"),
    "a headless Service is Current": (
        simple("v1", "Service", spec={"clusterIP": "None", "selector": {"app": "db"}}),
        C,
        "Exists",
    ),
    "a load balancer that refuses the ports is not ready": (
        having(
            service("LoadBalancer", {"ip": "192.0.2.1"}),
            "status",
            "conditions",
            value=[condition("LoadBalancerPortsError", reason="LoadBalancerMixedProtocolNotSupported")],
        ),
        P,
        "AddressPending",
    ),
    "an Ingress with an IP is Current": (ingress({"ip": "192.0.2.1"}), C, "AddressAssigned"),
    "an autoscaler that cannot set the scale has failed": (
        autoscaler(condition("AbleToScale", "False", "FailedUpdateScale"), condition("ScalingActive")),
        F,
        "ScalingBroken",
    ),
    "an autoscaler that pauses is Current": (
        autoscaler(condition("AbleToScale", "False", "BackoffBoth"), condition("ScalingActive")),
        C,
        "Scaling",
    ),
    "an autoscaler that shares its pods with another has failed": (
        autoscaler(condition("AbleToScale"), condition("ScalingActive", "False", "AmbiguousSelector")),
        F,
        "ScalingBroken",
    ),
    "an autoscaler of the first version is judged by its annotation": (
        simple(
            "autoscaling/v1",
            "HorizontalPodAutoscaler",
            annotations={
                "autoscaling.alpha.kubernetes.io/conditions": '[{"type": "AbleToScale", "status": "False",'
                ' "reason": "FailedGetScale"}]'
            },
        ),
        F,
        "ScalingBroken",
    ),
    "an autoscaler with an unreadable annotation is not judged": (
        simple(
            "autoscaling/v1",
            "HorizontalPodAutoscaler",
            annotations={"autoscaling.alpha.kubernetes.io/conditions": "[{"},
        ),
        C,
        "NotObserved",
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
    "a claim whose volume is too small yet is not ready": (claim(asked="16Gi"), P, "Resizing"),
    "a claim with a larger volume than asked for is Current": (claim(asked="8Gi", has="10Gi"), C, "Bound"),
    "a claim that is being resized is not ready": (claim("Bound", condition("Resizing")), P, "Resizing"),
    "a claim whose file system grows at the next mount lets the pod come": (
        claim("Bound", condition("FileSystemResizePending"), asked="16Gi"),
        C,
        "FileSystemResizePending",
    ),
    "a claim that could not be resized is tried again": (
        claim("Bound", condition("ControllerResizeError"), asked="16Gi"),
        P,
        "ControllerResizeError",
    ),
    "a claim that can never be resized has failed": (
        claim(asked="16Gi", allocatedResourceStatuses={"storage": "NodeResizeInfeasible"}),
        F,
        "ResizeInfeasible",
    ),
    "a claim whose volume cannot take its attributes has failed": (
        claim(modifyVolumeStatus={"status": "Infeasible"}),
        F,
        "ModifyInfeasible",
    ),
    "a claim that was lowered after a size that cannot be is tried again": (
        claim(
            asked="12Gi",
            allocatedResources={"storage": "16Gi"},
            allocatedResourceStatuses={"storage": "ControllerResizeInfeasible"},
        ),
        P,
        "Resizing",
    ),
    "a claim of a size that was tried in vain has failed": (
        claim(
            asked="16Gi",
            allocatedResources={"storage": "16384Mi"},
            allocatedResourceStatuses={"storage": "ControllerResizeInfeasible"},
        ),
        F,
        "ResizeInfeasible",
    ),
    "a claim with its class of attributes is Current": (of_class("gold", "gold"), C, "Bound"),
    "a claim without a class that asks for one is not ready": (of_class("gold"), P, "ModifyingVolume"),
    "a claim of another class than it asks for is not ready": (
        of_class("gold", "silver"),
        P,
        "ModifyingVolume",
    ),
    "a claim whose new class does not exist is not ready": (
        of_class("gold", "silver", "gold", "Pending"),
        P,
        "ModifyingVolume",
    ),
    "a claim whose new class cannot be has failed": (
        of_class("gold", "silver", "gold", "Infeasible"),
        F,
        "ModifyInfeasible",
    ),
    "a claim that is back at its class after another that cannot be is Current": (
        of_class("silver", "silver", "gold", "Infeasible"),
        C,
        "Bound",
    ),
    "a claim that is back at no class after one that cannot be is Current": (
        of_class("", "", "gold", "Infeasible"),
        C,
        "Bound",
    ),
    "a bound volume is Current": (volume("Bound"), C, "Bound"),
    "a released volume is Current": (volume("Released"), C, "Released"),
    "a volume that could not be reclaimed has failed": (volume("Failed"), F, "VolumeFailed"),
    "a pending volume is not ready": (volume("Pending"), P, "Pending"),
    # disruption budget
    "a disruption budget that nobody has seen is not ready": (
        simple("policy/v1", "PodDisruptionBudget", status={}),
        P,
        "NotObserved",
    ),
    "a disruption budget of an older spec is not ready": (budget(observedGeneration=0), P, "NotObserved"),
    # kinds that need no more than to exist
    **{
        f"a {kind} is Current at once": (simple(version, kind), C, "Exists")
        for version, kind in (
            ("v1", "LimitRange"),
            ("v1", "ServiceAccount"),
            ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
            ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
            ("coordination.k8s.io/v1", "Lease"),
            ("discovery.k8s.io/v1", "EndpointSlice"),
            ("networking.k8s.io/v1", "IngressClass"),
            ("node.k8s.io/v1", "RuntimeClass"),
            ("scheduling.k8s.io/v1", "PriorityClass"),
            ("storage.k8s.io/v1", "StorageClass"),
            (f"{GATEWAY}/v1beta1", "ReferenceGrant"),
        )
    },
    "an APIService whose server is not there is not ready": (
        simple(
            "apiregistration.k8s.io/v1",
            "APIService",
            status={"conditions": [condition("Available", "False", "MissingEndpoints")]},
        ),
        P,
        "APIUnavailable",
    ),
    # Gateway API
    "an accepted GatewayClass is Current": (gateway_class(ACCEPTED), C, "Accepted"),
    "a GatewayClass that no controller has seen is not ready": (
        gateway_class(condition("Accepted", "Unknown", "Pending", "Waiting for controller")),
        P,
        "NotAccepted",
    ),
    "a GatewayClass that its controller does not support has failed": (
        gateway_class(condition("Accepted", "False", "Unsupported")),
        F,
        "CustomResourceFailed",
    ),
    "a programmed Gateway is Current": (gateway(ACCEPTED, PROGRAMMED), C, "Programmed"),
    "a Gateway without status is not ready": (simple(f"{GATEWAY}/v1", "Gateway"), P, "NotAccepted"),
    "a Gateway that is only accepted is not ready": (gateway(ACCEPTED), P, "NotProgrammed"),
    "a Gateway programmed for an older spec is not ready": (
        gateway(ACCEPTED, condition("Programmed", observedGeneration=1)),
        P,
        "NotProgrammed",
    ),
    "a Gateway whose listener lacks its Secret is not ready": (
        gateway(ACCEPTED, PROGRAMMED, listener=[condition("ResolvedRefs", "False", "InvalidCertificateRef")]),
        P,
        "NotResolvedRefs",
    ),
    "a Gateway whose listeners conflict has failed": (
        gateway(ACCEPTED, listener=[condition("Conflicted", "True", "HostnameConflict")]),
        F,
        "CustomResourceFailed",
    ),
    "a listener that is gone says nothing about its Gateway": (
        gateway(ACCEPTED, PROGRAMMED, listener=[condition("Conflicted")], name="old"),
        C,
        "Programmed",
    ),
    "an accepted route is Current": (route(answer(ACCEPTED, condition("ResolvedRefs"))), C, "Accepted"),
    "a route that nobody has answered is not ready": (route(), P, "NotAccepted"),
    "a route needs the answer of each parent": (
        route(answer(ACCEPTED), parents=[{"name": "gw"}, {"name": "gw", "sectionName": "https"}]),
        P,
        "NotAccepted",
    ),
    "a route with its parent written out matches the short spelling": (
        route(answer(ACCEPTED, group=GATEWAY, kind="Gateway", namespace="demo")),
        C,
        "Accepted",
    ),
    "a route accepted for an older spec is not ready": (
        route(answer(condition("Accepted", observedGeneration=1))),
        P,
        "NotAccepted",
    ),
    "a route whose listener does not allow it may be allowed yet": (route(answer(REFUSED)), P, "NotAccepted"),
    "a route whose backend is missing is not ready": (
        route(answer(ACCEPTED, condition("ResolvedRefs", "False", "BackendNotFound"))),
        P,
        "NotResolvedRefs",
    ),
    "a route to a kind that is no backend has failed": (
        route(answer(ACCEPTED, condition("ResolvedRefs", "False", "InvalidKind"))),
        F,
        "CustomResourceFailed",
    ),
    "a route with a value that is not supported has failed": (
        route(answer(condition("Accepted", "False", "UnsupportedValue")), kind="GRPCRoute"),
        F,
        "CustomResourceFailed",
    ),
    "a route keeps the answer of the controller that serves it": (
        route(answer(REFUSED), answer(ACCEPTED)),
        C,
        "Accepted",
    ),
    "a route without parents is Current": (route(parents=[]), C, "Detached"),
    "a policy that no controller has taken up is not ready": (
        simple(f"{GATEWAY}/v1", "BackendTLSPolicy", spec={}),
        P,
        "NotAccepted",
    ),
    # admission
    "a webhook whose CA is still to be injected is not ready": (
        webhook(client={"service": {"name": "hook"}}),
        P,
        "CABundlePending",
    ),
    "a webhook with the placeholder of a CA is not ready": (
        webhook("ValidatingWebhookConfiguration", client={"caBundle": "Cg=="}),
        P,
        "CABundlePending",
    ),
    "a webhook whose CA is injected is Current": (webhook(client={"caBundle": "LS0t"}), C, "Exists"),
    "a webhook that nobody is to bring a CA trusts those of the system": (
        webhook(client={"url": "https://hook.example"}, injected=False),
        C,
        "Exists",
    ),
    "a definition whose conversion waits for its CA is not ready": (
        converted(client={"service": {"name": "hook"}}),
        P,
        "CABundlePending",
    ),
    "a definition whose conversion has its CA is Current": (
        converted(client={"caBundle": "LS0t"}),
        C,
        "Established",
    ),
    # the cluster's own
    "a node that is ready is Current": (
        simple("v1", "Node", status={"conditions": [condition("Ready")]}),
        C,
        "Ready",
    ),
    "a node whose kubelet is silent is not ready": (
        simple("v1", "Node", status={"conditions": [condition("Ready", "Unknown", "NodeStatusUnknown")]}),
        P,
        "NotReady",
    ),
    "a range of addresses is not ready before it is told": (
        simple("networking.k8s.io/v1", "ServiceCIDR"),
        P,
        "NotReady",
    ),
    "a signing request that was denied has failed": (signing(condition("Denied")), F, "RequestDenied"),
    "a signing request that its signer cannot serve has failed": (
        signing(condition("Approved"), condition("Failed", message="no")),
        F,
        "RequestFailed",
    ),
    "a signing request that waits for a person holds up nothing": (signing(), C, "Pending"),
    "a migration goes on until it has succeeded": (migrating(condition("Running")), P, "Running"),
    "a migration that has succeeded is Current": (migrating(condition("Succeeded")), C, "Succeeded"),
    "a migration that has failed has": (migrating(condition("Failed")), F, "MigrationFailed"),
    "a quota in other units is in force": (
        simple(
            "v1", "ResourceQuota", spec={"hard": {"cpu": "1000m"}}, status={"hard": {"cpu": "1", "pods": "5"}}
        ),
        C,
        "InForce",
    ),
    "a policy that one ancestor refuses is not ready": (
        simple(
            f"{GATEWAY}/v1",
            "BackendTLSPolicy",
            status={"ancestors": [{"conditions": [ACCEPTED]}, {"conditions": [REFUSED]}]},
        ),
        P,
        "NotAccepted",
    ),
}


WARNINGS = {
    "of a port that the load balancer refuses": (
        service("LoadBalancer", {"ip": "192.0.2.1", "ports": [{"port": 80, "error": "example.com/Bad"}]}),
        "port 80: example.com/Bad",
    ),
    "of a budget that lets no node be drained": (
        budget(expectedPods=2, desiredHealthy=2),
        "no disruption of its 2 pods",
    ),
    "of a budget that cannot be worked out": (
        budget(conditions=[condition("DisruptionAllowed", "False", "SyncFailed", "no scale")]),
        "no scale",
    ),
    "of the metric that has no value": (
        having(
            autoscaler(condition("AbleToScale"), condition("ScalingActive")),
            "spec",
            value={
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu"}},
                    {"type": "External", "external": {"metric": {"name": "queue"}}},
                ]
            },
        )
        | {
            "status": {
                "conditions": [condition("AbleToScale"), condition("ScalingActive")],
                "currentMetrics": [{"type": "Resource"}, {"type": ""}],
            }
        },
        "no value of external queue",
    ),
    "of a released volume": (volume("Released"), "spec.claimRef"),
    "of a policy whose expression has a wrong type": (
        simple(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            status={
                "typeChecking": {"expressionWarnings": [{"fieldRef": "spec.x", "warning": "no field y"}]}
            },
        ),
        "spec.x: no field y",
    ),
    "of a flow schema without its level": (
        simple(
            "flowcontrol.apiserver.k8s.io/v1",
            "FlowSchema",
            spec={"priorityLevelConfiguration": {"name": "fast"}},
            status={"conditions": [condition("Dangling")]},
        ),
        "no priority level fast",
    ),
    "of a route that is partly in force": (
        route(answer(ACCEPTED, condition("PartiallyInvalid", message="rule 2 dropped"))),
        "rule 2 dropped",
    ),
    "of a route without parents": (route(parents=[]), "names no parent"),
}


MESSAGES = {
    "names the class of a load balancer": (
        having(service("LoadBalancer"), "spec", "loadBalancerClass", value="example.com/x"),
        "no load balancer of class example.com/x",
    ),
    "names the class of an Ingress": (
        having(ingress(), "spec", "ingressClassName", value="alb"),
        "no ingress controller of class alb",
    ),
    "names the class in an Ingress's old annotation": (
        having(ingress(), "metadata", "annotations", value={"kubernetes.io/ingress.class": "nginx"}),
        "of class nginx",
    ),
    "says that an Ingress names no class": (ingress(), "names no class"),
    "says that a claim waits for a volume made by hand": (
        having(claim("Pending"), "spec", "storageClassName", value=""),
        "made by hand",
    ),
    "says what protects a claim from deletion": (
        having(
            having(claim(), "metadata", "deletionTimestamp", value=at(1)),
            "metadata",
            "finalizers",
            value=["kubernetes.io/pvc-protection"],
        ),
        "waits for its finalizers kubernetes.io/pvc-protection (until no pod uses it)",
    ),
    "says what a Namespace waits for": (
        simple(
            "v1",
            "Namespace",
            status={
                "phase": "Terminating",
                "conditions": [
                    condition("NamespaceContentRemaining", message="1 pod left"),
                    condition("NamespaceDeletionDiscoveryFailure", message="metrics API is down"),
                ],
            },
        ),
        "is being deleted: metrics API is down",
    ),
}


@pytest.mark.parametrize("sentence", ROWS)
def test_every_object_is_judged_by_its_rule(sentence: str) -> None:
    is_judged(*ROWS[sentence])


@pytest.mark.parametrize("sentence", WARNINGS)
def test_what_is_odd_about_a_current_object_is_a_warning(sentence: str) -> None:
    is_current_with_a_warning(*WARNINGS[sentence])


@pytest.mark.parametrize("sentence", MESSAGES)
def test_the_message(sentence: str) -> None:
    is_told(*MESSAGES[sentence])


def test_a_claim_that_waits_for_its_consumer_lets_it_come() -> None:
    verdict = assess(claim("Pending"), wait_for_first_consumer=True)

    assert verdict.status is Status.CURRENT
    assert "first pod" in verdict.warning


def test_a_class_that_does_not_exist_is_named() -> None:
    assert "gp3, which does not exist" in assess(claim("Pending"), class_exists=False).message
    by_default = having(claim("Pending"), "spec", "storageClassName", value=None)
    assert "the cluster has none" in assess(by_default, class_exists=False).message
    alb = having(ingress(), "spec", "ingressClassName", value="alb")
    assert "no IngressClass alb" in assess(alb, class_exists=False).message
    assert "no IngressClass" not in assess(alb, class_exists=True).message


class TestAnAutoscalerWhoseTargetDoesNotExist:
    REF = {"kind": "Deployment", "name": "wbe"}  # noqa: RUF012 - never changed

    def judged(self, *conditions: Any) -> Any:
        obj = having(autoscaler(*conditions), "spec", value={"scaleTargetRef": self.REF})
        return assess(obj, since=T0, now=T0 + 9, target_exists=False)

    def test_waits_for_its_controller_to_say_so(self) -> None:
        assert (self.judged().status, self.judged().reason) == (P, "NoTarget")
        assert self.judged().message == "there is no Deployment wbe for it to scale"

    def test_does_not_live_on_what_was_said_of_the_one_before(self) -> None:
        assert self.judged(condition("AbleToScale", lastTransitionTime=at(-60))).reason == "NoTarget"

    def test_has_failed_once_its_controller_says_so(self) -> None:
        assert self.judged(condition("AbleToScale", "False", "FailedGetScale")).status is F

    def test_is_current_once_its_controller_has_found_it(self) -> None:
        found = condition("AbleToScale", lastTransitionTime=at(5))

        assert self.judged(found, condition("ScalingActive")).status is C


def test_a_service_without_endpoints_is_not_ready_where_somebody_looked() -> None:
    obj = simple("v1", "Service", spec={"selector": {"app": "web"}})

    assert assess(obj, endpoints=0).reason == "NoEndpoints"
    assert assess(obj, endpoints=1).status is C
    assert assess(obj).status is C


def test_a_service_that_selects_nothing_needs_no_endpoints() -> None:
    assert assess(simple("v1", "Service", spec={}), endpoints=0).status is C
    assert (
        assess(having(service("ExternalName"), "spec", "selector", value={"a": "b"}), endpoints=0).status is C
    )


@pytest.mark.parametrize(
    ("version", "kind", "enough"),
    [
        ("v1", "ConfigMap", True),
        (f"{GATEWAY}/v1beta1", "ReferenceGrant", True),
        (f"{GATEWAY}/v1", "HTTPRoute", False),
        ("apps/v1", "Deployment", False),
        ("example.com/v1", "Thing", False),
    ],
)
def test_kinds_that_nobody_reports_on_are_not_waited_for(version: str, kind: str, enough: bool) -> None:
    assert exists_is_enough(simple(version, kind)) is enough
