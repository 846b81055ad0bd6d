"""Objects that are larger than what the API server or etcd takes."""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Iterator
from typing import Final

from pipeline.core.at_field import error, warning
from pipeline.core.kinds import builtin
from pipeline.core.pod_references import POD_SPECS
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, get_path, show_path

MIB: Final = 1024 * 1024
LARGEST_REQUEST: Final = 3 * MIB
"""k8s.io/apiserver pkg/server/config.go, ``MaxRequestBodyBytes``."""
LARGEST_STORED: Final = 3 * MIB // 2
"""etcd's default of ``--max-request-bytes``. No dry run finds it: nothing is stored then."""
LARGE: Final = MIB
"""Ours: two thirds of what etcd takes are reason to think again."""
BOOKKEEPING: Final = 400
"""At the least what is stored with an object: its uid, times, our labels, the head of ``managedFields``, and
what etcd's own request takes. Measured with Kubernetes 1.36: 460 to 560 for short names."""
LARGEST_DATA: Final = MIB
"""k8s.io/kubernetes pkg/apis/core, ``MaxSecretSize``: the values, of ConfigMaps too."""
LARGEST_ANNOTATIONS: Final = 256 * 1024
"""k8s.io/apimachinery pkg/api/validation/objectmeta.go, ``TotalAnnotationSizeLimitB``."""

_WIDEST: Final = 10
"""Bytes stored for a byte of a value: a control character is ``\\u0000``, nothing is ``null,``, and a short
name is in ``managedFields`` once more."""
_ESCAPED: Final = re.compile("[<>&]")
_LINE_ENDS: Final = re.compile("[\u2028\u2029]")
"""Go writes both as six characters of JSON, where Python needs one and three bytes."""

_DATA: Final = {
    ("", "ConfigMap"): (("data", False), ("binaryData", True)),
    ("", "Secret"): (("data", True), ("stringData", False)),
}


def size_problems(manifest: Manifest) -> Iterator[Problem]:
    """Each limit that the object breaks; a ConfigMap or Secret is judged by its data first."""
    yield from _annotations(manifest, ("metadata", "annotations"))
    if manifest.ref.group_kind in POD_SPECS and manifest.ref.group_kind != ("", "Pod"):
        yield from _annotations(
            manifest, (*POD_SPECS[manifest.ref.group_kind][:-1], "metadata", "annotations")
        )
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
    sizes: dict[str, tuple[int, FieldPath]] = {}
    for field, encoded in _DATA.get(manifest.ref.group_kind, ()):
        entries = manifest.body.get(field)
        for key, value in entries.items() if isinstance(entries, dict) else ():
            # A key of stringData wins over the same one of data.
            sizes[key] = _bytes(value, encoded=encoded), (field, key)
    total = sum(size for size, _ in sizes.values())
    if total > LARGEST_DATA:
        _, largest = max(sizes.values(), key=lambda one: one[0])
        message = f"its values have {_shown(total)}, the API server takes 1 MiB"
        hint = f"split it, or keep large files elsewhere; the largest value is {show_path(largest)}"
        yield error(manifest, largest, "data-too-large", message, hint)


def _bytes(value: Json, *, encoded: bool) -> int:
    if not isinstance(value, str):
        return 0
    if not encoded:
        return len(value.encode(errors="replace"))
    characters = len(value) - value.count("\n") - value.count("\r")
    return characters * 3 // 4 - value.rstrip()[-2:].count("=")


def _whole(manifest: Manifest) -> Iterator[Problem]:
    at: FieldPath = ("metadata", "name")
    text = _as_json(manifest.body)
    sent = len(text.encode(errors="replace"))
    if sent > LARGEST_REQUEST:
        message = f"it has {_shown(sent)} as JSON, the API server takes 3 MiB"
        yield error(manifest, at, "object-too-large", message, "split it into several objects")
        return
    surely = _stored(manifest, text)
    about = surely if manifest.ref.group_kind in _DATA else surely + _field_names(manifest.body)
    words = f"of it {_shown(about)} are stored, with the server's own bookkeeping; etcd takes 1.5 MiB"
    if surely > LARGEST_STORED:
        yield error(manifest, at, "object-too-large", words, "split it into several objects")
    elif about > LARGE and manifest.ref.group_kind not in _DATA:
        yield warning(manifest, at, "object-large", words, "split it before it grows")


def _as_json(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _stored(manifest: Manifest, text: str) -> int:
    """How many bytes etcd is asked to store for a new object, at the least. ``text``: its JSON.

    Custom resources are stored as JSON, Kubernetes' own kinds as protobuf (k8s.io/api, ``generated.proto``),
    of which the texts alone count here.
    """
    body = manifest.body
    if builtin(manifest.api_version, manifest.ref.kind) is None:
        size = len(text.encode(errors="replace"))
        return size + 5 * len(_ESCAPED.findall(text)) + 3 * len(_LINE_ENDS.findall(text)) + BOOKKEEPING
    fields = dict(_DATA.get(manifest.ref.group_kind, ()))
    size = _texts({name: value for name, value in body.items() if name not in fields})
    for field, encoded in fields.items():
        entries = body.get(field)
        if isinstance(entries, dict):
            size += _field_names(entries) + sum(_entry(key, v, encoded=encoded) for key, v in entries.items())
    return size + BOOKKEEPING


def _entry(key: Json, value: Json, *, encoded: bool) -> int:
    """The bytes of an entry of a map in protobuf: a message of two fields."""
    return _part(_part(_texts(key)) + _part(_bytes(value, encoded=encoded)))


def _part(size: int) -> int:
    """A field of so many bytes, with its tag and its length."""
    return 1 + max(1, (size.bit_length() + 6) // 7) + size


def _texts(value: Json) -> int:
    """The bytes of all texts, without the names of fields."""
    if isinstance(value, str):
        return len(value.encode(errors="replace"))
    if isinstance(value, dict):
        return sum(map(_texts, value.values()))
    return sum(map(_texts, value)) if isinstance(value, list) else 0


def _field_names(value: Json) -> int:
    """The bytes of ``"f:name":{},`` for each field in ``managedFields`` (FieldsV1). Not of what is in lists,
    of which most are owned as a whole; some mappings are, too."""
    if not isinstance(value, dict):
        return 0
    return sum(len(str(key).encode(errors="replace")) + 8 + _field_names(v) for key, v in value.items())


def _may_exceed(body: Json, limit: int) -> bool:
    """False only where what is sent and stored is surely smaller; cheaper to tell than to write it."""
    # Format 2 is the last in which what occurs twice is written twice, as in JSON.
    try:
        return len(marshal.dumps(body, 2)) * _WIDEST > limit
    except ValueError:
        return True  # nested too deeply


def _shown(size: int) -> str:
    return f"{size / MIB:.1f} MiB" if size >= MIB else f"{size / 1024:.0f} KiB"
