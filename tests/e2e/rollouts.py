"""Rollouts in which a story has a hand: pods whose readiness it gives, a deploy on its way, how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.e2e.conftest import MakeRepo
from tests.e2e.live import LIMIT_S
from tests.e2e.nodes import STRATEGIC, pods
from tests.e2e.workspace import Result, Workspace

GATE = "pipeline.test/open"

GATED = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata:
      labels: {{app: web}}
    spec:
      readinessGates: [{{conditionType: {GATE}}}]
      containers:
        - name: main
          image: nginx:1.21
"""


@dataclass(frozen=True, slots=True)
class Told:
    """How a deploy ended, with what was seen beside it."""

    repo: Workspace
    result: Result
    seen: Any = None

    @property
    def entry(self) -> Any:
        """Of the one object that is waited for, or the first."""
        return self.result.document["rollout"][0]

    def is_well(self) -> None:
        assert self.result.code == 0, str(self.result)
        assert self.result.document["causes"] == []
        assert {one["status"] for one in self.result.document["rollout"]} == {"Current"}


def made(make: MakeRepo, manifest: str, timeout: str = "90s") -> Workspace:
    repo = make(create=True)
    repo.environment("rollback: {auto: false}", deploy=f"{{timeout: {timeout}}}", rollout="{steady: 0s}")
    repo.manifest("web.yaml", manifest)
    repo.commit()
    return repo


def change(repo: Workspace, old: str, new: str) -> None:
    repo.edit("environments/dev/manifests/web.yaml", old, new)
    repo.commit()


def images(repo: Workspace) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in pods(repo)]


def uids(repo: Workspace) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods(repo)}


def are_running(repo: Workspace, count: int) -> bool:
    return [pod["status"].get("phase") for pod in pods(repo)] == ["Running"] * count


def open_gates(repo: Workspace) -> None:
    """Let the pods that are there become ready."""
    for pod in pods(repo):
        path = f"/api/v1/namespaces/{repo.namespace}/pods/{pod['metadata']['name']}/status"
        status = {"status": {"conditions": [{"type": GATE, "status": "True"}]}}
        repo.cluster.api.call("PATCH", path, status, STRATEGIC)


def ended(process: Any) -> Result:
    out, errors = process.communicate(timeout=LIMIT_S + 60)
    return Result(process.returncode, out, errors)


@contextmanager
def deploying(repo: Workspace) -> Iterator[Any]:
    process = repo.start("-o", "json", "deploy", "-e", "dev")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
