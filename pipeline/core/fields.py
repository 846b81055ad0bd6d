"""Who owns which fields of a live object: server-side apply's ``metadata.managedFields``.

The format is that of structured-merge-diff, version ``FieldsV1``: a tree whose keys are ``f:name`` (a
field), ``k:{…}`` (the item of a list with these keys), ``v:…`` (a value in a set), ``i:n`` (an index) and
``.`` (the node itself). A leaf ``{}`` is owned as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pipeline.model.objects import FieldPath, Json, Object, get_path

FIELDS_OF_THE_SERVER = frozenset(
    {
        "managedFields",
        "resourceVersion",
        "uid",
        "generation",
        "creationTimestamp",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)
"""Fields of ``metadata`` that only the API server sets."""

BOOKKEEPING = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision",
        "deprecated.daemonset.template.generation",
    }
)
"""Annotations that say how an object came about, not what it is."""

_KEY_DEFAULTS: Mapping[str, Json] = {"protocol": "TCP"}
"""Defaults of keys of list items: the server fills them in before it compares keys."""


@dataclass(frozen=True, slots=True)
class FieldSet:
    """A set of fields. ``member``: the node itself belongs to it; ``children`` by FieldsV1 key."""

    member: bool = False
    children: Mapping[str, FieldSet] = field(default_factory=dict)

    @classmethod
    def parse(cls, tree: Json) -> FieldSet:
        """Read FieldsV1. Keys of no known form are passed over."""
        if not isinstance(tree, dict):
            return cls()
        children = {
            key: cls.parse(subtree) for key, subtree in tree.items() if key[:2] in ("f:", "k:", "v:", "i:")
        }
        return cls("." in tree or not tree, children)

    def tree(self) -> Object:
        """As FieldsV1, to be read by the server; what is empty in it is left out."""
        children = {key: child.tree() for key, child in self.children.items() if child}
        return {".": {}, **children} if self.member and children else children

    @property
    def is_leaf(self) -> bool:
        return self.member and not self.children

    def union(self, other: FieldSet) -> FieldSet:
        """What is in either."""
        children = dict(self.children)
        for key, child in other.children.items():
            children[key] = children[key].union(child) if key in children else child
        return FieldSet(self.member or other.member, children)

    def __bool__(self) -> bool:
        return self.member or any(self.children.values())


@dataclass(frozen=True, slots=True, order=True)
class Manager:
    """Who wrote fields, and how: the same name counts anew for each operation and subresource."""

    name: str
    operation: str
    subresource: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operation}{', ' + self.subresource if self.subresource else ''})"


def managers(obj: Object) -> tuple[tuple[Manager, FieldSet], ...]:
    """Every manager of a live object with what it owns, as the server lists them."""
    entries = get_path(obj, "metadata", "managedFields", default=[])
    found = []
    for entry in entries if isinstance(entries, list) else []:
        tree = get_path(entry, "fieldsV1")
        if isinstance(tree, dict) and tree:
            manager = Manager(
                str(entry.get("manager") or ""),
                str(entry.get("operation") or ""),
                str(entry.get("subresource") or ""),
            )
            found.append((manager, FieldSet.parse(tree)))
    return tuple(found)


def owned(obj: Object, manager: str, operation: str = "Apply") -> FieldSet:
    """What ``manager`` owns of the object itself, its subresources left out; the empty set if nothing."""
    wanted = Manager(manager, operation)
    return _union(fields for found, fields in managers(obj) if found == wanted)


def extract(obj: Object, fields: FieldSet) -> Object:
    """The part of ``obj`` that ``fields`` names, fit to be applied.

    Its identity always belongs to it. List items keep the order they have in ``obj`` and their key
    fields; fields that ``obj`` has not are passed over. Of a node that is a leaf in ``fields`` while
    others own fields inside it, only the node itself is taken: it is no atomic one.
    """
    everyone = _union(found for _, found in managers(obj))
    picked = _pick(obj, fields, everyone)
    result: Object = picked if isinstance(picked, dict) else {}
    identity = {key: obj["metadata"][key] for key in ("name", "namespace") if key in obj["metadata"]}
    rest = result.get("metadata", {})
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {**identity, **rest},
        **{key: value for key, value in result.items() if key not in ("apiVersion", "kind", "metadata")},
    }


def prune(value: Json, given_up: FieldSet, kept: FieldSet) -> Json:
    """``value`` without the fields of ``given_up``, which somebody owned, but for those in ``kept``.

    As a server-side apply takes away what its manager owned and no longer wants: a field that is to go goes
    with all that is in it, defaults included, and a list item by its key (structured-merge-diff,
    ``merge.Updater.prune``). ``value`` is not changed.
    """
    if isinstance(value, dict):
        return _prune_fields(value, given_up, kept)
    if isinstance(value, list):
        return _prune_items(value, given_up, kept)
    return value


def owning(obj: Object, path: FieldPath) -> tuple[Manager, ...]:
    """The managers that own the field at ``path``, something inside it, or an atomic field around it.

    ``path`` counts list items as ``obj`` has them.
    """
    found = managers(obj)
    everyone = _union(fields for _, fields in found)
    return tuple(sorted({who for who, fields in found if _owns(obj, path, fields, everyone)}))


def owners(obj: Object, path: FieldPath) -> list[str]:
    """``owning`` in words: ``["kube-controller-manager (Update, status)"]``."""
    return [str(manager) for manager in owning(obj, path)]


def clean(obj: Object) -> Object:
    """``obj`` without status and bookkeeping: what somebody wanted, defaults included."""
    meta = {k: v for k, v in obj.get("metadata", {}).items() if k not in FIELDS_OF_THE_SERVER}
    if isinstance(meta.get("annotations"), dict):
        meta["annotations"] = {k: v for k, v in meta["annotations"].items() if k not in BOOKKEEPING}
    if not meta.get("annotations"):
        meta.pop("annotations", None)
    rest = {k: v for k, v in _without_generated(obj).items() if k != "status"}
    return {**rest, "metadata": meta} if "metadata" in obj else rest


_GENERATED_LABELS = frozenset(
    {
        "controller-uid",
        "job-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
    }
)
"""What a Job's pods are told apart by (kubernetes pkg/registry/batch/job: ``generateSelector``)."""


