"""What a disturbed run was about to do: a few releases that between them pass every failpoint.

A scenario writes version after version into a repository; the file of an object that a version lacks is
removed. ``good`` and ``bad`` give the manifests of a version.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]
Manifests = Callable[[int, str], list[Manifest]]
"""(version, a word that is unique to the repository) → manifests."""

CANARY = "canary-of-a-secret"
DELAY = "6s"  # of each of two pods in order: longer than a lock is good for without renewal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``is_first``: nothing was deployed before, and each case has a namespace of its own.
    ``creates_namespace``: the run makes it. ``is_second``: an earlier run was killed and is taken over.
    ``more`` are lines of the environment; ``$URL`` is a server that answers 200."""

    good: Manifests
    bad: Manifests | None = None
    is_first: bool = False
    creates_namespace: bool = False
    is_second: bool = False
    more: str = ""

    @property
    def written(self) -> Manifests:
        """What the disturbed run deploys."""
        return self.bad or self.good


def _object(api_version: str, kind: str, name: str, **rest: Any) -> Manifest:
    metadata = {"name": name, **rest.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def _config(name: str, version: int) -> Manifest:
    return _object("v1", "ConfigMap", name, data={"version": str(version)})


def _secret(version: int) -> Manifest:
    value = base64.b64encode(f"{CANARY}-{version}".encode()).decode()
    return _object("v1", "Secret", "credentials", data={"password": value})


def _deployment(
    name: str, image: str, labels: Mapping[str, str], notes: Mapping[str, str] | None = None
) -> Manifest:
    container = {
        "name": "main",
        "image": image,
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "credentials"}}],
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": dict(labels)},
        "template": {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container]}},
    }
    return _object("apps/v1", "Deployment", name, metadata={"annotations": dict(notes or {})}, spec=spec)


def _app(version: int, word: str) -> list[Manifest]:
    """Changes a workload and what it reads, makes an object, and no longer has one of the version before."""
    ports = [{"name": "http", "port": 80}]
    return [
        _config("settings", version),
        _config("plain", version),
        _config(f"only-{version}", version),
        _secret(version),
        _object("v1", "Service", "web", spec={"selector": {"app": "web"}, "ports": ports}),
        _deployment("web", f"nginx:1.{version}", {"app": "web"}),
    ]


def _bad_app(version: int, word: str) -> list[Manifest]:
    return [
        _deployment("web", "nginx:crash", {"app": "web"}) if m["kind"] == "Deployment" else m
        for m in _app(version, word)
    ]


def _recreated(version: int, word: str) -> list[Manifest]:
    labels = {"app": "web", "version": f"v{version}"}
    web = _deployment("web", f"nginx:1.{version}", labels, {"pipeline/recreate": "allowed"})
    return [_config("settings", version), _secret(version), web]


def _ordered(version: int, word: str) -> list[Manifest]:
    labels = {"app": "db"}
    container = {
        "name": "main",
        "image": "postgres:slow",
        "env": [{"name": "VERSION", "value": str(version)}],
    }
    template = {
        "metadata": {"labels": labels, "annotations": {"pipeline.test/delay": DELAY}},
        "spec": {"containers": [container]},
    }
    spec = {
        "serviceName": "db",
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": template,
    }
    return [_config("settings", version), _object("apps/v1", "StatefulSet", "db", spec=spec)]


def _defined(version: int, word: str) -> list[Manifest]:
    group = f"{word}.example.com"
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"version": {"type": "integer"}}}},
    }
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
    }
    return [
        _config("settings", version),
        _object("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"widgets.{group}", spec=spec),
        _object(f"{group}/v1", "Widget", "one", spec={"version": version}),
    ]


SCENARIOS: Mapping[str, Scenario] = {
    "change": Scenario(good=_app),
    "failing": Scenario(good=_app, bad=_bad_app),
    "recreate": Scenario(good=_recreated),
    "stateful": Scenario(good=_ordered),
    "first": Scenario(good=_app, is_first=True),
    "first-failing": Scenario(good=_app, bad=_bad_app, is_first=True),
    "definition": Scenario(
        good=_defined,
        is_first=True,
        creates_namespace=True,
        more="allow: {clusterScoped: [CustomResourceDefinition, Widget]}\n"
        "checks: [{name: home, http: {url: $URL}, samples: 2, interval: 100ms}]",
    ),
    "takeover": Scenario(good=_app, is_second=True),
}


def text(manifests: list[Manifest]) -> str:
    """A file of them all: JSON is YAML."""
    return "\n---\n".join(json.dumps(m, indent=1) for m in manifests) + "\n"
