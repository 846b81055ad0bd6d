"""Files that SOPS encrypted: how they are known, and what of them is secret.

Pure. SOPS keeps the shape of a document and encrypts its values; how to decrypt them stands in a key ``sops``
of the document (getsops.io/docs).
"""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Iterator

from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, get_path, show_path

_VALUE = "ENC[AES256_GCM,data:"
_NAMES = (".sops.yaml", ".sops.yml", ".sops.json")
LOCAL = frozenset({"age", "pgp"})
"""Kinds of keys that are at hand, so that no server is asked."""
CLOUD = frozenset({"kms", "gcp_kms"})
"""Kinds of keys that a cloud's own service holds: which server is asked is not up to the file."""
_KINDS = ("age", "pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms")


def is_encrypted(value: Json) -> bool:
    """Whether a document is one that SOPS encrypted."""
    sops = value.get("sops") if isinstance(value, dict) else None
    return isinstance(sops, dict) and ("mac" in sops or "lastmodified" in sops)


def claims_to_be(path: str) -> bool:
    """Whether the name of a file says that it is encrypted."""
    name = posixpath.basename(path)
    return name.endswith(_NAMES) and not is_settings(path)


def is_settings(path: str) -> bool:
    """Whether it is ``.sops.yaml``, where SOPS finds its own settings."""
    return posixpath.basename(path) in _NAMES


def keys(value: Json) -> dict[str, list[str]]:
    """The keys that a document was encrypted for, by their kind."""
    sops = value["sops"]
    groups = [sops, *(sops.get("key_groups") or [])]
    found: dict[str, list[str]] = {}
    for group in groups if isinstance(groups, list) else [sops]:
        for kind in _KINDS:
            entries = group.get(kind) if isinstance(group, dict) else None
            for entry in entries if isinstance(entries, list) else ():
                found.setdefault(kind, []).append(_name(entry))
    return found


def _name(entry: Json) -> str:
    if not isinstance(entry, dict):
        return "?"
    named = (
        entry.get(key) for key in ("recipient", "fp", "arn", "resource_id", "vault_url", "vault_address")
    )
    return next((text for text in named if isinstance(text, str)), "?")


def left_encrypted(manifest: Manifest) -> Iterator[Problem]:
    """The values of an object that are still as SOPS encrypted them: their key was lost on the way, or what
    renders took an encrypted file for any other."""
    for path in _still_encrypted(manifest):
        yield Problem(
            code="encrypted",
            message=f"{manifest.ref}: {show_path(path)} is still encrypted",
            origin=manifest.origin_of(path),
            hint="name the encrypted file as a source of manifests, or as values of a chart",
            object=manifest.ref,
        )


def _still_encrypted(manifest: Manifest) -> Iterator[FieldPath]:
    body = manifest.body
    if _VALUE in repr(body):
        yield from _places(body, ())
    data = get_path(body, "data", default={}) if manifest.ref.group_kind == ("", "Secret") else {}
    for key, value in data.items() if isinstance(data, dict) else ():
        try:
            clear = base64.b64decode(value) if isinstance(value, str) else b""
        except ValueError:
            continue  # the server will refuse it
        if _VALUE.encode() in clear:
            yield "data", key


def _places(value: Json, at: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*at, index))
    elif isinstance(value, str) and _VALUE in value:
        yield at


def secrets(encrypted: Json, clear: Json) -> Iterator[str]:
    """The texts of ``clear`` that are encrypted in the other."""
    if isinstance(clear, dict):
        for key, value in clear.items():
            yield from secrets(encrypted.get(key) if isinstance(encrypted, dict) else None, value)
    elif isinstance(clear, list):
        for index, value in enumerate(clear):
            inner = encrypted[index] if isinstance(encrypted, list) and index < len(encrypted) else None
            yield from secrets(inner, value)
    elif clear != encrypted and not isinstance(clear, bool | None):
        yield str(clear)
