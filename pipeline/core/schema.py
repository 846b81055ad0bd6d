"""Shapes of configuration: one definition that reads values, tells what is wrong and writes JSON Schema.

Pure. Reading never stops at the first problem and never guesses: an unknown key, a number where a
duration belongs or a word outside of an enumeration is a located problem with the nearest right answer.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Origin, show_path

Rule = Callable[[str], None]
"""Raises ValueError with the reason where a text is not acceptable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string; ``pattern`` (with ``words`` for people), ``choices`` or ``rule`` narrow it."""

    choices: tuple[str, ...] = ()
    pattern: str = ""
    words: str = ""
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer within bounds."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Duration:
    """Written like ``1h30m``; read as seconds, within bounds."""

    minimum: float = 0.0
    maximum: float = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Either:
    """The shape whose JSON type the value has; for scalars of different types."""

    shapes: tuple[Text | Whole, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """A list."""

    item: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of a mapping. ``later`` says why a value that means something is refused for now."""

    shape: Shape
    about: str = ""
    required: bool = False
    later: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A mapping with known keys; exactly one of ``one_of``, at most one of ``at_most_one``."""

    fields: Mapping[str, Field]
    one_of: tuple[str, ...] = ()
    at_most_one: tuple[str, ...] = ()


Shape = Text | Flag | Whole | Duration | Either | Many | Keys

DURATION: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that ``name`` was probably meant to be, or empty."""
    by_lower = {choice.lower(): choice for choice in choices}
    word = name.lower()[:200]
    found = difflib.get_close_matches(word, list(by_lower), n=1, cutoff=0.6)
    # "production" is too far from "prod" by letters alone.
    found += [c for c in by_lower if len(word) > 2 < len(c) and (word.startswith(c) or c.startswith(word))]
    return by_lower[found[0]] if found else ""


def seconds(text: str) -> float:
    """Read ``10m``, ``1h30m``, ``60s``, ``250ms``. ValueError for anything else."""
    if len(text) > 40 or not _matches(DURATION, text):
        raise ValueError("a duration is written like 30s, 10m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def _matches(pattern: str, text: str) -> bool:
    # In JSON Schema $ is the end of the text, in Python also the place before a last line break.
    return re.search(pattern.replace("$", r"\Z"), text) is not None


@dataclass(slots=True)
class Reading:
    """Reads one value of one file, and collects what is wrong with it."""

    path: str
    lines: Mapping[FieldPath, int]
    problems: list[Problem] = field(default_factory=list)

    def origin(self, at: FieldPath) -> Origin:
        """The line of a field; of the nearest one around it where it is not written."""
        for end in range(len(at), 0, -1):
            if at[:end] in self.lines:
                return Origin(self.path, self.lines[at[:end]])
        return Origin(self.path)

    def tell(self, at: FieldPath, code: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(code=code, message=message, origin=self.origin(at), hint=hint))

    def read(self, shape: Shape, value: Json, at: FieldPath) -> Any:
        """The value, with durations as seconds and only known keys; None where it is of no use."""
        match shape:
            case Text():
                return self._text(shape, value, at)
            case Flag():
                return value if self._is(value, bool, "true or false", at) else None
            case Whole():
                return self._whole(shape, value, at)
            case Duration():
                return self._duration(shape, value, at)
            case Either():
                as_text = isinstance(value, str)
                chosen = [s for s in shape.shapes if isinstance(s, Text) is as_text]
                return self.read(chosen[0], value, at)
            case Many():
                return self._many(shape, value, at)
            case Keys():
                return self._keys(shape, value, at)
            case _:
                assert_never(shape)

    # --- scalars

    def _is(self, value: Json, wanted: type, words: str, at: FieldPath, hint: str = "") -> bool:
        if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
            return True
        self.tell(at, "wrong-type", f"{show_path(at)} is {kind_of(value)}, not {words}", hint)
        return False

    def _text(self, shape: Text, value: Json, at: FieldPath) -> str | None:
        hint = "quote it" if isinstance(value, (bool, int, float)) else ""
        if not self._is(value, str, "a string", at, hint):
            return None
        if shape.choices and value not in shape.choices:
            near = nearest(value, shape.choices)
            message = f"{show_path(at)} is {shown(value)}, not {' or '.join(shape.choices)}"
            self.tell(at, "bad-value", message, f"did you mean {near}?" if near else "")
            return None
        if shape.pattern and not _matches(shape.pattern, value):
            self.tell(at, "bad-value", f"{show_path(at)} is {shown(value)}: {shape.words}")
            return None
        try:
            if shape.rule is not None:
                shape.rule(value)
        except ValueError as error:
            self.tell(at, "bad-value", f"{show_path(at)} is {shown(value)}: {error}")
            return None
        return str(value)

    def _whole(self, shape: Whole, value: Json, at: FieldPath) -> int | None:
        if not self._is(value, int, "a whole number", at):
            return None
        if not shape.minimum <= value <= shape.maximum:
            message = f"{show_path(at)} is {value}, not between {shape.minimum} and {shape.maximum}"
            self.tell(at, "bad-value", message)
            return None
        return int(value)

    def _duration(self, shape: Duration, value: Json, at: FieldPath) -> float | None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not self._is(value, str, "a duration", at, f"write {value}s" if number else ""):
            return None
        try:
            read = seconds(value)
        except ValueError as error:
            self.tell(at, "bad-value", f"{show_path(at)} is {shown(value)}: {error}")
            return None
        if not shape.minimum <= read <= shape.maximum:
            bounds = f"{shape.minimum:g} s and {shape.maximum:g} s"
            self.tell(at, "bad-value", f"{show_path(at)} is {value}, not between {bounds}")
            return None
        return read

    # --- collections

    def _many(self, shape: Many, value: Json, at: FieldPath) -> list[Any] | None:
        hint = f"write [{value}]" if isinstance(value, str) else ""
        if not self._is(value, list, "a list", at, hint):
            return None
        return [self.read(shape.item, item, (*at, index)) for index, item in enumerate(value)]

    def _keys(self, shape: Keys, value: Json, at: FieldPath) -> dict[str, Any] | None:
        if not self._is(value, dict, "a mapping", at):
            return None
        found: dict[str, Any] = {}
        for key, item in value.items():
            known = shape.fields.get(key)
            if known is None:
                self._unknown(key, shape, at)
            elif known.later and _means_something(item):
                self.read(known.shape, item, (*at, key))
                self.tell((*at, key), "not-supported-yet", known.later, "remove it until it is supported")
            elif item is None:
                self.tell((*at, key), "wrong-type", f"{show_path((*at, key))} is empty", "give it a value")
            else:
                read = self.read(known.shape, item, (*at, key))
                if read is not None:
                    found[key] = read
        self._complete(shape, value, at)
        return found

    def _unknown(self, key: str, shape: Keys, at: FieldPath) -> None:
        near = nearest(key, shape.fields)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(shape.fields)}"
        where = f" in {show_path(at)}" if at else ""
        self.tell((*at, key), "unknown-key", f"unknown key {shown(key)}{where}", hint)

    def _complete(self, shape: Keys, value: dict[str, Any], at: FieldPath) -> None:
        for key, known in shape.fields.items():
            if known.required and key not in value:
                self.tell(at, "missing-key", f"{show_path((*at, key))} is missing", known.about)
        for names, least in ((shape.one_of, 1), (shape.at_most_one, 0)):
            given = [name for name in names if name in value]
            if names and not least <= len(given) <= 1:
                words = "exactly" if least else "at most"
                message = f"{show_path(at)} has {' and '.join(given) or 'none'} of {', '.join(names)}"
                self.tell(at, "bad-choice", message, f"write {words} one of them")


