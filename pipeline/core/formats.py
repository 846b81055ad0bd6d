"""Patterns and formats of OpenAPI schemas, as Go's server reads them: what cannot be told passes."""

from __future__ import annotations

import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

_LONGEST: Final = 1000
"""Characters that are matched. RE2 is linear; Python's engine is not, and a run must not hang on a value."""

_BEYOND_PYTHON: Final = re.compile(r"\[\[|\\[pPQzCA]|\(\?[^:)]|&&|~~|--")
"""What RE2 reads otherwise than Python: classes of classes, Unicode classes, quoting, ends, flags; and what
Python warns of in classes."""

_REPEATED: Final = re.compile(r"[*+]|\{\d+,")


def matches(pattern: str, text: str) -> bool:
    """Whether ``text`` holds a match; true where Python cannot tell as RE2 would."""
    compiled = _compiled(pattern)
    return compiled is None or len(text) > _LONGEST or compiled.search(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    if _BEYOND_PYTHON.search(pattern) or _explodes(pattern):
        return None
    try:
        return re.compile(_whole_end(pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None


def _whole_end(pattern: str) -> str:
    """``$`` is the end of the text, in Python also the place before a last line break."""
    return "".join(r"\Z" if part == "$" else part for part in _parts(pattern))


def _parts(pattern: str) -> list[str]:
    """The pattern in pieces: escapes and classes as one, everything else by character."""
    return re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL)


def _explodes(pattern: str) -> bool:
    """Whether a repeated group repeats something inside and has no fixed beginning that separates the rounds.

    ``(a+)+`` takes exponential time on a value that does not match; ``(\\.[a-z]+)*`` does not.
    """
    parts = _parts(pattern)
    opened: list[int] = []
    for index, part in enumerate(parts):
        if part == "(":
            opened.append(index)
        elif part == ")" and opened:
            start = opened.pop()
            after = "".join(parts[index + 1 : index + 5])
            inside = parts[start + 1 : index]
            if _REPEATED.match(after) and _repeats(inside) and not _is_separated(inside):
                return True
    return False


def _repeats(parts: list[str]) -> bool:
    # Classes and escapes are pieces of their own: what is left of * and + repeats.
    return any(part in ("*", "+") for part in parts) or re.search(r"\{\d+,", "".join(parts)) is not None


def _is_separated(parts: list[str]) -> bool:
    inside = parts[2:] if parts[:2] == ["?", ":"] else parts
    if not inside or "|" in inside:
        return False
    return re.fullmatch(r"\\[^\w]|[-/,:;@_ ]", inside[0]) is not None and inside[1:2] not in (["*"], ["?"])


# --- formats, the ones that are cheap to tell

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[zZ]|[+-]\d{2}:\d{2})", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)


def fits(form: str, text: str) -> bool:
    """Whether a text has the format; true for formats that are not known here."""
    check = _FORMATS.get(form.replace("-", ""))
    return check is None or check(text)


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        return False
    return True


def _is_date_time(text: str) -> bool:
    date, _, time = text.replace("t", "T", 1).partition("T")
    return _is_date(date) and _TIME.fullmatch(time) is not None


def is_base64(text: str) -> bool:
    """As Go's decoder reads it: line breaks are passed over, an empty text is one."""
    try:
        binascii.a2b_base64(text.replace("\n", "").replace("\r", ""), strict_mode=True)
    except ValueError:
        return False
    return True


def _is_byte(text: str) -> bool:
    """The format of a definition's field: not empty, and on one line."""
    return text != "" and not set("\r\n") & set(text) and is_base64(text)


def _reads(read: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return check


def _network(text: str) -> object:
    if "/" not in text:
        raise ValueError(text)
    return ipaddress.ip_network(text, strict=False)


_FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "date": _is_date,
    "datetime": _is_date_time,
    "byte": _is_byte,
    "uuid": lambda text: _UUID.fullmatch(text) is not None,
    "ipv4": _reads(ipaddress.IPv4Address),
    "ipv6": _reads(ipaddress.IPv6Address),
    "cidr": _reads(_network),
}
