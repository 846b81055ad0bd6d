"""Which program renders kustomizations, and how it is run."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.adapters import child
from pipeline.model.errors import UnreachableError

VARIABLE: Final = "PIPELINE_KUSTOMIZE"

OLDEST: Final = (5, 0, 0)
"""What kubectl has had since 1.27. Fields change their meaning between major versions, and 4 was never tried:
docs/decisions/0019-kustomize.md."""

LIMITS: Final = child.Limits(seconds=300)
"""kustomize compares every object with every other: 5,000 Deployments take 75 s of CPU, and 224 MB."""

_VERSION: Final = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_INSTALL: Final = f"install kustomize 5 or kubectl 1.27 or newer, or name one with {VARIABLE}"


@dataclass(frozen=True, slots=True)
class Program:
    """``arguments`` come before the folder that is to be built; ``stamp`` tells one file from its update."""

    path: str
    arguments: tuple[str, ...]
    version: str
    stamp: tuple[int, int] = (0, 0)

    def build(self, root: Path, folder: str, stopped: Callable[[], bool]) -> child.Ended:
        """Build a folder below ``root``. Without options plugins, functions and helm stay off."""
        argv = [self.path, *self.arguments, str(root / folder)]
        return child.run(argv, folder=root, limits=LIMITS, stopped=stopped)


def find(environ: Mapping[str, str], stopped: Callable[[], bool]) -> Program:
    """The program that the user named, else kustomize, else kubectl; on the PATH, or beside our own Python.

    Raises:
        UnreachableError: there is none, or it is too old.
    """
    path = locate(environ)
    is_kubectl = "kubectl" in Path(path).name
    asked = ("version", "--client", "--output=json") if is_kubectl else ("version",)
    with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
        ended = child.run([path, *asked], folder=Path(folder), stopped=stopped)
    output = ended.output.decode(errors="replace")
    if is_kubectl:
        # Its own version stands beside that of the kustomize within.
        output = output.partition('"kustomizeVersion"')[2]
    found = _VERSION.search(output)
    if ended.code or found is None:
        raise UnreachableError(f"run {path}: it does not tell a version of kustomize", hint=_INSTALL)
    if tuple(map(int, found.groups())) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise UnreachableError(f"run {path}: kustomize {found[0]} is older than {wanted}", hint=_INSTALL)
    return Program(path, ("kustomize",) if is_kubectl else ("build",), found[0], stamp_of(path))


def stamp_of(path: str) -> tuple[int, int]:
    """When and how large a program was written."""
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def locate(environ: Mapping[str, str]) -> str:
    """The path of the program. UnreachableError where there is none."""
    search = environ.get("PATH", "")
    named = environ.get(VARIABLE, "")
    beside = str(Path(sys.executable).parent)
    for name in (named,) if named else ("kustomize", "kubectl"):
        found = shutil.which(name, path=search) or shutil.which(name, path=beside)
        if found:
            return str(Path(found).absolute())
    if named:
        raise UnreachableError(f"run {named}: no such program ({VARIABLE})", hint=_INSTALL)
    raise UnreachableError("render a kustomization: neither kustomize nor kubectl is here", hint=_INSTALL)
