"""Release records as bytes: JSON, compressed, cut into shards that fit into a Secret."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pipeline.model.objects import ObjectRef
from pipeline.model.release import InventoryEntry, Phase, Release

SCHEMA = 2
"""The version of the record format. A record of a newer one is refused, never guessed at; one of an older one
is read through ``MIGRATIONS``, and written as it is now where it is written again.

1: head, intent and inventory. 2: the part ``verdicts``, too.
"""

SHARD_BYTES = 700_000
"""Of compressed data in one Secret: base64 makes 933 kB of it, below the limit of 1 MiB
(apiserver: MaxSecretSize), with room for metadata."""

BODY_FIELDS = {
    "intent": ("before", "rendered", "plan"),
    "inventory": ("inventory",),
    "verdicts": ("verdicts",),
}
"""What is stored beside the head: ``intent`` once before the first write, ``inventory`` again after,
``verdicts`` at the end; of a part without content there is nothing."""


def _with_verdicts(head: dict[str, Any]) -> dict[str, Any]:
    return {**head, "shards": {**head["shards"], "verdicts": []}}


MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _with_verdicts}
"""From each older version to the next one: what such a head would be in that. A part whose form changes gets
another name, so that a head tells the form of its parts, too."""

_ENTRY_FIELDS = tuple(f.name for f in fields(InventoryEntry))


class NewerRecordError(ValueError):
    """Written by a newer version of pipeline."""


def head_document(release: Release, shards: dict[str, list[str]]) -> bytes:
    """The small part: everything that ``history`` shows. ``shards`` names the Secrets of each body part."""
    outside = {name for names in BODY_FIELDS.values() for name in names}
    head = {f.name: getattr(release, f.name) for f in fields(release) if f.name not in outside}
    return json.dumps({"schema": SCHEMA, "shards": shards, **head}, ensure_ascii=False).encode()


def parse_head(data: bytes) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """(fields of Release, names of the shards)."""
    head = _migrated(json.loads(data))
    shards = head.pop("shards")
    head["phase"] = Phase(head["phase"])
    head["causes"] = tuple(head["causes"])
    head["checks"] = tuple(head["checks"])
    if head.get("charts") is not None:
        head["charts"] = tuple(head["charts"])
    known = {f.name for f in fields(Release)}
    return {k: v for k, v in head.items() if k in known}, shards


def _migrated(head: dict[str, Any]) -> dict[str, Any]:
    schema = head.pop("schema")
    if schema > SCHEMA:
        raise NewerRecordError(f"record format {schema}, this version reads up to {SCHEMA}")
    for version in range(schema, SCHEMA):
        head = MIGRATIONS[version](head)
    return head


def body_document(release: Release, part: str) -> Any:
    """One body part as JSON values; None where it has no content."""
    if part == "verdicts":
        return release.verdicts
    if part == "inventory":
        return [
            {name: getattr(e, name) for name in _ENTRY_FIELDS} | {"ref": str(e.ref)}
            for e in release.inventory
        ]
    return {
        "before": [[str(ref), obj] for ref, obj in release.before],
        "rendered": list(release.rendered),
        "plan": release.plan,
    }


def parse_body(part: str, value: Any) -> dict[str, Any]:
    """The inverse of ``body_document``, as fields of Release."""
    if part == "verdicts":
        if not isinstance(value, dict):
            raise TypeError("verdicts are an object")
        return {"verdicts": value}
    if part == "inventory":
        entries = (InventoryEntry(**{**e, "ref": ObjectRef.parse(e["ref"])}) for e in value)
        return {"inventory": tuple(entries)}
    return {
        "before": tuple((ObjectRef.parse(ref), obj) for ref, obj in value["before"]),
        "rendered": tuple(value["rendered"]),
        "plan": value["plan"],
    }


def pack(value: Any) -> list[str]:
    """JSON → gzip → shards, each base64 as a Secret wants it."""
    raw = gzip.compress(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(), 5, mtime=0)
    pieces = [raw[i : i + SHARD_BYTES] for i in range(0, len(raw), SHARD_BYTES)]
    return [base64.b64encode(piece).decode() for piece in pieces]


def unpack(shards: Sequence[str]) -> Any:
    """The inverse of ``pack``. ValueError where that is not what the shards hold."""
    try:
        return json.loads(gzip.decompress(b"".join(base64.b64decode(s) for s in shards)))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"no gzip: {error}") from error
