"""Manifests of files that the command line names: outside of git, and read with a limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.model.errors import InvalidError
from pipeline.model.objects import Manifest

from . import yaml

_ENDINGS: Final = (".yaml", ".yml", ".json")


def manifests(name: str) -> list[Manifest]:
    """The objects of a file, or of all YAML and JSON files below a folder, in the order of their paths.

    Raises:
        InvalidError: it cannot be read; with every problem of the first file that has some.
    """
    return [m for path in _paths(Path(name)) for m in yaml.load_manifests(str(path), _read(path))]


def _paths(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file())
    else:
        yield path


def _read(path: Path) -> bytes:
    """At most as much as tells that it is too much."""
    try:
        with path.open("rb") as file:
            return file.read(yaml.MAX_BYTES + 1)
    except OSError as error:
        raise InvalidError(f"read {path}: {error.strerror}") from error
