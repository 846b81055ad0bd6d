"""Where a repository of charts has an archive, by its ``index.yaml``: somebody else's text, often many MiB.

Only what is asked for is kept of it. Nothing of it is believed: the archive is compared with its digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from pipeline.core.chart_parts import same_version
from pipeline.model.errors import InvalidError

_DEEPEST: Final = 64

Path = tuple[str | int, ...]


def address(index: bytes, name: str, version: str) -> str:
    """The first address of a version of a chart in the index; it may be relative to the repository's.

    Raises:
        InvalidError: it has no such version, or is no index.
    """
    versions: list[str] = []
    entry: dict[Path, str] = {}
    at = 0
    try:
        for path, value in _scalars(index.decode("utf-8-sig", errors="replace")):
            if len(path) < 4 or path[:2] != ("entries", name):
                if entry:
                    break
                continue
            if path[2] != at:
                if _is(entry, version):
                    break
                at, entry = int(path[2]), {}
            entry[path[3:]] = value
            if path[3:] == ("version",):
                versions.append(value)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidError("its index.yaml is not YAML that we read") from error
    if not _is(entry, version):
        told = (
            f"it has {', '.join(versions[:5])}{' …' * (len(versions) > 5)}"
            if versions
            else "it has no such chart"
        )
        raise InvalidError(f"no version {version} of {name} in its index.yaml: {told}")
    found = entry.get(("urls", 0), "")
    if not found:
        raise InvalidError(f"its index.yaml tells no address of {name} {version}")
    return found


def _is(entry: dict[Path, str], version: str) -> bool:
    return same_version(entry.get(("version",), ""), version)


def _scalars(text: str) -> Iterator[tuple[Path, str]]:
    """Every scalar value of a document with its path, as it is written."""
    get_event = CParser(text).get_event
    path: list[
        Any
    ] = []  # of each open collection: the key or number that its next value has, None before a key
    while True:
        event = get_event()
        kind = type(event)
        if kind is ScalarEvent or kind is AliasEvent:
            if path and path[-1] is None:
                path[-1] = getattr(event, "value", "")
                continue
            yield tuple(path), getattr(event, "value", "")
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if len(path) >= _DEEPEST or (path and path[-1] is None):
                raise InvalidError("its index.yaml is nested as none is")
            path.append(None if kind is MappingStartEvent else 0)
            continue
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            path.pop()
        elif kind is StreamEndEvent:
            return
        else:
            continue
        if path:
            # A value has ended: a list goes on to the next one, a mapping to a key.
            path[-1] = path[-1] + 1 if isinstance(path[-1], int) else None
