"""CustomResourceDefinitions whose new version hurts the objects that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.core.at_field import error, warning
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, Object, get_path, show_path

_DEEPEST: Final = 40
"""Levels of a schema that are compared; ours, far beyond any that is written by hand."""

_SCHEMA: Final = ("schema", "openAPIV3Schema")

_LOWERED: Final = ("maximum", "maxLength", "maxItems", "maxProperties")
_RAISED: Final = ("minimum", "minLength", "minItems", "minProperties")


def upgrade_problems(live: Object, manifest: Manifest, has_objects: bool | None) -> list[Problem]:
    """What objects of the kind lose by the change. ``has_objects`` is None where nobody knows."""
    return [
        *_identity(live, manifest),
        *_versions(live, manifest),
        *_schemas(live, manifest, has_objects is True),
    ]


def depends_on_objects(live: Object, manifest: Manifest) -> bool:
    """Whether it matters for the verdict if objects of the kind exist."""
    return upgrade_problems(live, manifest, True) != upgrade_problems(live, manifest, False)


def _identity(live: Object, manifest: Manifest) -> Iterator[Problem]:
    for path, code, hint in (
        (("spec", "scope"), "crd-scope", "objects cannot move: make a new kind, and move what they hold"),
        (("spec", "group"), "crd-names", "make a new definition, and move the objects"),
        (("spec", "names", "kind"), "crd-names", "make a new definition, and move the objects"),
        (("spec", "names", "plural"), "crd-names", "make a new definition, and move the objects"),
    ):
        old, new = get_path(live, *path), get_path(manifest.body, *path)
        if old is not None and new is not None and old != new:
            yield error(manifest, path, code, f"{show_path(path)} changes from {old} to {new}", hint)


def _versions(live: Object, manifest: Manifest) -> Iterator[Problem]:
    old, new = _by_name(live), _by_name(manifest.body)
    stored = get_path(live, "status", "storedVersions")
    stored = [name for name in stored if isinstance(name, str)] if isinstance(stored, list) else []
    for name in stored:
        if name not in new:
            message = f"version {name} goes, but objects are stored in it"
            hint = "keep it, unserved, until all objects are rewritten and status.storedVersions lacks it"
            yield error(manifest, ("spec", "versions"), "crd-stored-version", message, hint)
    for name, (_, version) in old.items():
        if not version.get("served") or name in set(stored) - set(new):
            continue
        index, now = new.get(name, (-1, {}))
        if not now.get("served"):
            path: FieldPath = ("spec", "versions", index, "served") if index >= 0 else ("spec", "versions")
            message = f"version {name} is no longer served: who still uses it is refused"
            hint = "move manifests and clients to another version first"
            yield warning(manifest, path, "crd-version-removed", message, hint)


def _by_name(definition: Object) -> dict[str, tuple[int, dict[str, Json]]]:
    versions = get_path(definition, "spec", "versions")
    entries = enumerate(versions if isinstance(versions, list) else ())
    return {str(v.get("name")): (index, v) for index, v in entries if isinstance(v, dict)}


# --- schemas


@dataclass(slots=True, kw_only=True)
class _Comparison:
    """One version's schemas, side by side; ``place`` is a field of the objects, for people."""

    manifest: Manifest
    has_objects: bool
    version: str
    found: list[Problem] = field(default_factory=list)

    def tell(
        self, path: FieldPath, code: str, place: str, words: str, hint: str, *, breaks: bool = False
    ) -> None:
        make = error if breaks and self.has_objects else warning
        message = f"{self.version}: {place or 'the object'} {words}"
        self.found.append(make(self.manifest, path, code, message, hint))

    def compare(self, old: Json, new: Json, path: FieldPath, place: str = "") -> None:
        if not isinstance(old, dict) or not isinstance(new, dict) or len(path) > 2 * _DEEPEST:
            return
        for judge in (_type, _required, _removed, _narrowed):
            judge(self, old, new, path, place)
        olds, news = _mapping(old, "properties"), _mapping(new, "properties")
        for name in olds:
            if name in news:
                below = f"{place}.{name}" if place else name
                self.compare(olds[name], news[name], (*path, "properties", name), below)
        for step, mark in (("items", "[]"), ("additionalProperties", "[*]")):
            self.compare(old.get(step), new.get(step), (*path, step), place + mark)


