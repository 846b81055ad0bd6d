"""Readiness rules: in annotations of one object, in the environment for a whole kind, in our own table.

One language for all three; ``docs/readiness.md`` has its grammar with examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias, assert_never

from pipeline.core.json_path import JsonPath, find, parse_path, spell
from pipeline.core.reading import condition, mapping, number, text
from pipeline.model.environment import ReadyRule
from pipeline.model.objects import Json, Object

READY = "pipeline/ready"
FAILED = "pipeline/failed"


class Operator(StrEnum):
    """How two values are compared; all but the first two by number."""

    EQUAL = "="
    NOT_EQUAL = "!="
    AT_LEAST = ">="
    AT_MOST = "<="
    ABOVE = ">"
    BELOW = "<"


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """A status condition has this status, and one of these reasons where any is named.

    One that is older than the spec says nothing.
    """

    type: str
    status: str
    source: str
    reasons: tuple[str, ...] = ()

    def holds(self, obj: Object) -> bool:
        found = condition(obj, self.type)
        seen = number(found, "observedGeneration", default=-1)
        if 0 <= seen < number(obj, "metadata", "generation"):
            return False
        if self.reasons and text(found, "reason") not in self.reasons:
            return False
        return spell(found.get("status")).lower() == self.status.lower()


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A field has one of these values, all of them where the path reaches several.

    No values: is there and not empty. A field that is not there satisfies no operator, ``!=`` neither:
    silence proves nothing.
    """

    path: JsonPath
    values: tuple[str, ...]
    source: str
    operator: Operator = Operator.EQUAL

    def holds(self, obj: Object) -> bool:
        found = find(obj, self.path)
        if not self.values:
            return any(value not in ("", [], {}) for value in found)
        return bool(found) and all(
            any(_compares(value, self.operator, wanted) for wanted in self.values) for value in found
        )


@dataclass(frozen=True, slots=True)
class PathRule:
    """One field compares so with another; both must be there."""

    path: JsonPath
    operator: Operator
    other: JsonPath
    source: str

    def holds(self, obj: Object) -> bool:
        left, right = find(obj, self.path), find(obj, self.other)
        return bool(left and right) and all(_compares(a, self.operator, b) for a in left for b in right)