def kind_of(value: Json) -> str:
    """What a value is, in words, without the value."""
    for known, words in _KIND_WORDS:
        if isinstance(value, known):
            return words
    return "empty"


_KIND_WORDS: Final[Sequence[tuple[type | tuple[type, ...], str]]] = (
    (bool, "a boolean"),
    ((int, float), "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "a mapping"),
)


def _means_something(value: Json) -> bool:
    """Whether leaving a setting without effect would be a lie: off, zero and empty are kept anyway."""
    return value not in (None, False, 0, "", "0s", [], {})


def shown(value: str) -> str:
    """A text of a user within a message: quoted, short, on one line, without control characters."""
    clean = value if len(value) <= 60 else value[:57] + "…"
    return '"' + "".join(c if c.isprintable() else "?" for c in clean) + '"'


# --- JSON Schema


def json_schema(shape: Shape) -> dict[str, Any]:
    """The shape as JSON Schema, draft 2020-12."""
    match shape:
        case Text(choices=choices, pattern=pattern):
            schema: dict[str, Any] = {"type": "string"}
            if choices:
                schema["enum"] = list(choices)
            if pattern:
                schema["pattern"] = pattern
            return schema
        case Flag():
            return {"type": "boolean"}
        case Whole(minimum=minimum, maximum=maximum):
            return {"type": "integer", "minimum": minimum, "maximum": maximum}
        case Duration():
            return {"type": "string", "pattern": DURATION, "examples": ["30s", "10m", "1h30m"]}
        case Either(shapes=shapes):
            return {"anyOf": [json_schema(s) for s in shapes]}
        case Many(item=item):
            return {"type": "array", "items": json_schema(item)}
        case Keys():
            return _keys_schema(shape)
        case _:
            assert_never(shape)


def _keys_schema(shape: Keys) -> dict[str, Any]:
    properties = {}
    for name, known in shape.fields.items():
        about = " ".join(
            text for text in (known.about, f"Refused for now: {known.later}." * bool(known.later)) if text
        )
        properties[name] = json_schema(known.shape) | ({"description": about} if about else {})
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [name for name, known in shape.fields.items() if known.required]
    if required:
        schema["required"] = required
    if shape.one_of:
        schema["oneOf"] = [{"required": [name]} for name in shape.one_of]
    if shape.at_most_one:
        schema["not"] = {"required": list(shape.at_most_one)}
    return schema
