"""Plain YAML scalars, read as kubectl reads them.

kubectl reads YAML 1.1 with the table of go-yaml v2 (``resolve.go``) and turns it into JSON: ``y`` and
``on`` are booleans, ``0644`` and ``0o644`` are octal, ``1e3`` is 1000, times and dates are strings. What
it would read differently from other readers beyond repair (infinities, integers of more than 64 bits) is
refused, not guessed.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import isinf

from pipeline.model.objects import Json

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


def _spellings(*words: str) -> set[str]:
    return {spelling for word in words for spelling in (word, word.capitalize(), word.upper())}


_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(_spellings("null"), None),
    **dict.fromkeys(_spellings("y", "yes", "true", "on"), True),
    **dict.fromkeys(_spellings("n", "no", "false", "off"), False),
}
_NOT_FINITE = {sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}
_NOT_FINITE |= {".nan", ".NaN", ".NAN"}
_NUMERIC_START = frozenset("+-.0123456789")

_INTEGERS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"([-+]?)([1-9][0-9]*|0)"), 10),
    (re.compile(r"([-+]?)0[xX]([0-9a-fA-F]+)"), 16),
    (re.compile(r"([-+]?)0[oO]?([0-7]+)"), 8),
    (re.compile(r"([-+]?)0[bB]([01]+)"), 2),
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

# Underscores do not count, but for a point at the start: there Go itself wants them between digits.
_STRAY_UNDERSCORE = re.compile(r"(?<![0-9])_|_(?![0-9])")

# What YAML 1.1 or 1.2 readers other than kubectl's take for something else than a string: times and
# dates of YAML 1.1 (base 60), numbers with odd signs, and "=" and "<<", which have tags of their own.
_LOOKS_OTHERWISE = re.compile(
    r"[-+.0-9][-+.0-9_:,eExXoObBpPa-fA-FtTzZ ]*|=|<<|[-+]?\.(inf|nan)", re.IGNORECASE
)


def resolve(text: str) -> Json:
    """The JSON value of a plain scalar. ValueError says why it has none."""
    value = _resolve(text)
    return whole(value) if isinstance(value, float) else value


def resolve_key(text: str) -> str:
    """A plain scalar as a key, which JSON knows as strings only. ValueError says why it cannot be one."""
    return _key_text(_resolve(text))


def _resolve(text: str) -> Json:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START:
        return text
    if text in _NOT_FINITE:
        raise ValueError(f"{text} is no JSON number; quote it if it is meant as text")
    if text[0] == "." and _STRAY_UNDERSCORE.search(text):
        return text
    return _number(text.replace("_", ""), text)


def _number(plain: str, text: str) -> Json:
    for pattern, base in _INTEGERS:
        match = pattern.fullmatch(plain)
        if match:
            return _integer(match, base, text)
    if not _FLOAT.fullmatch(plain):
        return text
    value = float(plain)
    # What is too large for a float is text to kubectl.
    return text if isinf(value) else value


def _integer(match: re.Match[str], base: int, text: str) -> int:
    # 64 bits are 64 binary digits; Python itself refuses to read very long decimals.
    digits = match[2].lstrip("0")
    value = int(match[1] + (digits or "0"), base) if len(digits) <= 64 else INT64_MAX + 1
    if not INT64_MIN <= value <= INT64_MAX:
        raise ValueError(f"{text[:40]} does not fit into 64 bits; quote it if it is meant as text")
    return value


def whole(value: float) -> int | float:
    """The integer that JSON makes of a float without a fraction: 1.0 is written 1, and read so again."""
    if not value.is_integer():
        return value
    # Of the shortest decimal digits, as Go prints them, not of the exact binary value.
    integer = int(Decimal(repr(value)))
    return integer if INT64_MIN <= integer <= INT64_MAX else value


def _key_text(value: Json) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            # Go prints keys with the precision of 32 bits; six digits survive that. To it -0.0 and 0.0 are
            # one key, spelt as the later one is.
            text = f"{value:.6g}"
            if "e" not in text and text != "-0" and float(text) == value:
                return text
            raise ValueError(f"the number {value!r} as a key has no sure spelling; quote it")
        case _:
            raise ValueError("null cannot be a key; quote it")


def needs_quotes(text: str) -> bool:
    """True where some reader of YAML 1.1 or 1.2 could take the plain ``text`` for anything but a string."""
    if text in _WORDS or _LOOKS_OTHERWISE.fullmatch(text):
        return True
    try:
        return not isinstance(resolve(text), str)
    except ValueError:
        return True
