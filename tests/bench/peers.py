"""The other tools: where they are, and how to get them.

``python -m tests.bench.peers`` builds what is missing, by Go from its module proxy into the user's cache,
outside the repository. A peer that can be neither found nor built is left out of the comparison, which then
says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.build import toolchain
from tests.cluster.toolchain import BuildError

BUILD_LIMIT_S = 3600.0
VERSION_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A tool: its Go module and package, and what its version must look like to be the one meant.

    ``stamp`` is the variable that its own builds write the version into, where it does not know it otherwise.
    """

    name: str
    module: str = ""
    package: str = ""
    version: str = ""
    stamp: str = ""
    ask: tuple[str, ...] = ("version",)
    looks_like: str = ""


HELM = Peer(
    name="helm",
    module="helm.sh/helm/v4",
    package="helm.sh/helm/v4/cmd/helm",
    version="v4.3.1",
    ask=("version", "--short"),
    looks_like=r"\bv?4\.\d+",  # --rollback-on-failure and --qps are of version 4
)
KAPP = Peer(
    name="kapp",
    module="carvel.dev/kapp",
    package="carvel.dev/kapp/cmd/kapp",
    version="v0.64.2",
    stamp="carvel.dev/kapp/pkg/kapp/version.Version",
    ask=("--version",),
    looks_like=r"0\.6\d",
)
KUBECTL = Peer(name="kubectl", ask=("version", "--client"), looks_like=r"v1\.\d+")
BUILT = (HELM, KAPP)


@dataclass(frozen=True, slots=True)
class Found:
    """A tool that is here."""

    path: str
    version: str


def find(peer: Peer, name: str = "") -> Found | None:
    """On the PATH or in the cache; None where it is not, or is too old. ``name`` may be a path."""
    for candidate in (shutil.which(name or peer.name), str(_cache() / peer.name)):
        if candidate and Path(candidate).is_file() and (version := _version(peer, candidate)):
            return Found(candidate, version)
    return None


def build(peer: Peer) -> str:
    """Build into the cache; returns why that failed, or nothing."""
    try:
        go = str(toolchain())
    except BuildError as error:
        return str(error)
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as folder:
        # One package at a time, politely: a benchmark of others may be running.
        flags = f"-p=1 {os.environ.get('GOFLAGS', '')}".strip()
        environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": flags, "GOBIN": str(_cache())}
        stamp = f" -X {peer.stamp}={peer.version.lstrip('v')}" if peer.stamp else ""
        lean = ("-trimpath", f"-ldflags=-s -w{stamp}")
        why = _go(go, ["install", *lean, f"{peer.package}@{peer.version}"], folder, environ)
        if not why:
            return ""
        # A module with replacements, or of which a proxy has this version but no list of all, cannot be
        # installed as it stands, only as a requirement of another.
        required = f"module example.invalid/peer\n\ngo 1.24\n\nrequire {peer.module} {peer.version}\n"
        (Path(folder) / "go.mod").write_text(required)
        within = ["install", "-mod=mod", *lean, peer.package]
        return _go(go, within, folder, environ) and why


def _go(go: str, arguments: Sequence[str], folder: str, environ: Mapping[str, str]) -> str:
    """Why it failed, or nothing."""
    politely = ["nice", "-n", "15"] if shutil.which("nice") else []
    done = subprocess.run(
        [*politely, go, *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=BUILD_LIMIT_S,
        check=False,
    )
    return (done.stderr.strip() or "go failed") if done.returncode else ""


def _cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "pipeline-bench" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _version(peer: Peer, path: str) -> str:
    try:
        done = subprocess.run(
            [path, *peer.ask], capture_output=True, text=True, timeout=VERSION_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"v?\d+\.\d+(\.\d+)?", done.stdout)
    return found[0].lstrip("v") if found and re.search(peer.looks_like, done.stdout) else ""


def main() -> int:
    """Build what is missing, and say where everything is."""
    missing = 0
    for peer in (KUBECTL, *BUILT):
        found = find(peer)
        if found is None and peer.package:
            print(f"building {peer.name} {peer.version}: minutes", file=sys.stderr)
            why = build(peer)
            found = find(peer)
            if why:
                print(f"error: build {peer.name}: {why.splitlines()[-1].strip()}", file=sys.stderr)
        missing += found is None
        print(f"{peer.name}: {f'{found.version} at {found.path}' if found else 'not here: will be left out'}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