def _without_generated(obj: Object) -> Object:
    """A Job without the selector and labels that the server makes of its uid and would refuse in another."""
    spec = obj.get("spec")
    if obj.get("kind") != "Job" or not isinstance(spec, dict) or spec.get("manualSelector"):
        return obj
    meta = get_path(spec, "template", "metadata", default={})
    labels = {k: v for k, v in meta.get("labels", {}).items() if k not in _GENERATED_LABELS}
    kept = {**{k: v for k, v in meta.items() if k != "labels"}, **({"labels": labels} if labels else {})}
    template = {**spec.get("template", {}), "metadata": kept}
    return {**obj, "spec": {**{k: v for k, v in spec.items() if k != "selector"}, "template": template}}


# --- the walk down a tree of fields and the object that it is about

_ABSENT: Any = object()
_NOTHING = FieldSet()


def _union(sets: Iterable[FieldSet]) -> FieldSet:
    return reduce(FieldSet.union, sets, _NOTHING)


def _pick(value: Json, fields: FieldSet, everyone: FieldSet) -> Json:
    if fields.is_leaf:
        if everyone.children and isinstance(value, dict | list):
            return type(value)()
        return value
    picked: Json = _ABSENT
    if isinstance(value, dict):
        picked = _pick_fields(value, fields, everyone)
    elif isinstance(value, list):
        picked = _pick_items(value, fields, everyone)
    elif fields.member:
        return value  # it was a map or list when it became ours
    return picked if fields.member or picked else _ABSENT


