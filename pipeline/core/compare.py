"""Two JSON values walked side by side, list items matched by what they are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pipeline.model.objects import FieldPath, Json, canonical


class Absent:
    """The type of ``ABSENT``, which stands for a field that is not there; None is a value."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()

Keys: TypeAlias = tuple[tuple[str, Json], ...]
"""What a list item is called: ``(("name", "web"),)``."""

NATURAL_KEYS: tuple[tuple[str, ...], ...] = (
    ("name",),
    ("kind", "name"),
    ("mountPath",),
    ("devicePath",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("port",),
    ("ip",),
    ("host",),
    ("path",),
    ("topologyKey", "whenUnsatisfiable"),
    ("uid",),
    ("type",),
)
"""What items of lists are called, the first that all items have and that differs for each.

The list-map keys of the built-in API types, with ``host`` and ``path`` of Ingress rules.
"""

_DEFAULTS: Mapping[str, Json] = {"protocol": "TCP"}


@dataclass(frozen=True, slots=True)
class Place:
    """A field of both values: ``path`` for people, and its steps in each, as items may have moved."""

    path: str = ""
    before: FieldPath = ()
    after: FieldPath = ()

    def field(self, key: str) -> Place:
        return Place(_below(self.path, key), (*self.before, key), (*self.after, key))

    def item(self, called: str, before: int, after: int) -> Place:
        return Place(f"{self.path}[{called}]", (*self.before, before), (*self.after, after))


@dataclass(frozen=True, slots=True)
class Unlike:
    """One place where two values differ."""

    place: Place
    before: Json | Absent
    after: Json | Absent


def compare(before: Json | Absent, after: Json | Absent) -> Iterator[Unlike]:
    """Every place where the two differ, in order of path; as deep as there are maps and matched items.

    A list of which the items have no names is walked by index where the length is the same, and is one
    place otherwise. A change of order of named items is a place of its own.
    """
    return _walk(Place(), before, after)


def same(one: Json | Absent, other: Json | Absent) -> bool:
    """Equal as JSON: unlike in Python, true is not 1."""
    if isinstance(one, Absent) or isinstance(other, Absent):
        return one is other
    # Equal in Python is a cheap first answer; only 1 == True makes the second one necessary.
    return bool(one == other) and _loose(one) == _loose(other)


def _loose(value: Json) -> object:
    """Something that tells true from 1, but not 1 from 1.0."""
    if isinstance(value, dict):
        return {key: _loose(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_loose(item) for item in value]
    return (isinstance(value, bool), value)


def _walk(place: Place, before: Json | Absent, after: Json | Absent) -> Iterator[Unlike]:
    if same(before, after):
        return
    if _both(dict, before, after):
        yield from _maps(place, _or(before, {}), _or(after, {}))
    elif _both(list, before, after):
        yield from _lists(place, before, after)
    else:
        yield Unlike(place, before, after)


def _both(kind: type, before: Json | Absent, after: Json | Absent) -> bool:
    """Whether both are of ``kind``, or one is and, not empty, has nothing to be compared with."""
    if isinstance(before, Absent):
        return isinstance(after, kind) and bool(after)
    if isinstance(after, Absent):
        return isinstance(before, kind) and bool(before)
    return isinstance(before, kind) and isinstance(after, kind)


def _or(value: Json | Absent, default: Json) -> Any:
    return default if isinstance(value, Absent) else value


def _maps(place: Place, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Unlike]:
    for key in sorted(before.keys() | after.keys()):
        yield from _walk(place.field(key), before.get(key, ABSENT), after.get(key, ABSENT))


def _lists(place: Place, before: Json | Absent, after: Json | Absent) -> Iterator[Unlike]:
    old, new = _or(before, []), _or(after, [])
    names = _naming(old, new)
    if names:
        yield from _named_items(place, _by_name(old, names), _by_name(new, names))
    elif len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _walk(place.item(str(index), index, index), one, other)
    else:
        yield Unlike(place, before, after)


def _named_items(
    place: Place, old: Mapping[Keys, tuple[int, Json]], new: Mapping[Keys, tuple[int, Json]]
) -> Iterator[Unlike]:
    kept_old = [_called(keys) for keys in old if keys in new]
    kept_new = [_called(keys) for keys in new if keys in old]
    if kept_old != kept_new:
        yield Unlike(place, kept_old, kept_new)
    for keys in sorted(old.keys() | new.keys(), key=canonical):
        before, one = old.get(keys, (-1, ABSENT))
        after, other = new.get(keys, (-1, ABSENT))
        yield from _walk(place.item(_called(keys), before, after), one, other)


def _naming(old: Sequence[Json], new: Sequence[Json]) -> tuple[str, ...]:
    """The natural keys that name all items of both lists, or none."""
    if not all(isinstance(item, dict) for items in (old, new) for item in items):
        return ()
    for names in NATURAL_KEYS:
        if all(_names(items, names) for items in (old, new)):
            return names
    return ()


def _names(items: Sequence[Mapping[str, Json]], names: tuple[str, ...]) -> bool:
    # The first key must be written: a default says nothing of what an item is.
    called = [_keys(item, names) for item in items if names[0] in item]
    if len(called) != len(items) or any(not isinstance(v, str | int) for keys in called for _, v in keys):
        return False
    return len(set(called)) == len(called)


def _keys(item: Mapping[str, Json], names: tuple[str, ...]) -> Keys:
    return tuple((name, item.get(name, _DEFAULTS.get(name))) for name in names)


def _by_name(items: Sequence[Mapping[str, Json]], names: tuple[str, ...]) -> dict[Keys, tuple[int, Json]]:
    return {_keys(item, names): (index, item) for index, item in enumerate(items)}


def _called(keys: Keys) -> str:
    return ",".join(f"{name}={value}" for name, value in keys)


def _below(path: str, key: str) -> str:
    if "." in key or "/" in key or "[" in key or not key:
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key
