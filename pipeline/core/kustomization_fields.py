"""Which field of a rendered object comes from which field of a kustomization, and what it is matched by.

Pure. A kustomization changes objects by its own settings (``images``, ``namespace``, …): a field that holds
what such a setting says is corrected there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from pipeline.model.objects import FieldPath, Json, get_path

_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")
_LABELS: Final[tuple[FieldPath, ...]] = (
    ("metadata", "labels"),
    ("spec", "selector"),
    ("spec", "selector", "matchLabels"),
    ("spec", "template", "metadata", "labels"),
    ("spec", "jobTemplate", "spec", "template", "metadata", "labels"),
)
_ANNOTATIONS: Final[tuple[FieldPath, ...]] = (
    ("metadata", "annotations"),
    ("spec", "template", "metadata", "annotations"),
    ("spec", "jobTemplate", "spec", "template", "metadata", "annotations"),
)


def is_name_of(written: str, base: str, rendered: str) -> bool:
    """Whether a kustomization may mean an object by ``written``: its name in its file, as it was rendered, or
    with the prefixes and suffixes that it had in between."""
    return written in (base, rendered) or (bool(base) and base in written and written in rendered)


def is_target(selector: Json, kind: str, base: str, rendered: str) -> bool:
    """Whether ``target`` of a patch may mean an object; its labels and group are not looked at."""
    if not isinstance(selector, dict):
        return True
    wanted = selector.get("kind")
    name = selector.get("name")
    if isinstance(wanted, str) and wanted and not _matches(wanted, kind):
        return False
    return not isinstance(name, str) or not name or _matches(name, base) or _matches(name, rendered)


_SIMPLE: Final = re.compile(r"(?:[\w-]|\.\*)*")


def _matches(pattern: str, text: str) -> bool:
    """Whether a regular expression may mean all of ``text``. Somebody's expression can take for ever, so that
    only plain ones are asked; any other one may."""
    if not _SIMPLE.fullmatch(pattern) or pattern.count(".*") > 2:
        return True
    return re.fullmatch(pattern, text) is not None


def settings(value: Mapping[str, Json], body: Json, base: str) -> Iterator[tuple[FieldPath, FieldPath]]:
    """(field of the object, field of the kustomization that it holds the value of)."""
    namespace = value.get("namespace")
    if namespace and get_path(body, "metadata", "namespace") == namespace:
        yield ("metadata", "namespace"), ("namespace",)
    rendered = str(get_path(body, "metadata", "name", default=""))
    for index, entry in _entries(value, "replicas"):
        named = is_name_of(str(entry.get("name")), base, rendered)
        if named and get_path(body, "spec", "replicas") == entry.get("count"):
            yield ("spec", "replicas"), ("replicas", index, "count")
    yield from _images(value, body)
    yield from _pairs(value.get("commonLabels"), ("commonLabels",), body, _LABELS)
    yield from _pairs(value.get("commonAnnotations"), ("commonAnnotations",), body, _ANNOTATIONS)
    for index, entry in _entries(value, "labels"):
        yield from _pairs(entry.get("pairs"), ("labels", index, "pairs"), body, _LABELS)


def _images(value: Mapping[str, Json], body: Json) -> Iterator[tuple[FieldPath, FieldPath]]:
    entries = list(_entries(value, "images"))
    for path, image in _container_images(body, ()) if entries else ():
        name, tag = _split(image)
        for index, entry in entries:
            if name != (entry.get("newName") or entry.get("name")):
                continue
            at: FieldPath = ("images", index)
            if entry.get("digest") and tag == f"@{entry['digest']}":
                yield path, (*at, "digest")
            elif entry.get("newTag") and tag == f":{entry['newTag']}":
                yield path, (*at, "newTag")
            elif entry.get("newName"):
                yield path, (*at, "newName")


def _container_images(body: Json, path: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    """The images of containers, wherever the kind keeps them. Objects do not nest deeper than files may."""
    if isinstance(body, dict):
        for key, item in body.items():
            if key in _CONTAINERS and isinstance(item, list):
                for index, container in enumerate(item):
                    image = get_path(container, "image")
                    if isinstance(image, str):
                        yield (*path, key, index, "image"), image
            else:
                yield from _container_images(item, (*path, key))
    elif isinstance(body, list):
        for index, item in enumerate(body):
            yield from _container_images(item, (*path, index))


def _split(image: str) -> tuple[str, str]:
    """``registry:5000/web:1`` → (``registry:5000/web``, ``:1``)."""
    name, at, digest = image.partition("@")
    if at:
        return name, f"@{digest}"
    folder, slash, last = image.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{folder}{slash}{name}", f"{colon}{tag}"


def _pairs(
    pairs: Json, at: FieldPath, body: Json, places: tuple[FieldPath, ...]
) -> Iterator[tuple[FieldPath, FieldPath]]:
    for key, wanted in pairs.items() if isinstance(pairs, dict) else ():
        for place in places:
            if get_path(body, *place, key) == wanted:
                yield (*place, key), (*at, key)


def _entries(value: Mapping[str, Json], name: str) -> Iterator[tuple[int, Mapping[str, Json]]]:
    field = value.get(name)
    for index, entry in enumerate(field) if isinstance(field, list) else ():
        if isinstance(entry, dict):
            yield index, entry


# --- replacements


def replaced(replacement: Json, body: Json, base: str) -> Iterator[FieldPath]:
    """The fields of an object that a replacement has set: those that its targets name, where they select the
    object. What they reject, and labels, are not looked at."""
    targets = replacement.get("targets") if isinstance(replacement, dict) else None
    kind = str(get_path(body, "kind"))
    name = str(get_path(body, "metadata", "name", default=""))
    for target in targets if isinstance(targets, list) else ():
        if not isinstance(target, dict) or not is_target(target.get("select"), kind, base, name):
            continue
        paths = target.get("fieldPaths")
        for text in paths if isinstance(paths, list) else ["metadata.name"]:
            yield from _at(body, _steps(text)) if isinstance(text, str) else ()


def _steps(text: str) -> list[str]:
    """Of ``spec.containers.[name=web].image``; dots within brackets or after a backslash do not divide."""
    return [step.replace("\\.", ".") for step in re.findall(r"\[[^\]]*\]|(?:\\.|[^.\[])+", text)]


def _at(body: Json, steps: list[str], path: FieldPath = ()) -> Iterator[FieldPath]:
    """The paths of all that the steps lead to."""
    if not steps:
        yield path
        return
    for step in _matching(body, steps[0]):
        yield from _at(body[step], steps[1:], (*path, step))


def _matching(body: Json, step: str) -> Iterator[str | int]:
    if isinstance(body, dict):
        yield from (step,) if step in body else ()
    elif isinstance(body, list):
        key, _, wanted = step.strip("[]").partition("=")
        for index, item in enumerate(body):
            is_item = isinstance(item, dict) and str(item.get(key)) == wanted and step.startswith("[")
            if step == "*" or step == str(index) or is_item:
                yield index


# --- generators


def generators(value: Mapping[str, Json]) -> Iterator[tuple[str, str, FieldPath]]:
    """(kind, name, field) of every entry that makes an object."""
    for name, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
        for index, entry in _entries(value, name):
            yield kind, str(entry.get("name", "")), (name, index)


def of_keys(entry: Mapping[str, Json]) -> Iterator[tuple[str, FieldPath]]:
    """(key of a generated object, field of the generator's entry that sets it); keys of env files are not
    known here."""
    for index, text in enumerate(entry.get("literals") or ()):
        if isinstance(text, str):
            yield text.partition("=")[0], ("literals", index)
    for index, text in enumerate(entry.get("files") or ()):
        if isinstance(text, str):
            key, equals, path = text.partition("=")
            yield key if equals else path.rpartition("/")[2] or key.rpartition("/")[2], ("files", index)