def _schemas(live: Object, manifest: Manifest, has_objects: bool) -> Iterator[Problem]:
    old = _by_name(live)
    for name, (index, version) in _by_name(manifest.body).items():
        if name in old:
            comparison = _Comparison(manifest=manifest, has_objects=has_objects, version=name)
            path: FieldPath = ("spec", "versions", index, *_SCHEMA)
            comparison.compare(get_path(old[name][1], *_SCHEMA), get_path(version, *_SCHEMA), path)
            yield from comparison.found


def _mapping(schema: Mapping[str, Json], key: str) -> dict[str, Json]:
    value = schema.get(key)
    return value if isinstance(value, dict) else {}


def _listed(schema: Mapping[str, Json], key: str) -> list[Json]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _type(told: _Comparison, old: dict[str, Any], new: dict[str, Any], path: FieldPath, place: str) -> None:
    before, after = _type_of(old), _type_of(new)
    if before == after or not after or (before, after) in _WIDENED:
        return
    words = f"was {before or 'of any type'} and becomes {after}"
    hint = "add a new field, or a new version with a conversion"
    told.tell((*path, "type"), "crd-type-changed", place, words, hint, breaks=True)


_WIDENED: Final = frozenset(
    {("integer", "number"), ("integer", "integer or string"), ("string", "integer or string")}
)


def _type_of(schema: Mapping[str, Json]) -> str:
    if schema.get("x-kubernetes-int-or-string") is True:
        return "integer or string"
    return str(schema.get("type") or "")


def _required(
    told: _Comparison, old: dict[str, Any], new: dict[str, Any], path: FieldPath, place: str
) -> None:
    properties = _mapping(new, "properties")
    before = _listed(old, "required")
    for index, name in enumerate(_listed(new, "required")):
        if not isinstance(name, str) or name in before:
            continue
        if "default" not in _mapping(properties, name):
            words = f"must have {name} from now on: objects without it are refused when they are written"
            hint = f"give {name} a default, or leave it optional"
            told.tell((*path, "required", index), "crd-required-field", place, words, hint, breaks=True)


def _removed(
    told: _Comparison, old: dict[str, Any], new: dict[str, Any], path: FieldPath, place: str
) -> None:
    if new.get("x-kubernetes-preserve-unknown-fields") is True or new.get("additionalProperties"):
        return
    after = _mapping(new, "properties")
    for name in _mapping(old, "properties"):
        if name not in after:
            words = f"loses the field {name}: the server drops it from every object that is written"
            hint = "keep it in the schema until no object holds it"
            told.tell((*path, "properties"), "crd-field-removed", place, words, hint)


def _narrowed(
    told: _Comparison, old: dict[str, Any], new: dict[str, Any], path: FieldPath, place: str
) -> None:
    hint = "objects with other values are refused when they are written"
    for key, words in _narrower(old, new):
        told.tell((*path, key), "crd-narrowed", place, words, hint)


def _narrower(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, str]]:
    allowed = _listed(new, "enum")
    gone = [value for value in _listed(old, "enum") if value not in allowed]
    if allowed and gone:
        yield "enum", f"may no longer be {', '.join(str(value) for value in gone[:5])}"
    elif allowed and "enum" not in old:
        yield "enum", f"may only be one of {len(allowed)} values from now on"
    for keys, is_tighter in ((_LOWERED, _less), (_RAISED, _more)):
        for key in keys:
            after, before = new.get(key), old.get(key)
            if _is_number(after) and (not _is_number(before) or is_tighter(after, before)):
                was = f"from {before} to {after}" if _is_number(before) else f"to {after}"
                yield key, f"is narrowed: {key} {was}"
    if isinstance(new.get("pattern"), str) and new["pattern"] != old.get("pattern"):
        yield "pattern", "has another pattern"


def _less(after: Any, before: Any) -> bool:
    return bool(after < before)


def _more(after: Any, before: Any) -> bool:
    return bool(after > before)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
