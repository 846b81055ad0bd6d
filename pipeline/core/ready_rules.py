"""Readiness rules that users write: in annotations of one object, in the environment for a whole kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.json_path import JsonPath, find, parse_path, spell
from pipeline.core.reading import condition, mapping, number, text
from pipeline.model.environment import ReadyRule
from pipeline.model.objects import Object

READY = "pipeline/ready"
FAILED = "pipeline/failed"


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """A status condition has this status. One that is older than the spec says nothing."""

    type: str
    status: str
    source: str

    def holds(self, obj: Object) -> bool:
        found = condition(obj, self.type)
        seen = number(found, "observedGeneration", default=-1)
        if 0 <= seen < number(obj, "metadata", "generation"):
            return False
        return spell(found.get("status")).lower() == self.status.lower()


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A field has this value, all of them where the path reaches several; None: is there and not empty."""

    path: JsonPath
    value: str | None
    source: str

    def holds(self, obj: Object) -> bool:
        found = find(obj, self.path)
        if self.value is None:
            return any(value not in ("", [], {}) for value in found)
        return bool(found) and all(spell(value) == self.value for value in found)


Rule = ConditionRule | FieldRule


@dataclass(frozen=True, slots=True)
class Rules:
    """All of ``ready`` must hold; any of ``failed`` fails the object."""

    ready: tuple[Rule, ...] = ()
    failed: tuple[Rule, ...] = ()


def parse_rule(text: str) -> Rule:
    """Read ``condition=TYPE[:STATUS]`` or ``jsonpath={PATH}[=VALUE]``.

    Raises:
        ValueError: says what is not understood.
    """
    form, separator, rest = text.strip().partition("=")
    rest = rest.strip()
    if form == "condition" and separator:
        kind, _, status = rest.partition(":")
        if not kind.strip() or "=" in rest:
            raise ValueError(f"the rule {text!r} is not condition=TYPE or condition=TYPE:STATUS")
        return ConditionRule(kind.strip(), status.strip() or "True", text.strip())
    if form == "jsonpath" and separator:
        end = _end_of_braces(rest)
        if not rest.startswith("{") or end < 0:
            raise ValueError(f"the rule {text!r} is not jsonpath={{PATH}} or jsonpath={{PATH}}=VALUE")
        tail = rest[end:].strip()
        if tail and not tail.startswith("="):
            raise ValueError(f"the rule {text!r} has {tail!r} after its path, where =VALUE may stand")
        value = tail[1:].strip().strip("\"'") if tail else None
        return FieldRule(parse_path(rest[:end]), value or None, text.strip())
    raise ValueError(f"the rule {text!r} starts neither with condition= nor with jsonpath=")


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read several rules separated by commas; a comma inside braces or quotes belongs to its rule."""
    return tuple(parse_rule(part) for part in _split(text) if part.strip())


def rules_for(obj: Object, kinds: Sequence[ReadyRule]) -> Rules | None:
    """What the user says about this object: its annotations, else the rules of its kind, else None.

    Raises:
        ValueError: a rule cannot be read.
    """
    annotations = mapping(obj, "metadata", "annotations")
    own = Rules(parse_rules(text(annotations, READY)), parse_rules(text(annotations, FAILED)))
    if own.ready or own.failed:
        return own
    group, _, _ = text(obj, "apiVersion").rpartition("/")
    for kind in kinds:
        if (kind.group, kind.kind) == (group, text(obj, "kind")):
            return Rules(_each(kind.ready), _each(kind.failed))
    return None


def _each(texts: Sequence[str]) -> tuple[Rule, ...]:
    return tuple(rule for text in texts for rule in parse_rules(text))


def _end_of_braces(text: str) -> int:
    """The position after the brace that closes the first one; -1 where none does."""
    for position, char, depth in _scan(text):
        if char == "}" and depth == 0:
            return position + 1
    return -1


def _split(text: str) -> list[str]:
    cuts = [position for position, char, depth in _scan(text) if char == "," and depth == 0]
    starts = [0, *(cut + 1 for cut in cuts)]
    return [text[start:end] for start, end in zip(starts, [*cuts, len(text)], strict=True)]


def _scan(text: str) -> list[tuple[int, str, int]]:
    """Each character that stands outside quotes, with the depth of braces after it."""
    seen: list[tuple[int, str, int]] = []
    depth, quote = 0, ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
            continue
        if char in "\"'":
            quote = char
        depth += {"{": 1, "}": -1}.get(char, 0)
        seen.append((position, char, depth))
    return seen
