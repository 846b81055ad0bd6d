"""Which values are secret. How they are taken out of a text is the business of ``known``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from pipeline.model.objects import Object


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
    return frozenset(found - {""})


def _strings(section: object) -> list[str]:
    return [v for v in section.values() if isinstance(v, str)] if isinstance(section, dict) else []
