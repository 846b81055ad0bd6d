"""Values that a chart makes up: passwords, certificates, the time. They differ at every rendering.

Pure. Helm's own answer is ``lookup``: a template asks the cluster what it made up before. Rendering here asks
no cluster, so what was made up before is taken from the record of the release that runs. What no record has
is made up by the run that writes it: a plan says so in place of a value, and has the same digest each time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.core.desired import body_of, encoded
from pipeline.model.environment import Environment
from pipeline.model.objects import FieldPath, Json, Manifest, Object, ObjectRef, get_path, show_path

_ANNOTATIONS = "annotations"
_NAME: FieldPath = ("metadata", "name")
_TOLD = 3

_TELLING = 8
"""Characters of a text that is made up, and not by chance another field's, too. A gut feeling."""

MADE_UP = "<made up by the run that writes it>"
"""What a plan has for a value that is new at each rendering."""

Recorded = Mapping[ObjectRef, Object]
"""What the release that runs rendered, as it was sent: with our labels, and Secrets in ``data``."""


def marked(first: Sequence[Manifest], second: Sequence[Manifest]) -> list[Manifest]:
    """The manifests of the first rendering, each with the fields that the second has otherwise.

    Of an object that the second has not at all it is the name that was made up, and what else differs from
    the next of the same kind that the first has not.
    """
    others = {manifest.ref: _plain(manifest).body for manifest in second}
    known = {manifest.ref for manifest in first}
    renamed: dict[ObjectRef, list[Object]] = {}
    for manifest in second:
        if manifest.ref not in known:
            renamed.setdefault(manifest.ref._replace(name=""), []).append(_plain(manifest).body)
    found = []
    for manifest in map(_plain, first):
        other = others.get(manifest.ref)
        paths: tuple[FieldPath, ...] = ()
        if other is None:
            paths, rest = (_NAME,), renamed.get(manifest.ref._replace(name=""), [])
            other = rest.pop(0) if rest else None
        if other is not None:
            paths = tuple(dict.fromkeys((*paths, *_differences(manifest.body, other, ()))))
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
    """The manifests with what was made up before, where ``recorded`` has it. What is new is all that they
    still have as ``generated``.

    An annotation is a checksum of something, of pods most often, which roll when it changes. Where anything
    that holds made-up values changed besides, it is new: one restart too many, never one too few.
    """
    found = [_kept(manifest, recorded.get(manifest.ref), checksums=True) for manifest in manifests]
    carriers = [
        kept
        for kept, manifest in zip(found, manifests, strict=True)
        if any(not _is_checksum(path) for path in manifest.generated)
    ]
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


def has_made_up_name(manifest: Manifest) -> bool:
    """Whether the object is another one at each rendering."""
    return _NAME in manifest.generated


def reviewed(body: Object, manifest: Manifest) -> Object:
    """What is sent for a manifest, as a plan's digest has it: without what is new at each rendering."""
    for path in manifest.generated:
        if get_path(body, *path) is not None:
            body = _with(body, path, MADE_UP)
    return body


def veiled(result: Json, body: Object, manifest: Manifest) -> Json:
    """What the server made of ``body``, likewise. Lists may have been merged there: texts that are too long
    to be met by chance are found wherever they are."""
    texts = set()
    for path in manifest.generated:
        value = get_path(body, *path)
        if isinstance(value, str) and len(value) >= _TELLING:
            texts.add(value)
        if value is not None and get_path(result, *path) == value:
            result = _with(result, path, MADE_UP)
    return _without(result, texts) if texts else result


def _without(value: Json, texts: Collection[str]) -> Json:
    if isinstance(value, str):
        return MADE_UP if value in texts else value
    if isinstance(value, list):
        return [_without(item, texts) for item in value]
    return {key: _without(item, texts) for key, item in value.items()} if isinstance(value, dict) else value


def _kept(manifest: Manifest, before: Object | None, *, checksums: bool) -> Manifest:
    body: Json = manifest.body
    new: list[FieldPath] = []
    for path in manifest.generated:
        value = get_path(before, *path)
        if value is not None and (checksums or not _is_checksum(path)):
            body = _with(body, path, value)
        else:
            new.append(path)
    return replace(manifest, body=body, generated=tuple(new)) if manifest.generated else manifest


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
