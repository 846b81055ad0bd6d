"""Which line of a template an object came from, as far as that can be told from the texts alone.

Pure. Helm says of each document which template printed it, and nothing of lines. What is printed and what
prints it look alike enough: documents begin with the same keys, and a key that stands once in both is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.model.objects import FieldPath, Object

_SOURCE = re.compile(r"^# Source: (\S.*)$")
_TOP = re.compile(r"^(apiVersion|kind):[ \t]*(.*?)[ \t]*$")
_KEY = re.compile(r"^[ \t]*(?:- +)*[\"']?([A-Za-z_][\w./-]*)[\"']?:(?:[ \t]|$)")
_NAME = re.compile(r"^  name:[ \t]*(.*?)[ \t]*$")
_ACTION = re.compile(r"\{\{.*?\}\}")


def pieces(output: str) -> list[tuple[str, str]]:
    """(template, what it printed) for each place in Helm's output where another template begins, in order.

    A template may print several documents; a file of ``crds/`` is printed as it is. Each piece begins with
    its own first line.
    """
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in output.split("\n"):
        current = found[-1][1]
        match = _SOURCE.match(line)
        if match and current and current[-1].rstrip() == "---":
            current.pop()
            found.append((match[1], []))
        else:
            current.append(line)
    return [(template, "\n".join(lines)) for template, lines in found if template or any(lines)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A stretch of a template that prints one object, or one for each turn of a loop.

    ``line`` is where it begins; ``keys`` are the lines of the keys that stand in it once.
    """

    line: int
    kind: str
    name: str
    keys: Mapping[str, int]


def chunks(template: str) -> list[Chunk]:
    """The stretches of a template, each from its first key of the top level on."""
    lines = template.split("\n")
    starts = [
        number
        for number, line in enumerate(lines)
        if (match := _TOP.match(line)) and not _is_second(lines, number, match[1])
    ]
    ends = [*starts[1:], len(lines)]
    return [_chunk(lines[start:end], start + 1) for start, end in zip(starts, ends, strict=False)]


def _is_second(lines: Sequence[str], number: int, key: str) -> bool:
    """Whether this is the second of ``apiVersion`` and ``kind`` of one object."""
    for line in reversed(lines[:number]):
        if line.startswith("---"):
            return False
        match = _TOP.match(line)
        if match:
            return match[1] != key
    return False


def _chunk(lines: Sequence[str], first: int) -> Chunk:
    kind, name = "", ""
    keys: dict[str, int] = {}
    twice: set[str] = set()
    for number, line in enumerate(lines, first):
        top, named, key = _TOP.match(line), _NAME.match(line), _KEY.match(line)
        if top and top[1] == "kind":
            kind = kind or top[2].strip("\"'")
        if named:
            name = name or named[1]
        if key:
            if key[1] in keys:
                twice.add(key[1])
            keys[key[1]] = number
    return Chunk(
        line=first, kind=kind, name=name, keys={k: line for k, line in keys.items() if k not in twice}
    )


def chunk_of(found: Sequence[Chunk], body: Object) -> Chunk | None:
    """The stretch that printed the object; None where several may have."""
    alike = [chunk for chunk in found if "{{" in chunk.kind or chunk.kind == body.get("kind")]
    if len(alike) > 1:
        name = str(body.get("metadata", {}).get("name") or "")
        alike = [chunk for chunk in alike if _may_print(chunk.name, name)]
    return alike[0] if len(alike) == 1 else None


def _may_print(written: str, name: str) -> bool:
    """Whether a template's text can become ``name``: what is no action of it must be there, in order."""
    parts = [re.escape(part) for part in _ACTION.split(written.strip("\"'"))]
    return re.fullmatch(".*".join(parts), name, re.DOTALL) is not None


def lines_of(chunk: Chunk, paths: Iterator[FieldPath] | Sequence[FieldPath]) -> dict[FieldPath, int]:
    """The lines of the fields whose key stands once in the object and once in the template."""
    by_key: dict[str, list[FieldPath]] = {}
    for path in paths:
        if path and isinstance(path[-1], str):
            by_key.setdefault(path[-1], []).append(path)
    found: dict[FieldPath, int] = {(): chunk.line}
    for key, places in by_key.items():
        if len(places) == 1 and key in chunk.keys:
            found[places[0]] = chunk.keys[key]
    return found
