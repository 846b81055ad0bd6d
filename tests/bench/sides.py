"""The two sides, each in its own namespace: ``pipeline`` in a repository, and kubectl as guides use it."""

from __future__ import annotations

import os
import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import fleet, requests
from tests.cluster.local import LocalCluster
from tests.e2e.workspace import Workspace

LIMIT_S = 180.0  # a command that takes longer is stuck


@dataclass(frozen=True, slots=True)
class Lab:
    """The cluster and where to work. ``kubectl`` is a path."""

    cluster: LocalCluster
    audit: requests.Audit
    folder: Path
    kubectl: str


@dataclass(slots=True)
class Ours:
    """A repository with the objects in environment ``dev``."""

    lab: Lab
    count: int
    workspace: Workspace = field(init=False)

    def __post_init__(self) -> None:
        word = f"ours-{secrets.token_hex(3)}"
        folder = self.lab.folder / word / "shop"
        folder.mkdir(parents=True)
        access = self.lab.cluster.user_kubeconfig(requests.OURS)
        self.workspace = Workspace(
            folder=folder,
            cluster=self.lab.cluster,
            namespace=word,
            application=word,
            environ={"KUBECONFIG": str(access)},
        )
        self.workspace.git("init", "--quiet", "--initial-branch", "main")
        self.workspace.git("config", "user.name", "bench")
        self.workspace.git("config", "user.email", "bench@example.invalid")
        self.workspace.environment(deploy="{timeout: 2m}")
        for name, text in fleet.files(self.count):
            self.workspace.manifest(name, text)
        self.workspace.commit()
        self.lab.cluster.create_namespace(word)

    def edit(self, name: str, old: str, new: str) -> None:
        self.workspace.edit(f"environments/dev/manifests/{name}", old, new)
        self.workspace.commit()

    def deploy(self, expect: int = 0) -> None:
        result = self.workspace.run("-o", "json", "deploy", "-e", "dev")
        if result.code != expect:
            raise SystemExit(f"error: pipeline deploy ended with {result.code}, expected {expect}\n{result}")


@dataclass(slots=True)
class Peer:
    """A folder with the objects, and the steps of a usual workflow."""

    lab: Lab
    count: int
    folder: Path = field(init=False)
    namespace: str = field(init=False)

    def __post_init__(self) -> None:
        self.namespace = f"peer-{secrets.token_hex(3)}"
        self.folder = self.lab.folder / self.namespace / "manifests"
        self.folder.mkdir(parents=True)
        for name, text in fleet.files(self.count):
            (self.folder / name).write_text(text)
        self.lab.cluster.create_namespace(self.namespace)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        path.write_text(path.read_text().replace(old, new))

    def deploy(self) -> None:
        """``kubectl apply`` and one ``kubectl rollout status`` for all Deployments."""
        self.apply()
        done = self.status("120s")
        if done.returncode:
            raise SystemExit(f"error: kubectl rollout status: {done.stderr}")

    def apply(self) -> None:
        self.run("apply", "-f", str(self.folder)).check_returncode()

    def status(self, timeout: str) -> subprocess.CompletedProcess[str]:
        return self.run("rollout", "status", "deployment", "--selector", "bench=true", f"--timeout={timeout}")

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        access = self.lab.cluster.user_kubeconfig(requests.PEER)
        # A home of its own: the first command pays for discovery, as on a fresh CI runner.
        environ = {**os.environ, "KUBECONFIG": str(access), "HOME": str(self.folder.parent)}
        command = [self.lab.kubectl, "--namespace", self.namespace, *args]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
