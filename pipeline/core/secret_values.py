"""Which values are secret, and how to take them out of a text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from pipeline.model.objects import Object

_SHORTEST = 4
"""Values of fewer characters are not searched for in texts: "on" would mask half of a log line."""

MASK = "<masked>"


def secret_values(objects: Iterable[Object]) -> frozenset[str]:
    """Every value that the Secrets among ``objects`` hold, decoded and as base64."""
    found: set[str] = set()
    for obj in objects:
        if obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1":
            continue
        for text in _strings(obj.get("stringData")):
            found |= {text, base64.b64encode(text.encode()).decode()}
        for text in _strings(obj.get("data")):
            found.add(text)
            try:
                found.add(base64.b64decode(text, validate=True).decode())
            except (binascii.Error, UnicodeDecodeError, ValueError):
                continue
    lines = {line for value in found for line in value.splitlines()}
    return frozenset(v for v in found | lines if len(v) >= _SHORTEST)


def mask(text: str, values: frozenset[str]) -> str:
    """``text`` without any of ``values``; longest first, since one may hold another."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def _strings(section: object) -> list[str]:
    return [v for v in section.values() if isinstance(v, str)] if isinstance(section, dict) else []
