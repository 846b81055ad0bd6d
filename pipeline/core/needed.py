"""References without whose target a pod does not start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.core.references import Reference, Use

API_VERSIONS: Final[Mapping[tuple[str, str], str]] = {
    ("", "ConfigMap"): "v1",
    ("", "Secret"): "v1",
    ("", "ServiceAccount"): "v1",
    ("", "PersistentVolumeClaim"): "v1",
    ("scheduling.k8s.io", "PriorityClass"): "scheduling.k8s.io/v1",
    ("node.k8s.io", "RuntimeClass"): "node.k8s.io/v1",
}
"""Kinds without which a pod does not start. A StorageClass may be missing: static volumes need none."""

_USES: Final = frozenset({Use.CONFIG, Use.IDENTITY, Use.STORAGE, Use.CLASS})

_MADE_BY_KUBERNETES: Final = frozenset(
    {
        ("ServiceAccount", "default"),
        ("ConfigMap", "kube-root-ca.crt"),
        ("PriorityClass", "system-cluster-critical"),
        ("PriorityClass", "system-node-critical"),
    }
)


def is_needed(reference: Reference) -> bool:
    """Whether its target must be there, and is nothing that every cluster has."""
    target = reference.target
    made = (target.kind, target.name) in _MADE_BY_KUBERNETES
    return (
        target.group_kind in API_VERSIONS and reference.kind in _USES and not reference.optional and not made
    )
