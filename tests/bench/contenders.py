"""The tools of the engine's comparison: what each is given, and its command.

Each works in a folder of its own and as a fresh runner would: with an empty home, so that none finds its
caches of an earlier step. All make their namespaces themselves, and the one for their records, too.
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from tests.bench import estate, peers

ROOT = Path(__file__).parents[2]
LOOP = Path(__file__).with_name("bare.py")
HOME_NAMESPACE = "bench-home"
"""Where a tool keeps its records: nothing of the set is in it."""

LANES, LANES_FAR = 8, 16
"""PATCHes of the bare loop at a time: more do not help two cores, fewer leave a distant server idle."""

ENVIRONMENT = f"""\
apiVersion: pipeline/v1
kind: Environment
metadata: {{name: dev}}
spec:
  application: bench
  namespace: {HOME_NAMESPACE}
  createNamespace: true
  sources: [{{manifests: manifests}}]
  deploy: {{onMerge: true, branch: main, timeout: 30m}}
  allow: {{clusterScoped: [Namespace], namespaces: ["*"]}}
"""


class Name(StrEnum):
    """Who takes part."""

    OURS = "pipeline deploy"
    BARE = "bare loop"
    HELM = "helm upgrade --wait"
    KAPP = "kapp deploy"
    SERVER_SIDE = "kubectl apply --server-side (no wait)"
    CLIENT_SIDE = "kubectl apply (no wait)"


@dataclass(slots=True)
class Contender(ABC):
    """One tool in its folder. ``limit_s`` bounds a step; ``code`` is whose ``pipeline`` is measured."""

    folder: Path
    kubeconfig: Path
    namespaces: int
    is_far: bool
    limit_s: float
    code: Path = ROOT

    @property
    def cwd(self) -> Path:
        return self.folder

    def write(self, *, changed: bool) -> None:
        """Lay the set, or only what differs in its second state."""
        self.lay(changed=changed)

    def lay(self, *, changed: bool) -> None:
        count = self.namespaces
        some = estate.changed_files(count, changed=True).items() if changed else estate.files(count)
        estate.write(self.place, some)

    @property
    def place(self) -> Path:
        """Where the manifests are."""
        return self.folder / "manifests"

    @abstractmethod
    def command(self) -> list[str]:
        """What a user would type."""

    def environ(self, step: str) -> dict[str, str]:
        home = self.folder / f"home-{step}"
        home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_HEEDED)}
        return {**kept, "HOME": str(home), "KUBECONFIG": str(self.kubeconfig), "PYTHONPATH": str(self.code)}


_HEEDED = ("PIPELINE_", "GITHUB_", "GIT_", "HELM_", "KAPP_", "XDG_", "KUBE")


@dataclass(slots=True)
class Ours(Contender):
    """A repository with one environment."""

    @property
    def cwd(self) -> Path:
        return self.folder / "repository"

    @property
    def place(self) -> Path:
        return self.cwd / "environments/dev/manifests"

    def write(self, *, changed: bool) -> None:
        self.lay(changed=changed)
        if not changed:
            (self.cwd / "environments/dev/environment.yaml").write_text(ENVIRONMENT)
            git(self.cwd, "init", "--quiet", "--initial-branch", "main")
        git(self.cwd, "add", "--all")
        git(self.cwd, "commit", "--quiet", "--message", "a change")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "pipeline", "-o", "json", "deploy", "-e", "dev"]


@dataclass(slots=True)
class Bare(Contender):
    """``bare.py``, with everything read and encoded beforehand."""

    def write(self, *, changed: bool) -> None:
        texts = (text for _, text in estate.files(self.namespaces, changed=changed))
        write_bodies(self.folder / "objects.jsonl", texts)

    def command(self) -> list[str]:
        lanes = LANES_FAR if self.is_far else LANES
        objects = str(self.folder / "objects.jsonl")
        return [sys.executable, "-P", str(LOOP), str(self.kubeconfig), objects, str(lanes)]


@dataclass(slots=True)
class Helm(Contender):
    """One release of a chart whose templates are the files as they are, Namespaces among them."""

    @property
    def place(self) -> Path:
        return self.folder / "chart/templates"

    def write(self, *, changed: bool) -> None:
        self.lay(changed=changed)
        (self.folder / "chart/Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 0.1.0\n")

    def command(self) -> list[str]:
        found = peers.find(peers.HELM)
        limits = ("--qps", "2000", "--burst-limit", "4000")  # its default limits starve its own wait
        return [
            *(found.path if found else "helm", "upgrade", "--install", "bench", str(self.folder / "chart")),
            *("--namespace", HOME_NAMESPACE, "--create-namespace"),
            *("--rollback-on-failure", "--wait", *limits, "--timeout", f"{self.limit_s:.0f}s"),
        ]


@dataclass(slots=True)
class Kapp(Contender):
    """One app, with default flags."""

    def command(self) -> list[str]:
        found = peers.find(peers.KAPP)
        return [
            *(found.path if found else "kapp", "deploy", "-y", "-a", "bench", "-n", "default"),
            *("-f", str(self.place)),
        ]


@dataclass(slots=True)
class ClientSide(Contender):
    """The apply of most guides, which does not wait for anything."""

    def command(self) -> list[str]:
        found = peers.find(peers.KUBECTL)
        return [
            found.path if found else "kubectl",
            "apply",
            *self.options(),
            "--recursive",
            "-f",
            str(self.place),
        ]

    def options(self) -> list[str]:
        return []


@dataclass(slots=True)
class ServerSide(ClientSide):
    """The same, with the server's merge."""

    def options(self) -> list[str]:
        return ["--server-side"]


KINDS: dict[Name, type[Contender]] = {
    Name.OURS: Ours,
    Name.BARE: Bare,
    Name.HELM: Helm,
    Name.KAPP: Kapp,
    Name.SERVER_SIDE: ServerSide,
    Name.CLIENT_SIDE: ClientSide,
}
NEEDED = {
    Name.HELM: peers.HELM,
    Name.KAPP: peers.KAPP,
    Name.SERVER_SIDE: peers.KUBECTL,
    Name.CLIENT_SIDE: peers.KUBECTL,
}


def write_bodies(path: Path, texts: Iterable[str]) -> None:
    """One object a line, as JSON."""
    with path.open("w") as out:
        for text in texts:
            out.write(json.dumps(yaml.load(text, Loader=yaml.CSafeLoader)) + "\n")


def compiled(code: Path) -> Path:
    """The checkout with its bytecode, as pip leaves it with what it installs, and so in the image; without,
    each run would compile all of it where the machine says not to keep any."""
    compileall.compile_dir(code / "pipeline", quiet=1)
    return code


def git(folder: Path, *args: str, stdin: bytes = b"") -> str:
    """Run git without anybody's settings."""
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        **{f"GIT_{who}_NAME": "bench" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "bench@example.invalid" for who in ("AUTHOR", "COMMITTER")},
    }
    done = subprocess.run(
        ["git", *args], cwd=folder, env=environ, input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode().strip()
