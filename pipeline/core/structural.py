"""Custom resources against the schema of their definition, as the API server would judge them.

For definitions that a plan itself brings: the server cannot dry-run their objects yet. What the server
accepts must pass here; what only it can judge (CEL rules, webhooks, some formats) is left to it.
Source of the rules: k8s.io/apiextensions-apiserver/pkg/apiserver/schema, and kube-openapi's validation.
A malformed schema says nothing: the server refuses the definition itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from pipeline.core.at_field import error
from pipeline.core.formats import fits, is_base64, matches
from pipeline.core.predict import quantity
from pipeline.core.schema import kind_of, nearest, shown
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, Object, canonical, get_path, show_path

LIMIT: Final = 20
"""Problems of one object that are told: more than these have one cause."""

_DEPTH: Final = 64
"""Levels that are looked at. Published definitions stay below 40, those that embed pods included."""

_NUMBER: Final = (int, float)

_JSON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": _NUMBER,
    # Of Kubernetes' own schemas only: no definition may use them.
    "quantity": (str, *_NUMBER),
    "base64": (str,),
}
_WORDS: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "quantity": "a quantity such as 500m or 1Gi",
    "base64": "base64",
}
_HEAD: Final = frozenset({"apiVersion", "kind", "metadata"})


class Finding(NamedTuple):
    """One rule that a value breaks; ``meant`` is the field that an unknown one probably is."""

    path: FieldPath
    code: str
    text: str
    hint: str = ""
    meant: str = ""


def schema_of(definition: Object, version: str) -> Object | None:
    """The schema of one served version of a CustomResourceDefinition; None where it has none."""
    versions = get_path(definition, "spec", "versions")
    for entry in versions if isinstance(versions, list) else ():
        if get_path(entry, "name") == version and get_path(entry, "served") is not False:
            schema = get_path(entry, "schema", "openAPIV3Schema")
            return schema if isinstance(schema, dict) else None
    return None


def schemas(definitions: Iterable[Object]) -> dict[tuple[str, str], Object]:
    """(apiVersion, kind) → schema, of every version of every CustomResourceDefinition among the objects."""
    found: dict[tuple[str, str], Object] = {}
    for definition in definitions:
        if definition.get("kind") != "CustomResourceDefinition":
            continue
        group, kind = get_path(definition, "spec", "group"), get_path(definition, "spec", "names", "kind")
        versions = get_path(definition, "spec", "versions")
        for entry in versions if isinstance(versions, list) else ():
            name = get_path(entry, "name")
            schema = schema_of(definition, name) if isinstance(name, str) else None
            if schema is not None:
                found[f"{group}/{name}", str(kind)] = schema
    return found


def has_rules(schema: Json, depth: int = _DEPTH) -> bool:
    """Whether CEL rules (``x-kubernetes-validations``) are in it: these are not evaluated here."""
    if depth and isinstance(schema, dict):
        return bool(schema.get("x-kubernetes-validations")) or any(
            has_rules(inner, depth - 1) for key, inner in schema.items() if key not in ("default", "enum")
        )
    return isinstance(schema, list) and depth > 0 and any(has_rules(inner, depth - 1) for inner in schema)


def violations(manifest: Manifest, schema: Object, body: Object | None = None) -> list[Problem]:
    """What the server would refuse in the object, defaults filled in; at most ``LIMIT`` problems.

    ``body`` is what would be sent, where that is not the manifest's own. ``status`` is not judged: where it
    is a subresource, as nearly always, the server drops it.
    """
    obj = {key: value for key, value in (body or manifest.body).items() if key != "status"}
    root = {**schema, "required": [name for name in _list(schema, "required") if name != "status"]}
    # Of metadata a definition says next to nothing: the server judges it by itself.
    return told(manifest, findings(obj, {**root, "x-kubernetes-embedded-resource": True}))


def findings(value: Json, schema: Object, path: FieldPath = ()) -> Iterator[Finding]:
    """Every rule of the schema that the value, at ``path`` of its object, breaks."""
    yield from _unknown(value, schema, path, _DEPTH)
    yield from _judge(_defaulted(value, schema, _DEPTH), schema, path, _DEPTH)


def told(manifest: Manifest, found: Iterable[Finding]) -> list[Problem]:
    """The first of them as problems of the manifest."""
    return [
        error(manifest, finding.path, finding.code, finding.text, finding.hint)
        for finding in islice(found, LIMIT)
    ]


# --- fields that the schema does not know


def _unknown(value: Json, schema: Object, path: FieldPath, depth: int) -> Iterator[Finding]:
    # What is below a node that keeps unknown fields, the server may prune but does not report.
    if not depth or schema.get("x-kubernetes-preserve-unknown-fields") is True:
        return
    if isinstance(value, list):
        items = _map(schema, "items")
        for index, item in enumerate(value):
            yield from _unknown(item, items, (*path, index), depth - 1)
    elif isinstance(value, dict) and schema.get("type") == "object":
        yield from _unknown_keys(value, schema, path, depth)


def _unknown_keys(value: Object, schema: Object, path: FieldPath, depth: int) -> Iterator[Finding]:
    known = _map(schema, "properties")
    others = schema.get("additionalProperties")
    head = _HEAD if schema.get("x-kubernetes-embedded-resource") is True else frozenset()
    for key, item in value.items():
        at = (*path, key)
        if key in head:
            continue
        if key in known:
            yield from _unknown(item, _map(known, key), at, depth - 1)
        elif isinstance(others, dict):
            yield from _unknown(item, others, at, depth - 1)
        elif others is not True:
            near = nearest(key, [name for name in known if name not in value])
            hint = f"did you mean {near}?" if near else "remove it, or add it to the definition's schema"
            yield Finding(at, "unknown-field", f"unknown field {show_path(at)}", hint, near)


# --- defaults, as the server fills them in


def _defaulted(value: Json, schema: Object, depth: int) -> Json:
    """A copy with defaults, which also stand for a null that is not allowed."""
    if not depth:
        return value
    if isinstance(value, list):
        return [_defaulted(item, _map(schema, "items"), depth - 1) for item in value]
    if not isinstance(value, dict):
        return value
    known = _map(schema, "properties")
    others = _map(schema, "additionalProperties")
    filled = {}
    for key, item in value.items():
        inner = _map(known, key) if key in known else others
        if item is not None or inner.get("nullable") is True or inner.get("default") is None:
            filled[key] = _defaulted(item, inner, depth - 1)
    for key, inner in known.items():
        if key not in filled and isinstance(inner, dict) and inner.get("default") is not None:
            filled[key] = _defaulted(copy.deepcopy(inner["default"]), inner, depth - 1)
    return filled


# --- values


def _judge(value: Json, schema: Object, path: FieldPath, depth: int) -> Iterator[Finding]:
    """Every rule of the schema that the value breaks; only that of its type where the type is wrong."""
    if not depth or (value is None and (schema.get("nullable") is True or not _is_typed(schema))):
        return
    if not _has_type(value, schema):
        hint = "quote it" if schema.get("type") == "string" and isinstance(value, int | float) else ""
        yield Finding(path, "wrong-type", f"{_at(path)} is {_is(value, schema)}, not {_wanted(schema)}", hint)
        return
    allowed = _list(schema, "enum")
    if allowed and not any(_same(value, choice) for choice in allowed):
        yield _not_among(value, allowed, path)
    if isinstance(value, str):
        yield from _judge_text(value, schema, path)
    elif isinstance(value, dict):
        yield from _judge_map(value, schema, path, depth)
    elif isinstance(value, list):
        yield from _judge_list(value, schema, path, depth)
    elif not isinstance(value, bool):
        yield from _judge_number(value, schema, path)
    yield from _judge_combined(value, schema, path, depth)


def _is_typed(schema: Object) -> bool:
    return str(schema.get("type")) in _JSON_TYPES or schema.get("x-kubernetes-int-or-string") is True


def _has_type(value: Json, schema: Object) -> bool:
    if schema.get("x-kubernetes-int-or-string") is True:
        return isinstance(value, int | str) and not isinstance(value, bool)
    wanted = str(schema.get("type"))
    types = _JSON_TYPES.get(wanted)
    if types is None:
        return True
    if isinstance(value, bool):
        return wanted == "boolean"
    # JSON has one kind of number: 2.0 is an integer, to the server as well.
    return isinstance(value, types) or (wanted == "integer" and isinstance(value, float) and value % 1 == 0)


def _wanted(schema: Object) -> str:
    if schema.get("x-kubernetes-int-or-string") is True:
        return "an integer or a string"
    return _WORDS[str(schema.get("type"))]


def _is(value: Json, schema: Object) -> str:
    return "a fraction" if isinstance(value, float) and schema.get("type") == "integer" else kind_of(value)


def _not_among(value: Json, allowed: list[Json], path: FieldPath) -> Finding:
    texts = [str(choice) for choice in allowed if isinstance(choice, str)]
    near = nearest(value, texts) if isinstance(value, str) else ""
    # An empty text is as good as none to the server's own kinds: nothing that anybody should write.
    allowed = [choice for choice in allowed if choice != ""] or allowed
    words = ", ".join(_show(choice) for choice in allowed[:10]) + (", …" if len(allowed) > 10 else "")
    hint = f"did you mean {near}?" if near else f"one of {words}"
    return Finding(path, "bad-value", f"{_at(path)} is {_show(value)}, not one of {words}", hint)


def _judge_text(value: str, schema: Object, path: FieldPath) -> Iterator[Finding]:
    yield from _count(len(value), schema, path, "Length", "character")
    pattern, form = schema.get("pattern"), schema.get("format")
    if isinstance(pattern, str) and not matches(pattern, value):
        yield _bad(path, f"is {shown(value)}, which does not match {pattern}")
    if isinstance(form, str) and not fits(form, value):
        yield _bad(path, f"is {shown(value)}, which is no {form}")
    if schema.get("type") == "quantity" and quantity.parse(value) is None:
        yield _bad(path, f"is {shown(value)}, not {_WORDS['quantity']}")
    if schema.get("type") == "base64" and not is_base64(value):
        yield _bad(path, "is not base64")


def _judge_number(value: float, schema: Object, path: FieldPath) -> Iterator[Finding]:
    low, high, step = (_number(schema, key) for key in ("minimum", "maximum", "multipleOf"))
    above = schema.get("exclusiveMinimum") is True
    below = schema.get("exclusiveMaximum") is True
    if low is not None and (value < low or (above and value == low)):
        yield _bad(path, f"is {value}, not {'above' if above else 'at least'} {low}")
    if high is not None and (value > high or (below and value == high)):
        yield _bad(path, f"is {value}, not {'below' if below else 'at most'} {high}")
    if step and not _is_multiple(value, step):
        yield _bad(path, f"is {value}, no multiple of {step}")
    bits = {"int32": 31, "int64": 63}.get(str(schema.get("format")))
    if bits and not -(2**bits) <= value < 2**bits:
        yield _bad(path, f"is {value}, which is no {schema['format']}")


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        quotient = value / step
        # Within rounding: 0.3 is a multiple of 0.1.
        return abs(quotient - round(quotient)) < 1e-9
    except (OverflowError, ValueError):
        return True


def _judge_map(value: Object, schema: Object, path: FieldPath, depth: int) -> Iterator[Finding]:
    yield from _count(len(value), schema, path, "Properties", "field")
    embedded = ["apiVersion", "kind"] if schema.get("x-kubernetes-embedded-resource") is True else []
    known, others = _map(schema, "properties"), _map(schema, "additionalProperties")
    for name in [*embedded, *_list(schema, "required")]:
        if isinstance(name, str) and name not in value:
            inner, at = _map(known, name), (*path, name)
            hint = f"give it: {_wanted(inner)}" if _is_typed(inner) else "give it"
            yield Finding(at, "missing-field", f"{show_path(at)} is required", hint)
    for key, item in value.items():
        inner = _map(known, key) if key in known else others
        yield from _judge(item, inner, (*path, key), depth - 1)


def _judge_list(value: list[Json], schema: Object, path: FieldPath, depth: int) -> Iterator[Finding]:
    yield from _count(len(value), schema, path, "Items", "item")
    yield from _twice(value, schema, path)
    items = _map(schema, "items")
    for index, item in enumerate(value):
        yield from _judge(item, items, (*path, index), depth - 1)


def _twice(value: list[Json], schema: Object, path: FieldPath) -> Iterator[Finding]:
    """Items that a set, or a list with keys, may hold only once."""
    kind = schema.get("x-kubernetes-list-type")
    keys = _list(schema, "x-kubernetes-list-map-keys")
    if kind != "set" and kind != "map" and schema.get("uniqueItems") is not True:
        return
    seen: dict[bytes, int] = {}
    for index, item in enumerate(value):
        named = {str(key): get_path(item, str(key)) for key in keys} if kind == "map" else item
        first = seen.setdefault(canonical(named), index)
        if first != index:
            called = ", ".join(f"{k}: {_show(v)}" for k, v in named.items()) if kind == "map" else _show(item)
            at = (*path, index)
            text = f"{show_path(at)} is {called} again, as {show_path((*path, first))}"
            yield Finding(at, "duplicate-item", text, "keep one of them")


def _count(size: int, schema: Object, path: FieldPath, what: str, unit: str) -> Iterator[Finding]:
    low, high = _number(schema, f"min{what}"), _number(schema, f"max{what}")
    has = f"has {size} {unit}{'' if size == 1 else 's'}"
    if low is not None and size < low:
        yield _bad(path, f"{has}, not at least {low}")
    if high is not None and size > high:
        yield _bad(path, f"{has}, not at most {high}")


# --- schemas of schemas


def _judge_combined(value: Json, schema: Object, path: FieldPath, depth: int) -> Iterator[Finding]:
    for inner in _schemas(schema, "allOf"):
        yield from _judge(value, inner, path, depth - 1)

    def fit(inner: Object) -> bool:
        return next(_judge(value, inner, path, depth - 1), None) is None

    some, exactly = _schemas(schema, "anyOf"), _schemas(schema, "oneOf")
    if some and not any(fit(inner) for inner in some):
        yield _bad(path, f"fits none of the {len(some)} forms that are allowed", _forms(some))
    if exactly and (count := sum(fit(inner) for inner in exactly)) != 1:
        fits_some = f"fits {count} of the {len(exactly)} forms of which one is allowed"
        yield _bad(path, fits_some if count else f"fits none of the {len(exactly)} forms", _forms(exactly))
    denied = schema.get("not")
    if isinstance(denied, dict) and fit(denied):
        needs = [name for name in _list(denied, "required") if isinstance(name, str)]
        together = f"has {' and '.join(needs)}, which is not allowed" if needs else "has a form that is not"
        yield _bad(path, together if needs else f"{together} allowed")


def _forms(alternatives: list[Object]) -> str:
    """What tells the alternatives apart, where that is the fields they need."""
    needs = [" and ".join(str(name) for name in _list(inner, "required")) for inner in alternatives]
    return f"give one of: {', '.join(needs)}" if all(needs) else ""


# --- reading a schema that may be malformed


def _map(schema: Json, key: str) -> Object:
    value = schema.get(key) if isinstance(schema, dict) else None
    return value if isinstance(value, dict) else {}


def _list(schema: Object, key: str) -> list[Json]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _schemas(schema: Object, key: str) -> list[Object]:
    return [inner for inner in _list(schema, key) if isinstance(inner, dict)]


def _number(schema: Object, key: str) -> float | None:
    value = schema.get(key)
    return value if isinstance(value, _NUMBER) and not isinstance(value, bool) else None


def _same(one: Json, other: Json) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _bad(path: FieldPath, text: str, hint: str = "") -> Finding:
    return Finding(path, "bad-value", f"{_at(path)} {text}", hint)


def _at(path: FieldPath) -> str:
    return show_path(path) or "the object"


def _show(value: Json) -> str:
    return shown(value if isinstance(value, str) else canonical(value).decode())
