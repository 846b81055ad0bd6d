"""Objects that are larger than what the API server or etcd takes."""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterator
from typing import Final

from pipeline.core.at_field import error, warning
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, get_path, show_path

MIB: Final = 1024 * 1024
LARGEST_REQUEST: Final = 3 * MIB
"""k8s.io/apiserver pkg/server/config.go, ``MaxRequestBodyBytes``."""
LARGEST_STORED: Final = 3 * MIB // 2
"""etcd's default of ``--max-request-bytes``."""
LARGE: Final = MIB
"""Ours: a third of the request, and two thirds of what etcd takes, are reason to think again."""
LARGEST_DATA: Final = MIB
"""k8s.io/kubernetes pkg/apis/core, ``MaxSecretSize``: the values, of ConfigMaps too."""
LARGEST_ANNOTATIONS: Final = 256 * 1024
"""k8s.io/apimachinery pkg/api/validation/objectmeta.go, ``TotalAnnotationSizeLimitB``."""

_WIDEST: Final = 6
"""Characters of JSON for a byte of a value: a control character is ``\\u0000``, nothing is ``null,``."""

_DATA: Final = {
    ("", "ConfigMap"): (("data", False), ("binaryData", True)),
    ("", "Secret"): (("data", True), ("stringData", False)),
}


def size_problems(manifest: Manifest) -> Iterator[Problem]:
    """Each limit that the object breaks; a ConfigMap or Secret is judged by its data first."""
    for path in (("metadata", "annotations"), ("spec", "template", "metadata", "annotations")):
        yield from _annotations(manifest, path)
    too_much = list(_data(manifest))
    yield from too_much
    if not too_much and _may_exceed(manifest.body, LARGE):
        yield from _whole(manifest)


def _annotations(manifest: Manifest, path: FieldPath) -> Iterator[Problem]:
    entries = get_path(manifest.body, *path)
    if not isinstance(entries, dict):
        return
    size = sum(len(str(text).encode(errors="replace")) for entry in entries.items() for text in entry)
    if size > LARGEST_ANNOTATIONS:
        message = f"{show_path(path)} has {_shown(size)}, the API server takes 256 KiB"
        hint = "keep large texts in a ConfigMap"
        yield error(manifest, path, "annotations-too-large", message, hint)


def _data(manifest: Manifest) -> Iterator[Problem]:
    size = 0
    largest: tuple[int, FieldPath] = (0, ())
    for field, encoded in _DATA.get(manifest.ref.group_kind, ()):
        entries = manifest.body.get(field)
        for key, value in entries.items() if isinstance(entries, dict) else ():
            own = _bytes(value, encoded=encoded)
            size += own
            largest = max(largest, (own, (field, key)), key=lambda one: one[0])
    if size > LARGEST_DATA:
        message = f"its values have {_shown(size)}, the API server takes 1 MiB"
        hint = f"split it, or keep large files elsewhere; the largest value is {show_path(largest[1])}"
        yield error(manifest, largest[1], "data-too-large", message, hint)


def _bytes(value: Json, *, encoded: bool) -> int:
    if not isinstance(value, str):
        return 0
    if not encoded:
        return len(value.encode(errors="replace"))
    characters = len(value) - value.count("\n") - value.count("\r")
    return characters * 3 // 4 - value.rstrip()[-2:].count("=")


def _whole(manifest: Manifest) -> Iterator[Problem]:
    text = json.dumps(manifest.body, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode(errors="replace"))
    limits = ((LARGEST_REQUEST, "the API server takes 3 MiB"), (LARGEST_STORED, "etcd takes 1.5 MiB"))
    for limit, words in limits:
        if size > limit:
            message = f"it has {_shown(size)} as JSON, {words}"
            hint = "split it into several objects"
            yield error(manifest, ("metadata", "name"), "object-too-large", message, hint)
            return
    if size > LARGE and manifest.ref.group_kind not in _DATA:
        message = f"it has {_shown(size)} as JSON, and etcd takes 1.5 MiB with the server's own bookkeeping"
        hint = "split it before it grows"
        yield warning(manifest, ("metadata", "name"), "object-large", message, hint)


def _may_exceed(body: Json, limit: int) -> bool:
    """False only where the JSON is surely smaller; cheaper to tell than to write it."""
    # Format 2 is the last in which what occurs twice is written twice, as in JSON.
    try:
        return len(marshal.dumps(body, 2)) * _WIDEST > limit
    except ValueError:
        return True  # nested too deeply


def _shown(size: int) -> str:
    return f"{size / MIB:.1f} MiB" if size >= MIB else f"{size / 1024:.0f} KiB"
