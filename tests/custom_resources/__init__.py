"""Statuses of custom resources as their projects document and write them: whole ones, by hand.

Beside the rules of ``pipeline/core/readiness/custom_rules*.py``, not made from them: else nothing would show
that a rule reads what a controller writes. Each file holds samples; a sample is of some kinds of one group:

- ``waiting`` and ``ready``: a status that is not ready, and one that is. Kinds without ``waiting`` are
  ready as soon as they exist.
- ``failing``: one that will not mend by itself; ``troubled``: one that is a failure once it has lasted.
  Each with what it ``says``, which has to be in the message of the verdict.
- ``subresource``: whether the definition has a status of its own (default: where there is any status).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.readiness import RULES
from pipeline.core.readiness.custom_rules import TABLE, rule_of

GATEWAY_API = "gateway.networking.k8s.io"

Kind = tuple[str, str]
"""Group and kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A status that does not do, and a part of its message."""

    status: Any
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One kind, and what its controller says of an object in turn. ``$NS`` is the object's own name."""

    group: str
    version: str
    kind: str
    plural: str
    cluster: bool
    subresource: bool
    spec: Any
    waiting: Any
    ready: Any
    failing: Bad | None
    troubled: Bad | None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}"

    @property
    def key(self) -> Kind:
        return self.group, self.kind

    def definition(self) -> dict[str, Any]:
        """A CRD that takes any object of the kind."""
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {
            "name": self.version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
            **({"subresources": {"status": {}}} if self.subresource else {}),
        }
        # What the API server asks of groups below k8s.io.
        approved = {"api-approved.kubernetes.io": "unapproved, for a test"}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{self.group}", "annotations": approved},
            "spec": {
                "group": self.group,
                "names": {"kind": self.kind, "plural": self.plural},
                "scope": "Cluster" if self.cluster else "Namespaced",
                "versions": [version],
            },
        }

    def manifest(self, name: str, namespace: str = "") -> dict[str, Any]:
        """What a repository holds of it."""
        meta = {"name": name, **({"namespace": namespace} if namespace and not self.cluster else {})}
        obj = {"apiVersion": self.api_version, "kind": self.kind, "metadata": meta}
        return obj if self.spec is None else {**obj, "spec": named(self.spec, name)}

    def live(self, status: Any = None) -> dict[str, Any]:
        """A live object with a status, as a read would return it."""
        obj = self.manifest("x", "demo")
        obj["metadata"] |= {"uid": "u1", "generation": 1}
        return obj if status is None else {**obj, "status": named(status, "x")}


def named(value: Any, name: str) -> Any:
    """A value with an object's name in place of ``$NS``."""
    if isinstance(value, dict):
        return {key: named(one, name) for key, one in value.items()}
    if isinstance(value, list):
        return [named(one, name) for one in value]
    return name if value == "$NS" else value


@cache
def samples() -> Mapping[Kind, Sample]:
    """All of them, by group and kind; a kind that stands twice is refused."""
    found: dict[Kind, Sample] = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
            for kind in entry["kinds"]:
                sample = _sample(entry, kind)
                assert sample.key not in found, f"{path.name}: {sample.key} stands twice"
                found[sample.key] = sample
    return found


def missing() -> list[Kind]:
    """The kinds that have a rule, and no sample; of all kinds of a group one is enough."""
    have = {(rule.group, "*") for key in samples() if (rule := rule_of(*key)) is not None} | set(samples())
    wanted = {(rule.group, kind) for rule in TABLE for kind in rule.kinds}
    wanted |= {key for key in RULES if key[0] == GATEWAY_API}
    return sorted(wanted - have)


def _sample(entry: Mapping[str, Any], kind: str) -> Sample:
    statuses = {name: entry.get(name) for name in ("waiting", "ready", "failing", "troubled")}
    return Sample(
        group=entry["group"],
        version=entry["version"],
        kind=kind,
        plural=entry.get("plurals", {}).get(kind) or _plural(kind.lower()),
        cluster=entry.get("cluster", False),
        subresource=entry.get("subresource", any(status is not None for status in statuses.values())),
        spec=entry.get("spec"),
        waiting=statuses["waiting"],
        ready=statuses["ready"],
        failing=Bad(**statuses["failing"]) if statuses["failing"] else None,
        troubled=Bad(**statuses["troubled"]) if statuses["troubled"] else None,
    )


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch")) else f"{word}s"
