"""API versions that Kubernetes has removed or is going to remove, and what replaces them.

Sources: the deprecated API migration guide of Kubernetes, and for what it does not name the versions that
the server itself acts on (k8s.io/api v0.36.3, ``zz_generated.prerelease-lifecycle.go``; for Endpoints the
comment in ``core/v1/types.go``). A removal after 1.36 is what is announced there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

NEWEST: Final = "1.36"
"""The newest version of Kubernetes whose facts are in here."""

# Every server that is still looked after lacks what was removed up to here; for what was removed later it
# depends on the server, and ``fate`` tells.
_LACKED_BY_ALL: Final = (1, 32)

_POD_SECURITY = (
    "Pod Security Admission: label the namespace pod-security.kubernetes.io/enforce: restricted (or baseline)"
)


@dataclass(frozen=True, slots=True)
class Removed:
    """``since`` is the first version of Kubernetes that no longer serves it."""

    since: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecated:
    """Still served. ``removed_in`` is empty where no removal is announced."""

    since: str
    removed_in: str
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
    ("admissionregistration.k8s.io/v1alpha1", "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"): (
        "1.32",
        "admissionregistration.k8s.io/v1",
    ),
    ("storage.k8s.io/v1alpha1", "VolumeAttributesClass"): ("1.35", "storage.k8s.io/v1"),
}

_CLAIMS = "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice"

_DEPRECATED: dict[tuple[str, str], tuple[str, str, str]] = {
    # (apiVersion, kinds): (since, removed in, instead)
    ("v1", "Endpoints"): ("1.33", "", "discovery.k8s.io/v1 EndpointSlice"),
    ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema PriorityLevelConfiguration"): (
        "1.29",
        "1.32",
        "flowcontrol.apiserver.k8s.io/v1",
    ),
    ("admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"): (
        "1.31",
        "1.34",
        "admissionregistration.k8s.io/v1",
    ),
    ("storage.k8s.io/v1alpha1", "VolumeAttributesClass"): ("1.32", "1.35", "storage.k8s.io/v1"),
    ("storage.k8s.io/v1beta1", "VolumeAttributesClass"): ("1.34", "1.37", "storage.k8s.io/v1"),
    ("networking.k8s.io/v1beta1", "IPAddress ServiceCIDR"): ("1.34", "1.37", "networking.k8s.io/v1"),
    ("resource.k8s.io/v1beta1", _CLAIMS): ("1.35", "1.38", "resource.k8s.io/v1"),
    ("resource.k8s.io/v1beta2", _CLAIMS): ("1.36", "1.39", "resource.k8s.io/v1"),
    ("admissionregistration.k8s.io/v1alpha1", "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding"): (
        "1.35",
        "1.38",
        "admissionregistration.k8s.io/v1beta1",
    ),
    ("certificates.k8s.io/v1alpha1", "ClusterTrustBundle"): ("1.34", "1.37", "certificates.k8s.io/v1beta1"),
}

_BY_KIND = {
    (api_version, kind): Removed(since, instead)
    for (api_version, kinds), (since, instead) in _REMOVED.items()
    for kind in kinds.split()
}


_DEPRECATED_BY_KIND = {
    (api_version, kind): Deprecated(since=since, removed_in=removed_in, instead=instead)
    for (api_version, kinds), (since, removed_in, instead) in _DEPRECATED.items()
    for kind in kinds.split()
}

_VERSION = re.compile(r"v?([0-9]{1,3})\.([0-9]{1,3})(?![0-9])")


def minor(version: str) -> tuple[int, int] | None:
    """``v1.34.2-eks-1`` → (1, 34); None for what is no version."""
    match = _VERSION.match(version)
    return (int(match[1]), int(match[2])) if match else None


def removed(api_version: str, kind: str) -> Removed | None:
    """What became of an API that no supported version of Kubernetes serves; None for all others."""
    gone = _BY_KIND.get((api_version, kind))
    return gone if gone is not None and _reached(gone.since, _LACKED_BY_ALL) else None


def fate(api_version: str, kind: str, target: str) -> Removed | Deprecated | None:
    """What Kubernetes ``target`` (``1.34``, ``v1.34.2``) makes of an API; None where it is in good order.

    None too where ``target`` is no version.
    """
    at = minor(target)
    if at is None:
        return None
    gone = _BY_KIND.get((api_version, kind))
    if gone is not None and _reached(gone.since, at):
        return gone
    old = _DEPRECATED_BY_KIND.get((api_version, kind))
    if old is None or not _reached(old.since, at):
        return None
    return Removed(old.removed_in, old.instead) if _reached(old.removed_in, at) else old


def _reached(version: str, at: tuple[int, int]) -> bool:
    own = minor(version)
    return own is not None and own <= at
