"""Bad manifests, and what must be told of them: for the local cluster's simulated pods, and for real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.workspace import Result, Workspace

POLICY = "rollback: {auto: false}\nrollout: {grace: {image: 2s, schedule: 2s, quota: 2s, restarts: 2}}"


@dataclass(frozen=True)
class Failure:
    """A bad manifest, and what must be told of it: cause, the line that holds ``at``, evidence, hint."""

    manifest: str
    code: str
    at: str
    evidence: str
    hint: str = ""
    more: str = ""
    timeout: str = "40s"
    exit_code: int = 11
    before: Callable[[Workspace], None] = lambda repo: None
    beside: str = ""


def workload(
    image: str = "nginx:1.21", *lines: str, pod: str = "", kind: str = "Deployment", **notes: str
) -> str:
    """One container ``main`` with further ``lines``; ``notes`` are the pod's test annotations."""
    said = ", ".join(f"pipeline.test/{key.replace('_', '-')}: {value!r}" for key, value in notes.items())
    parts = [
        "apiVersion: apps/v1",
        f"kind: {kind}",
        "metadata: {name: web}",
        "spec:",
        "  replicas: 2",
        *(["  serviceName: web"] if kind == "StatefulSet" else []),
        "  selector: {matchLabels: {app: web}}",
        "  template:",
        "    metadata:",
        "      labels: {app: web}",
        f"      annotations: {{{said}}}",
        "    spec:",
        *([f"      {pod}"] if pod else []),
        "      containers:",
        "        - name: main",
        f"          image: {image}",
        *(f"          {line}" for line in lines),
    ]
    return "\n".join(parts) + "\n"


def quota(repo: Workspace) -> None:
    """Room for one pod of two: enough to begin with, so that nothing speaks against the deploy."""
    repo.kubectl("create", "quota", "small", "--hard=pods=1")


def restricted(repo: Workspace) -> None:
    repo.kubectl("label", "namespace", repo.namespace, "pod-security.kubernetes.io/enforce=restricted")


def deploy(repo: Workspace, failure: Failure) -> Result:
    """What becomes of the bad manifest, in a namespace that is there."""
    failure.before(repo)
    repo.environment(f"{POLICY}\n{failure.more}", deploy=f"{{timeout: {failure.timeout}}}")
    repo.manifest("web.yaml", failure.manifest)
    if failure.beside:
        repo.manifest("beside.yaml", failure.beside)
    repo.commit()
    return repo.run("-o", "json", "deploy", "-e", "dev")


def is_told(failure: Failure, repo: Workspace, result: Result) -> None:
    """The exit code, the cause, the line to blame, the evidence, and what to do."""
    assert result.code == failure.exit_code, str(result)

    causes: dict[str, Any] = {cause["code"]: cause for cause in result.document["causes"]}
    assert failure.code in causes, str(result)
    cause = causes[failure.code]
    told = [one["object"] for one in result.document["causes"] if one["code"] == failure.code]
    assert len(told) == len(set(told)), "what shows in many pods is one cause"

    lines = (repo.folder / "environments/dev/manifests/web.yaml").read_text().splitlines()
    path, _, line = cause["origin"].rpartition(":")
    assert path == "environments/dev/manifests/web.yaml"
    assert failure.at in lines[int(line) - 1], cause
    assert any(failure.evidence in said for said in (cause["message"], *cause["evidence"])), cause
    assert failure.hint in cause["hint"], cause