@dataclass(frozen=True, slots=True)
class AllOf:
    """``A && B``"""

    rules: tuple[Rule, ...]
    source: str

    def holds(self, obj: Object) -> bool:
        return all(rule.holds(obj) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """``A || B``"""

    rules: tuple[Rule, ...]
    source: str

    def holds(self, obj: Object) -> bool:
        return any(rule.holds(obj) for rule in self.rules)


Rule: TypeAlias = "ConditionRule | FieldRule | PathRule | AllOf | AnyOf"


@dataclass(frozen=True, slots=True)
class Rules:
    """All of ``ready`` must hold; any of ``failed`` fails the object."""

    ready: tuple[Rule, ...] = ()
    failed: tuple[Rule, ...] = ()


def parse_rule(text: str) -> Rule:
    """Read one rule: terms joined by ``&&`` and, weaker, ``||``.

    Raises:
        ValueError: says what is not understood.
    """
    alternatives = tuple(_all_of(part) for part in _split(text, "||"))
    return alternatives[0] if len(alternatives) == 1 else AnyOf(alternatives, text.strip())


@lru_cache(maxsize=1_000)  # the same few texts for thousands of objects
def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read several rules separated by commas; one inside braces, parentheses or quotes separates nothing."""
    return tuple(parse_rule(part) for part in _split(text, ",") if part.strip())


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


def conditions_of(rule: Rule) -> Iterator[ConditionRule]:
    """The conditions that a rule looks at, in the order in which they are written."""
    match rule:
        case ConditionRule():
            yield rule
        case AllOf(rules) | AnyOf(rules):
            for part in rules:
                yield from conditions_of(part)
        case FieldRule() | PathRule():
            return
        case _:
            assert_never(rule)


def _each(texts: Sequence[str]) -> tuple[Rule, ...]:
    return tuple(rule for text in texts for rule in parse_rules(text))


def _all_of(text: str) -> Rule:
    parts = tuple(_term(part) for part in _split(text, "&&"))
    return parts[0] if len(parts) == 1 else AllOf(parts, text.strip())


def _term(text: str) -> Rule:
    form, separator, rest = text.strip().partition("=")
    if form == "condition" and separator:
        return _condition(rest.strip(), text)
    if form == "jsonpath" and separator:
        return _field(rest.strip(), text)
    raise ValueError(f"the rule {text!r} starts neither with condition= nor with jsonpath=")


_CONDITION = re.compile(r"(?P<type>[^\s:()=]+)\s*(:\s*(?P<status>\w*)\s*)?(\((?P<reasons>[^()]*)\))?")
_COMPARED = re.compile(r"(?P<operator>==|!=|>=|<=|=|>|<)(?P<value>.*)", re.DOTALL)
_LISTED = re.compile(r"in\s*\((?P<values>.*)\)", re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_BY_SPELLING = (Operator.EQUAL, Operator.NOT_EQUAL)


def _condition(rest: str, rule: str) -> Rule:
    found = _CONDITION.fullmatch(rest)
    if found is None:
        raise ValueError(
            f"the rule {rule!r} is not condition=TYPE, condition=TYPE:STATUS or condition=TYPE:STATUS(REASON)"
        )
    reasons = _listed(found["reasons"], rule) if found["reasons"] is not None else ()
    return ConditionRule(found["type"], found["status"] or "True", rule.strip(), reasons)


def _field(rest: str, rule: str) -> Rule:
    end = _end_of_braces(rest)
    if not rest.startswith("{") or end < 0:
        raise ValueError(f"the rule {rule!r} is not jsonpath={{PATH}} or jsonpath={{PATH}}=VALUE")
    path, tail = parse_path(rest[:end]), rest[end:].strip()
    if not tail:
        return FieldRule(path, (), rule.strip())
    if listed := _LISTED.fullmatch(tail):
        return FieldRule(path, _listed(listed["values"], rule), rule.strip())
    compared = _COMPARED.fullmatch(tail)
    if compared is None:
        raise ValueError(
            f"the rule {rule!r} has {tail!r} after its path, where =VALUE, >=NUMBER or in (A, B) may stand"
        )
    operator = Operator(compared["operator"].replace("==", "="))
    return _comparison(path, operator, compared["value"].strip(), rule)


def _comparison(path: JsonPath, operator: Operator, value: str, rule: str) -> Rule:
    if value.startswith("{"):
        if _end_of_braces(value) != len(value):
            raise ValueError(f"the rule {rule!r} compares with {value!r}, which is no {{PATH}}")
        return PathRule(path, operator, parse_path(value), rule.strip())
    if value[:1] in tuple("=<>!"):
        raise ValueError(
            f"the rule {rule!r} has no operator {operator}{value[0]}; quote the value if it is one"
        )
    value = value.strip("\"'")
    if operator not in _BY_SPELLING and _number(value) is None:
        raise ValueError(f"the rule {rule!r} compares by number, and {value!r} is none")
    if not value and operator is not Operator.EQUAL:
        raise ValueError(f"the rule {rule!r} names no value after {operator}")
    return FieldRule(path, (value,) if value else (), rule.strip(), operator)


def _listed(values: str, rule: str) -> tuple[str, ...]:
    listed = tuple(part.strip().strip("\"'") for part in _split(values, ","))
    if not all(listed):
        raise ValueError(f"the rule {rule!r} has a list in parentheses with nothing between two commas")
    return listed


def _compares(left: Json, operator: Operator, right: Json) -> bool:
    if operator in _BY_SPELLING:
        return (spell(left) == spell(right)) is (operator is Operator.EQUAL)
    one, other = _number(left), _number(right)
    if one is None or other is None:
        return False
    match operator:
        case Operator.AT_LEAST:
            return one >= other
        case Operator.AT_MOST:
            return one <= other
        case Operator.ABOVE:
            return one > other
        case _:
            return one < other


def _number(value: Json) -> Decimal | int | float | None:
    """A number, or a string that spells one; a truth value is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _end_of_braces(text: str) -> int:
    """The position after the brace that closes the first one; -1 where none does."""
    for position, char, depth in _scan(text):
        if char == "}" and depth == 0:
            return position + 1
    return -1


def _split(text: str, separator: str) -> list[str]:
    cuts = [at for at, _, depth in _scan(text) if depth == 0 and text.startswith(separator, at)]
    starts = [0, *(cut + len(separator) for cut in cuts)]
    return [text[start:end] for start, end in zip(starts, [*cuts, len(text)], strict=True)]


_NESTS = {"{": 1, "(": 1, "}": -1, ")": -1}


def _scan(text: str) -> list[tuple[int, str, int]]:
    """Each character outside quotes, with the depth of braces and parentheses after it."""
    seen: list[tuple[int, str, int]] = []
    depth, quote = 0, ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
            continue
        if char in "\"'":
            quote = char
        depth += _NESTS.get(char, 0)
        seen.append((position, char, depth))
    return seen
