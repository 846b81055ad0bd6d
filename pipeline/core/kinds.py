"""The kinds of Kubernetes itself, known without asking a server (design §6, Reads).

Only stable versions that every release from 1.30 on serves. What is not here is discovered.
"""

from __future__ import annotations

from pipeline.model.objects import ResourceType

_NAMESPACED: dict[str, str] = {
    "v1": "ConfigMap Endpoints Event LimitRange PersistentVolumeClaim Pod PodTemplate"
    " ReplicationController ResourceQuota Secret Service ServiceAccount",
    "apps/v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "autoscaling/v1": "HorizontalPodAutoscaler",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "batch/v1": "CronJob Job",
    "coordination.k8s.io/v1": "Lease",
    "discovery.k8s.io/v1": "EndpointSlice",
    "events.k8s.io/v1": "Event",
    "networking.k8s.io/v1": "Ingress NetworkPolicy",
    "policy/v1": "PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding",
    "storage.k8s.io/v1": "CSIStorageCapacity",
}

_CLUSTER_SCOPED: dict[str, str] = {
    "v1": "Namespace Node PersistentVolume",
    "admissionregistration.k8s.io/v1": "MutatingWebhookConfiguration ValidatingAdmissionPolicy"
    " ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "apiregistration.k8s.io/v1": "APIService",
    "certificates.k8s.io/v1": "CertificateSigningRequest",
    "flowcontrol.apiserver.k8s.io/v1": "FlowSchema PriorityLevelConfiguration",
    "networking.k8s.io/v1": "IngressClass",
    "node.k8s.io/v1": "RuntimeClass",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding",
    "scheduling.k8s.io/v1": "PriorityClass",
    "storage.k8s.io/v1": "CSIDriver CSINode StorageClass VolumeAttachment",
}


def builtin(api_version: str, kind: str) -> ResourceType | None:
    """How Kubernetes serves one of its own kinds; None for any other."""
    return _KINDS.get((api_version, kind))


def _plural(kind: str) -> str:
    """The path segment, by the rule that all kinds above follow."""
    word = kind.lower()
    if word.endswith("endpoints"):
        return word
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith("s") else "s")


def _table() -> dict[tuple[str, str], ResourceType]:
    found = {}
    for kinds, namespaced in ((_NAMESPACED, True), (_CLUSTER_SCOPED, False)):
        for api_version, names in kinds.items():
            group, _, version = api_version.rpartition("/")
            for kind in names.split():
                resource = ResourceType(group, version, kind, _plural(kind), namespaced)
                found[api_version, kind] = resource
    return found


_KINDS = _table()
