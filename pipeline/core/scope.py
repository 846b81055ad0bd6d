"""Which objects have a namespace, as far as that can be known without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipeline.core.kinds import builtin
from pipeline.model.objects import Manifest, get_path

Scope = Callable[[str, str], bool | None]
"""(apiVersion, kind) → namespaced or not; None where that is unknown."""

_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")

# Kinds that the table of stable kinds leaves out: betas and reviews, and the widespread ones of others.
_OTHER_CLUSTER_SCOPED = frozenset(
    {
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ("authentication.k8s.io", "TokenReview"),
        ("authorization.k8s.io", "SelfSubjectAccessReview"),
        ("authorization.k8s.io", "SelfSubjectRulesReview"),
        ("authorization.k8s.io", "SubjectAccessReview"),
        ("certificates.k8s.io", "ClusterTrustBundle"),
        ("networking.k8s.io", "IPAddress"),
        ("networking.k8s.io", "ServiceCIDR"),
        ("policy", "PodSecurityPolicy"),
        ("extensions", "PodSecurityPolicy"),
        ("resource.k8s.io", "DeviceClass"),
        ("resource.k8s.io", "ResourceSlice"),
        ("storage.k8s.io", "VolumeAttributesClass"),
        ("storagemigration.k8s.io", "StorageVersionMigration"),
        ("gateway.networking.k8s.io", "GatewayClass"),
        ("cert-manager.io", "ClusterIssuer"),
        ("snapshot.storage.k8s.io", "VolumeSnapshotClass"),
        ("snapshot.storage.k8s.io", "VolumeSnapshotContent"),
        ("external-secrets.io", "ClusterSecretStore"),
        ("external-secrets.io", "ClusterExternalSecret"),
        ("kyverno.io", "ClusterPolicy"),
        ("karpenter.sh", "NodePool"),
        ("karpenter.sh", "NodeClaim"),
        ("karpenter.k8s.aws", "EC2NodeClass"),
        ("eks.amazonaws.com", "NodeClass"),
    }
)

# A beta of a kind has the scope of its stable version.
_STABLE = {
    "": "v1",
    "apps": "apps/v1",
    "extensions": "networking.k8s.io/v1",
}


def is_namespaced(manifests: Iterable[Manifest], known: Scope) -> Callable[[str, str], bool]:
    """The scope of every kind: of the definitions in the set, of ``known``, of the built-in tables.

    A kind that nobody knows is taken for namespaced, as nearly all are.
    """
    own = defined(manifests)

    def answer(api_version: str, kind: str) -> bool:
        group = api_version.rpartition("/")[0]
        if (group, kind) in own:
            return own[group, kind]
        told = known(api_version, kind)
        return told if told is not None else offline(api_version, kind) is not False

    return answer


def offline(api_version: str, kind: str) -> bool | None:
    """The scope of a kind that needs no server to be known; None for all others."""
    group = api_version.rpartition("/")[0]
    if (group, kind) in _OTHER_CLUSTER_SCOPED:
        return False
    stable = _STABLE.get(group, f"{group}/v1")
    resource = builtin(api_version, kind) or builtin(stable, kind)
    return None if resource is None else resource.namespaced


def defined(manifests: Iterable[Manifest]) -> dict[tuple[str, str], bool]:
    """(group, kind) → namespaced or not, by the CustomResourceDefinitions among the manifests."""
    scopes = {}
    for manifest in manifests:
        if manifest.ref.group_kind == _CRD:
            group = get_path(manifest.body, "spec", "group")
            kind = get_path(manifest.body, "spec", "names", "kind")
            scopes[str(group), str(kind)] = get_path(manifest.body, "spec", "scope") != "Cluster"
    return scopes
