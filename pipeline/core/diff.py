"""What differs between two states of an object, field by field, without any secret value."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipeline.core import fields
from pipeline.core.compare import Absent, Unlike, compare
from pipeline.core.secret_values import secret_values
from pipeline.model.objects import FieldPath, Json, Object, ObjectRef, canonical
from pipeline.model.plan import FieldChange
from pipeline.model.release import Difference

LARGE = 200
"""Characters of a value that a line of a report can still show."""

CONTROLLERS = frozenset(
    {"kube-controller-manager", "kube-scheduler", "kubelet", "cloud-controller-manager", "kube-apiserver"}
)
"""Managers that are part of Kubernetes: they take back what they wrote at any time."""


class Masker:
    """Gives secret values numbers: equal values have equal numbers, in one document.

    Share one among all calls whose output stands side by side.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def __call__(self, value: bytes) -> str:
        """``<masked #2>``."""
        return f"<masked #{self._numbers.setdefault(value, len(self._numbers) + 1)}>"


def diff(
    before: Object | None,
    after: Object | None,
    *,
    ignore_status: bool = True,
    masker: Masker | None = None,
) -> tuple[FieldChange, ...]:
    """Every field that differs, in order of path; None stands for an object that is not there.

    Fields of the server and bookkeeping do not count. List items are matched by name, so that paths read
    ``spec.containers[name=web].image``. Secret values are numbered, large values summarised.
    """
    show = _Shown(before, after, masker or Masker())
    return tuple(
        FieldChange(unlike.place.path, _op(unlike), *show(unlike))
        for unlike in _unlike(before, after, ignore_status=ignore_status)
    )


def differences(
    ref: ObjectRef,
    before: Object,
    after: Object,
    *,
    manager: str = "pipeline",
    masker: Masker | None = None,
) -> tuple[Difference, ...]:
    """What keeps the live object ``after`` from being as ``before``: the proof of a rollback.

    A field that in ``after`` only others than ``manager`` own is theirs to change (an autoscaler's
    replicas), as is one that a controller of Kubernetes owned and took back. Fields that the server
    allocates, like node ports, have no owner and count.
    """
    show = _Shown(before, after, masker or Masker())
    return tuple(
        Difference(ref, unlike.place.path, *show(unlike))
        for unlike in _unlike(before, after)
        if not _of_others(unlike, before, after, manager)
    )


def _unlike(before: Object | None, after: Object | None, *, ignore_status: bool = True) -> Iterator[Unlike]:
    return compare(_relevant(before, ignore_status), _relevant(after, ignore_status))


def _relevant(obj: Object | None, ignore_status: bool) -> Json:
    if obj is None:
        return {}
    cleaned = fields.clean(obj)
    return cleaned if ignore_status or "status" not in obj else {**cleaned, "status": obj["status"]}


def _op(unlike: Unlike) -> str:
    if isinstance(unlike.before, Absent):
        return "add"
    return "remove" if isinstance(unlike.after, Absent) else "change"


def _of_others(unlike: Unlike, before: Object, after: Object, manager: str) -> bool:
    if isinstance(unlike.after, Absent):
        then = {who.name for who in fields.owning(before, unlike.place.before)}
        return bool(then) and then <= CONTROLLERS
    now = {who.name for who in fields.owning(after, unlike.place.after)}
    return bool(now) and manager not in now


class _Shown:
    """Turns the two values of a place into what may be shown of them."""

    def __init__(self, before: Object | None, after: Object | None, masker: Masker) -> None:
        present = [obj for obj in (before, after) if obj is not None]
        self._masker = masker
        self._secret = any(is_secret(obj) for obj in present)
        self._values = secret_values(present)

    def __call__(self, unlike: Unlike) -> tuple[Any, Any]:
        before = None if isinstance(unlike.before, Absent) else unlike.before
        after = None if isinstance(unlike.after, Absent) else unlike.after
        steps = unlike.place.after
        if self._secret and steps[:1] in (("data",), ("stringData",)):
            return self._masked(steps, unlike.before), self._masked(steps, unlike.after)
        annotation = steps[:2] == ("metadata", "annotations")
        before, after = (self._without_values(value, annotation) for value in (before, after))
        if _is_large(before) or _is_large(after):
            return _summary(before), _summary(after, against=before)
        return before, after

    def _masked(self, steps: FieldPath, value: Json | Absent) -> str | None:
        if isinstance(value, Absent):
            return None
        if isinstance(value, dict | list) and not value:
            return "<masked: empty>"
        return self._masker(plain(value, encoded=steps[0] == "data"))

    def _without_values(self, value: Json, annotation: bool) -> Json:
        """Mask a text that repeats a secret value, as annotations of deploy tools do."""
        if not self._secret or value is None or isinstance(value, bool):
            return value
        text = value if isinstance(value, str) else canonical(value).decode()
        document = annotation and (text.lstrip()[:1] in ("{", "[") or len(text) > LARGE)
        if document or any(secret in text for secret in self._values):
            return self._masker(text.encode(errors="surrogatepass"))
        return value


def is_secret(obj: Object) -> bool:
    return obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1"


def plain(value: Json, *, encoded: bool) -> bytes:
    """The bytes that a value of a Secret stands for: ``data`` is base64, ``stringData`` is not."""
    if not isinstance(value, str):
        return canonical(value)
    if encoded:
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    return value.encode(errors="surrogatepass")


# --- values that no line can hold


def _is_large(value: Json) -> bool:
    if isinstance(value, str):
        return len(value) > LARGE or "\n" in value
    return isinstance(value, dict | list) and len(canonical(value)) > LARGE


def _summary(value: Json, *, against: Json = None) -> Json:
    """``1.2 kB, 3 of 40 lines changed``. With the start of its digest, so that no change is hidden."""
    if value is None:
        return None
    whole = value.encode(errors="surrogatepass") if isinstance(value, str) else canonical(value)
    parts, unit = _parts(value)
    text = f"{_size(len(whole))}, "
    if against is None:
        text += _count(len(parts), unit)
    else:
        text += _changed(_parts(against)[0], parts, unit)
    return f"{text} (sha256 {hashlib.sha256(whole).hexdigest()[:8]})"


def _parts(value: Json) -> tuple[list[str], str]:
    if isinstance(value, str):
        return value.splitlines(), "line"
    if isinstance(value, list):
        return [canonical(item).decode() for item in value], "item"
    return [canonical(value).decode()], "value"


def _changed(before: list[str], after: list[str], unit: str) -> str:
    # Counted, not aligned: linear, and right but for lines that only moved.
    old, new = Counter(before), Counter(after)
    changed = max((new - old).total(), (old - new).total())
    if not changed:
        return f"{_count(len(after), unit)}, in another order"
    return f"{changed} of {_count(max(len(after), changed), unit)} changed"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" + ("" if number == 1 else "s")


def _size(size_bytes: int) -> str:
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.1f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"
