"""Secrets in rendered objects and differences: shown as ``<masked #1>``, equal values alike.

Never a hash of the value: a short one could be guessed from it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pipeline.model.objects import Json, Object, ObjectRef, canonical

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_HARMLESS = (
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "apiVersion",
    "kind",
    "type",
    "immutable",
)


class Masker:
    """Numbers secret values in the order in which one document shows them."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def value(self, plain: Json) -> str:
        """The mask for a value; the same one for an equal value."""
        key = plain.encode("utf-8", "surrogatepass") if isinstance(plain, str) else canonical(plain)
        return self._mask(key)

    def _mask(self, key: bytes) -> str:
        return f"<masked #{self._numbers.setdefault(key, len(self._numbers) + 1)}>"

    def _encoded(self, text: Json) -> str:
        try:
            return self._mask(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError, TypeError):
            return self.value(text)

    def object(self, obj: Object) -> Object:
        """A copy without secret values, where it is a Secret; else the object itself."""
        if not is_secret(obj):
            return obj
        masked = dict(obj)
        for section, mask in (("data", self._encoded), ("stringData", self.value)):
            if section not in obj:
                continue
            held = obj[section]
            masked[section] = (
                {k: mask(v) for k, v in held.items()} if isinstance(held, dict) else self.value(held)
            )
        return self._without_last_applied(masked)

    def _without_last_applied(self, obj: Object) -> Object:
        meta = obj.get("metadata")
        notes = meta.get("annotations") if isinstance(meta, dict) else None
        if not isinstance(meta, dict) or not isinstance(notes, dict) or _LAST_APPLIED not in notes:
            return obj
        hidden = {**notes, _LAST_APPLIED: self.value(notes[_LAST_APPLIED])}
        return {**obj, "metadata": {**meta, "annotations": hidden}}

    def field(self, ref: ObjectRef, path: str, value: Any) -> Any:
        """A field's value as it may be shown: masked in a Secret, unless it plainly holds no value."""
        if (ref.group, ref.kind) != ("", "Secret") or not path or path.startswith(_HARMLESS) or value is None:
            return value
        if isinstance(value, str) and value.startswith("<masked"):
            return value
        return self._encoded(value) if path.startswith("data") else self.value(value)


def is_secret(obj: Object) -> bool:
    """Whether the object is a Secret of the core API, whatever its version."""
    return obj.get("kind") == "Secret" and "/" not in str(obj.get("apiVersion", ""))
