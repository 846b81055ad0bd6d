"""A reference from one object to another, and the reading of fields that may be malformed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

from pipeline.model.objects import FieldPath, Json, Object, ObjectRef, get_path
from pipeline.model.plan import Strength


class Use(StrEnum):
    """What an object is named for. ``config``, ``identity``, ``storage`` and ``class`` are needed for a
    pod to start; the others only matter for the order."""

    CONFIG = "config"
    IDENTITY = "identity"
    STORAGE = "storage"
    ROLE = "role"
    ROUTE = "route"
    SCALE = "scale"
    CLASS = "class"
    SOURCE = "source"
    PEER = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One object that another one names.

    ``path`` is the field that holds the name, or the key where ``key`` is given; ``optional`` is true
    where the object works, or is meant to wait, without its target. ``soft``: a matter of order only,
    that gives way where it would close a cycle. ``strength``: how far the target must be.
    """

    target: ObjectRef
    path: FieldPath
    key: str | None = None
    optional: bool = False
    kind: Use = Use.CONFIG
    soft: bool = False
    strength: Strength = Strength.EXISTS


Reader = Callable[[Object, str], Iterator[Reference]]
"""What objects of one kind name: (object, its namespace) → references."""

_SOFT = frozenset({Use.ROUTE, Use.SCALE, Use.PEER})
"""Nothing is refused, and nothing fails for good, where these come before what they name."""


def is_name(value: Json) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def items(parent: Json, path: FieldPath, *steps: str) -> Iterator[tuple[dict[str, Any], FieldPath]]:
    """The mappings of the list at ``steps`` below ``parent``, each with its path."""
    items = get_path(parent, *steps)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield item, (*path, *steps, index)


def named(
    holder: Json,
    path: FieldPath,
    group_kind: tuple[str, str],
    namespace: str,
    use: Use,
    *,
    field: str = "name",
    optional: bool = False,
    soft: bool | None = None,
    strength: Strength = Strength.EXISTS,
) -> Iterator[Reference]:
    """The object that ``holder[field]`` names, if it names one. ``soft``: as ``use`` has it, by default."""
    name = get_path(holder, field)
    if is_name(name):
        optional = optional or get_path(holder, "optional") is True
        yield Reference(
            target=ObjectRef(*group_kind, namespace, name),
            path=(*path, field),
            optional=optional,
            kind=use,
            soft=use in _SOFT if soft is None else soft,
            strength=strength,
        )


def typed(
    holder: Json, path: FieldPath, namespace: str, use: Use, *, optional: bool = False
) -> Iterator[Reference]:
    """A reference that says its own kind, by ``apiVersion`` or ``apiGroup``; ``namespace`` as default."""
    kind = get_path(holder, "kind")
    if not is_name(kind):
        return
    group = get_path(holder, "apiGroup", default="")
    if not group:
        group = str(get_path(holder, "apiVersion", default="")).rpartition("/")[0]
    yield from named(holder, path, (str(group), kind), namespace, use, optional=optional)
