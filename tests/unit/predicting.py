"""A set of manifests, written or standing, to predict from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.adapters.yaml import load_manifests
from pipeline.core.predict.all import predict
from pipeline.core.predict.facts import Facts, Outlook
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  replicas: 3
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web, tier: front}
    spec:
      containers:
      - name: web
        image: registry.example/web:1.2
        ports: [{name: http, containerPort: 80}]
"""


def read(*texts: str) -> list[Manifest]:
    return load_manifests("f.yaml", "---\n".join(texts).encode())


def body(text: str) -> Any:
    """The object of one manifest, as if it were live."""
    return read(text)[0].body


def foresee(*texts: str, written: Iterable[str] | None = None, facts: Facts | None = None) -> list[Problem]:
    """What is predicted of the set; ``written`` names the objects that are, by default all."""
    manifests = read(*texts)
    chosen = [m for m in manifests if written is None or m.ref.name in written]
    return predict(Outlook(chosen, manifests, facts or Facts()))


def told(problems: Iterable[Problem]) -> list[tuple[str, int, bool]]:
    """(code, line, whether it is a warning)."""
    return [(p.code, p.origin.line if p.origin else 0, p.warning) for p in problems]


def facts(*live: str, **more: Any) -> Facts:
    """Facts with these live objects; quotas and limit ranges among them count as such."""
    manifests = read(*live) if live else []
    by_kind = {
        kind: [m.body for m in manifests if m.ref.kind == kind] for kind in ("ResourceQuota", "LimitRange")
    }
    return Facts(
        live={m.ref: m.body for m in manifests},
        quotas=by_kind["ResourceQuota"],
        limit_ranges=by_kind["LimitRange"],
        **more,
    )