def _pick_fields(value: Object, fields: FieldSet, everyone: FieldSet) -> Object:
    picked = {}
    for key in value:
        child = fields.children.get(f"f:{key}")
        if child is not None:
            part = _pick(value[key], child, everyone.children.get(f"f:{key}", _NOTHING))
            if part is not _ABSENT:
                picked[key] = part
    return picked


def _pick_items(value: list[Json], fields: FieldSet, everyone: FieldSet) -> list[Json]:
    picked = []
    selectors = _selectors(fields)
    for index, item in enumerate(value):
        for step in _steps(item, index, selectors):
            part = _pick(item, fields.children[step], everyone.children.get(step, _NOTHING))
            if isinstance(item, dict):
                keys = selectors[step] if step.startswith("k:") else {}
                # A key that stands for its default alone would become ours by being sent.
                named = {k: item[k] for k in keys if k in item and item[k] != _KEY_DEFAULTS.get(k)}
                part = {**named, **(part if part is not _ABSENT else {})}
            if part is not _ABSENT:
                picked.append(part)
            break
    return picked


def _prune_fields(value: Object, given_up: FieldSet, kept: FieldSet) -> Object:
    left = {}
    for key, item in value.items():
        step = f"f:{key}"
        child, others = given_up.children.get(step, _NOTHING), kept.children.get(step, _NOTHING)
        if not child:
            left[key] = item
        elif others:  # a field with owned ones in it counts as owned itself
            left[key] = prune(item, child, others)
    return left


def _prune_items(value: list[Json], given_up: FieldSet, kept: FieldSet) -> list[Json]:
    left = []
    selectors = _selectors(given_up)
    for index, item in enumerate(value):
        step = next(_steps(item, index, selectors), "")
        child, others = given_up.children.get(step, _NOTHING), kept.children.get(step, _NOTHING)
        if not child:
            left.append(item)
        elif others or not child.member:
            part = prune(item, child, others)
            # What an item is called stays as long as the item does.
            keys = [key for key in selectors[step] if key in item] if step.startswith("k:") else []
            left.append({**{key: item[key] for key in keys}, **part} if keys else part)
    return left


def _owns(value: Json, path: FieldPath, fields: FieldSet, everyone: FieldSet) -> bool:
    for step in path:
        if fields.is_leaf:
            return not everyone.children
        key = _child_key(value, step, fields)
        if key is None:
            return False
        fields = fields.children[key]
        everyone = everyone.children.get(key, _NOTHING)
        value = get_path(value, step)
    return bool(fields)


def _child_key(value: Json, step: str | int, fields: FieldSet) -> str | None:
    """The FieldsV1 key of the step from ``value``, where ``fields`` has it."""
    if isinstance(step, str):
        key = f"f:{step}"
        return key if key in fields.children else None
    if not isinstance(value, list) or not -len(value) <= step < len(value):
        return None
    return next(_steps(value[step], step, _selectors(fields)), None)


def _selectors(fields: FieldSet) -> dict[str, Json]:
    """The keys of list items with what they select, read once for a list."""
    found = {}
    for step in fields.children:
        if step[:2] in ("k:", "v:", "i:"):
            try:
                found[step] = json.loads(step[2:])
            except ValueError:
                continue
    return found


def _steps(item: Json, index: int, selectors: Mapping[str, Json]) -> Iterator[str]:
    """The selectors that select this item."""
    for step, wanted in selectors.items():
        match step[0]:
            case "k":
                chosen = isinstance(item, dict) and isinstance(wanted, dict) and _has(item, wanted)
            case "v":
                chosen = _same(item, wanted)
            case _:
                chosen = wanted == index
        if chosen:
            yield step


def _has(item: Object, keys: Mapping[str, Json]) -> bool:
    return all(_same(item.get(key, _KEY_DEFAULTS.get(key)), value) for key, value in keys.items())


def _same(one: Json, other: Json) -> bool:
    """Equal as JSON: unlike in Python, true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
