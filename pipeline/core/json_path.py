"""The part of kubectl's JSONPath that readiness rules need.

``{.a.b}``, ``[0]``, ``[-1]``, ``[*]``, ``["key.with.dots"]``, ``.key\\.with\\.dots``,
``[?(@.type=="Ready")]``. Braces and the leading dot may be missing, as in ``kubectl wait``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline.model.objects import Json


@dataclass(frozen=True, slots=True)
class Key:
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    at: int


@dataclass(frozen=True, slots=True)
class Every:
    """``[*]``: all items of a list, all values of a mapping."""


@dataclass(frozen=True, slots=True)
class Filter:
    """``[?(@.path=="value")]``; ``equal`` is False for ``!=``; without a value: the path exists."""

    path: tuple[Step, ...]
    value: str | None = None
    equal: bool = True


Step = Key | Index | Every | Filter
JsonPath = tuple[Step, ...]

_TOKEN = re.compile(
    r"""
      \.?\[ \s* (?P<index>-?\d{1,6}) \s* \]
    | \.?\[ \s* (?P<every>\*) \s* \]
    | \.?\[ \s* (?: "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)' ) \s* \]
    | \.?\[ \? \( \s* @ (?P<path>[^=!<>()"']+?) \s*
        (?: (?P<op>==|!=) \s* (?: "(?P<dq>[^"]*)" | '(?P<sq>[^']*)' | (?P<bare>[\w.-]+) ) \s* )? \) \]
    | \. (?P<key> (?: [^.\[\]{}()\s\\,="'] | \\. )+ )
    """,
    re.VERBOSE,
)


def parse_path(text: str) -> JsonPath:
    """Read a path. Raises ValueError, naming the part that is not understood."""
    body = text.strip()
    if body.startswith("{") and body.endswith("}"):
        body = body[1:-1].strip()
    body = body.removeprefix("$")
    if body and body[0] not in ".[":
        body = f".{body}"
    if body in ("", "."):
        raise ValueError(f"the JSONPath {text!r} names no field")
    steps: list[Step] = []
    position = 0
    while position < len(body):
        token = _TOKEN.match(body, position)
        if token is None:
            raise ValueError(f"the JSONPath {text!r} is not understood from {body[position:]!r} on")
        steps.append(_step(token.groupdict()))
        position = token.end()
    return tuple(steps)


def _step(token: dict[str, str | None]) -> Step:
    if token["index"] is not None:
        return Index(int(token["index"]))
    if token["every"] is not None:
        return Every()
    if token["path"] is not None:
        value = next((token[name] for name in ("dq", "sq", "bare") if token[name] is not None), None)
        return Filter(parse_path(token["path"]), value, token["op"] != "!=")
    name = next(token[name] for name in ("double", "single", "key") if token[name] is not None)
    return Key(re.sub(r"\\(.)", r"\1", name or ""))


def find(obj: Json, path: JsonPath) -> list[Any]:
    """Every value that the path reaches; null counts as absent."""
    found = [obj]
    for step in path:
        found = [value for node in found for value in _children(node, step) if value is not None]
    return found


def _children(node: Json, step: Step) -> list[Any]:
    match step:
        case Key(name):
            return [node[name]] if isinstance(node, dict) and name in node else []
        case Index(at):
            return [node[at]] if isinstance(node, list) and -len(node) <= at < len(node) else []
        case Every():
            values = list(node.values()) if isinstance(node, dict) else node
            return values if isinstance(values, list) else []
        case Filter():
            return [item for item in node if _passes(item, step)] if isinstance(node, list) else []


def _passes(item: Json, step: Filter) -> bool:
    found = [spell(value) for value in find(item, step.path)]
    if step.value is None:
        return bool(found)
    return any((value == step.value) is step.equal for value in found)


def spell(value: Json) -> str:
    """A value as rules write it: ``true`` for a truth value, as kubectl prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
