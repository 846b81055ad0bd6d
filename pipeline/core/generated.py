"""Values that a chart makes up: passwords, certificates, the time. They differ at every rendering.

Pure. Helm's own answer is ``lookup``: a template asks the cluster what it made up before. Rendering here asks
no cluster, so what was made up before is taken from the record of the release that runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.core.desired import body_of, encoded
from pipeline.model.environment import Environment
from pipeline.model.objects import FieldPath, Json, Manifest, Object, ObjectRef, get_path, show_path

_ANNOTATIONS = "annotations"
_NAME: FieldPath = ("metadata", "name")
_TOLD = 3

Recorded = Mapping[ObjectRef, Object]
"""What the release that runs rendered, as it was sent: with our labels, and Secrets in ``data``."""


def marked(first: Sequence[Manifest], second: Sequence[Manifest]) -> list[Manifest]:
    """The manifests of the first rendering, each with the fields that the second has otherwise.

    Of an object that the second has not at all it is the name that was made up.
    """
    others = {manifest.ref: _plain(manifest).body for manifest in second}
    found = []
    for manifest in map(_plain, first):
        other = others.get(manifest.ref)
        paths = (_NAME,) if other is None else tuple(_differences(manifest.body, other, ()))
        found.append(replace(manifest, generated=paths) if paths else manifest)
    return found


def _plain(manifest: Manifest) -> Manifest:
    """A Secret with all of its keys in ``data``, where the record has them."""
    if manifest.ref.group_kind != ("", "Secret"):
        return manifest
    return replace(manifest, body=encoded(manifest.body))


def _differences(first: Json, second: Json, at: FieldPath) -> Iterator[FieldPath]:
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        for key, value in first.items():
            yield from _differences(value, second[key], (*at, key))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, value in enumerate(first):
            yield from _differences(value, second[index], (*at, index))
    elif first != second or type(first) is not type(second):
        yield at


def kept(manifests: Sequence[Manifest], recorded: Recorded, environment: Environment) -> list[Manifest]:
    """The manifests with what was made up before, where ``recorded`` has it.

    An annotation is a checksum of something, of pods most often, which roll when it changes. Where anything
    that holds made-up values changed besides, it is new: one restart too many, never one too few.
    """
    found = [_kept(manifest, recorded.get(manifest.ref), checksums=True) for manifest in manifests]
    carriers = [m for m in found if any(not _is_checksum(path) for path in m.generated)]
    if all(body_of(manifest, environment) == recorded.get(manifest.ref) for manifest in carriers):
        return found
    return [_kept(manifest, recorded.get(manifest.ref), checksums=False) for manifest in manifests]


def told(manifests: Sequence[Manifest], recorded: Recorded) -> Iterator[str]:
    """A sentence for each object of which something is new at this rendering."""
    for manifest in manifests:
        before = recorded.get(manifest.ref)
        if _NAME in manifest.generated:
            yield (
                f"{manifest.origin}: {manifest.ref} has another name at each rendering: each deploy makes it "
                "anew and deletes the one before"
            )
            continue
        new = [p for p in manifest.generated if get_path(before, *p) is None and not _is_checksum(p)]
        if new:
            shown = ", ".join(show_path(path) for path in new[:_TOLD]) + (" …" if len(new) > _TOLD else "")
            yield (
                f"{manifest.origin}: {manifest.ref} is made up anew at each rendering: {shown}; it stays as "
                "it is from the first verified release on"
            )


def _kept(manifest: Manifest, before: Object | None, *, checksums: bool) -> Manifest:
    body: Json = manifest.body
    for path in manifest.generated if before is not None else ():
        value = get_path(before, *path)
        if value is not None and (checksums or not _is_checksum(path)):
            body = _with(body, path, value)
    return manifest if body is manifest.body else replace(manifest, body=body)


def _is_checksum(path: FieldPath) -> bool:
    return len(path) > 1 and path[-2] == _ANNOTATIONS


def _with(body: Json, path: FieldPath, value: Json) -> Json:
    """A copy of ``body`` with ``value`` at ``path``, which exists."""
    if not path:
        return value
    step = path[0]
    changed = _with(body[step], path[1:], value)
    if isinstance(body, dict):
        return {**body, step: changed}
    return [changed if index == step else item for index, item in enumerate(body)]
