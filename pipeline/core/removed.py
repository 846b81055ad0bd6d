"""API versions that Kubernetes has removed, and what replaces them.

Source: the deprecated API migration guide of Kubernetes, and for flow control and admission policies
the removal versions of the API lifecycle (``prerelease_lifecycle_gen.go``).
"""

from __future__ import annotations

from dataclasses import dataclass

_POD_SECURITY = (
    "Pod Security Admission: label the namespace pod-security.kubernetes.io/enforce: restricted (or baseline)"
)


@dataclass(frozen=True, slots=True)
class Removed:
    """``since`` is the first version of Kubernetes that no longer serves it."""

    since: str
    instead: str


_REMOVED: dict[tuple[str, str], tuple[str, str]] = {
    # (apiVersion, kinds): (since, instead)
    (
        "extensions/v1beta1",
        "DaemonSet Deployment ReplicaSet",
    ): ("1.16", "apps/v1; spec.selector is required and must match the template's labels"),
    ("extensions/v1beta1", "NetworkPolicy"): ("1.16", "networking.k8s.io/v1"),
    ("extensions/v1beta1", "PodSecurityPolicy"): ("1.16", _POD_SECURITY),
    (
        "extensions/v1beta1",
        "Ingress",
    ): ("1.22", "networking.k8s.io/v1; backends are service.name and service.port, pathType is required"),
    (
        "apps/v1beta1",
        "Deployment StatefulSet ControllerRevision Scale",
    ): ("1.16", "apps/v1; spec.selector is required and must match the template's labels"),
    (
        "apps/v1beta2",
        "DaemonSet Deployment ReplicaSet StatefulSet ControllerRevision Scale",
    ): ("1.16", "apps/v1; spec.selector is required and must match the template's labels"),
    ("admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration ValidatingWebhookConfiguration"): (
        "1.22",
        "admissionregistration.k8s.io/v1; sideEffects and admissionReviewVersions are required",
    ),
    ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition"): (
        "1.22",
        "apiextensions.k8s.io/v1; each version has its own structural schema",
    ),
    ("apiregistration.k8s.io/v1beta1", "APIService"): ("1.22", "apiregistration.k8s.io/v1"),
    ("authentication.k8s.io/v1beta1", "TokenReview"): ("1.22", "authentication.k8s.io/v1"),
    (
        "authorization.k8s.io/v1beta1",
        "LocalSubjectAccessReview SelfSubjectAccessReview SubjectAccessReview SelfSubjectRulesReview",
    ): ("1.22", "authorization.k8s.io/v1"),
    ("certificates.k8s.io/v1beta1", "CertificateSigningRequest"): (
        "1.22",
        "certificates.k8s.io/v1; signerName and usages are required",
    ),
    ("coordination.k8s.io/v1beta1", "Lease"): ("1.22", "coordination.k8s.io/v1"),
    ("networking.k8s.io/v1beta1", "Ingress"): (
        "1.22",
        "networking.k8s.io/v1; backends are service.name and service.port, pathType is required",
    ),
    ("networking.k8s.io/v1beta1", "IngressClass"): ("1.22", "networking.k8s.io/v1"),
    ("rbac.authorization.k8s.io/v1alpha1", "ClusterRole ClusterRoleBinding Role RoleBinding"): (
        "1.22",
        "rbac.authorization.k8s.io/v1",
    ),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRole ClusterRoleBinding Role RoleBinding"): (
        "1.22",
        "rbac.authorization.k8s.io/v1",
    ),
    ("scheduling.k8s.io/v1beta1", "PriorityClass"): ("1.22", "scheduling.k8s.io/v1"),
    ("storage.k8s.io/v1beta1", "CSIDriver CSINode StorageClass VolumeAttachment"): (
        "1.22",
        "storage.k8s.io/v1",
    ),
    ("batch/v1beta1", "CronJob"): ("1.25", "batch/v1"),
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): ("1.25", "discovery.k8s.io/v1"),
    ("events.k8s.io/v1beta1", "Event"): ("1.25", "events.k8s.io/v1"),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler"): (
        "1.25",
        "autoscaling/v2; targets moved into metrics[].*.target",
    ),
    ("policy/v1beta1", "PodDisruptionBudget"): ("1.25", "policy/v1; an empty selector now selects every pod"),
    ("policy/v1beta1", "PodSecurityPolicy"): ("1.25", _POD_SECURITY),
    ("node.k8s.io/v1beta1", "RuntimeClass"): ("1.25", "node.k8s.io/v1"),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler"): (
        "1.26",
        "autoscaling/v2; targets are metrics[].*.target",
    ),
    ("flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema PriorityLevelConfiguration"): (
        "1.26",
        "flowcontrol.apiserver.k8s.io/v1",
    ),
    ("storage.k8s.io/v1beta1", "CSIStorageCapacity"): ("1.27", "storage.k8s.io/v1"),
    ("flowcontrol.apiserver.k8s.io/v1beta2", "FlowSchema PriorityLevelConfiguration"): (
        "1.29",
        "flowcontrol.apiserver.k8s.io/v1",
    ),
    ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema PriorityLevelConfiguration"): (
        "1.32",
        "flowcontrol.apiserver.k8s.io/v1",
    ),
    ("admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"): (
        "1.34",
        "admissionregistration.k8s.io/v1",
    ),
}

_BY_KIND = {
    (api_version, kind): Removed(since, instead)
    for (api_version, kinds), (since, instead) in _REMOVED.items()
    for kind in kinds.split()
}


def removed(api_version: str, kind: str) -> Removed | None:
    """What became of an API that no supported version of Kubernetes serves; None for all others."""
    return _BY_KIND.get((api_version, kind))
