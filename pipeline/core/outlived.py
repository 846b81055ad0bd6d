"""Defaults of a choice that a manifest no longer makes.

Where a Deployment says nothing of its strategy, the server writes a rolling update with its numbers, and
nobody owns them. Once the manifest says ``type: Recreate``, a server-side apply leaves them where they are,
and the server refuses both together (kubernetes pkg/apis/apps/validation: a StatefulSet's ``OnDelete`` is
alike). kubectl's client-side apply and Helm 3 take them away (``patchStrategy: retainKeys``); so they have to
become ours first, and then they go with the apply.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core import adoption, fields
from pipeline.core.desired import FIELD_MANAGER
from pipeline.model.errors import ApiError
from pipeline.model.objects import FieldPath, Object, get_path

_SHORTEST = 3
"""``spec``, the choice, and what belongs to another one: a choice is never all of the spec."""


def suspects(error: ApiError) -> tuple[FieldPath, ...]:
    """The fields that a refusal names and that could be such defaults; none of them is in a list."""
    if error.status != 422:
        return ()
    named = dict.fromkeys(field for _, field, _ in error.causes if "[" not in field)
    return tuple(path for name in named if len(path := tuple(name.split("."))) >= _SHORTEST)


def outlived(error: ApiError, body: Object, live: Object | None) -> tuple[FieldPath, ...]:
    """Those of ``suspects`` that stand in ``live`` only: ``body`` makes another choice beside them, and
    the choice is nobody's but ours, and of deploy tools whose place we take."""
    return tuple(
        path
        for path in suspects(error)
        if get_path(live, *path) is not None
        and get_path(body, *path) is None
        and isinstance(get_path(body, *path[:-1]), dict)
        and _is_nobodys(live or {}, path[:-1])
    )


def without_choices(body: Object, paths: Sequence[FieldPath]) -> Object:
    """``body`` without the choices around ``paths``: what the server takes as things are."""
    for path in paths:
        body = _without(body, path[:-1])
    return body


def chosen(tried: Object, body: Object, paths: Sequence[FieldPath]) -> Object:
    """``tried``, which became of ``without_choices``, with the choices of ``body``."""
    for path in paths:
        choice = path[:-1]
        tried = _with(_without(tried, path), choice, get_path(body, *choice))
    return tried


def _is_nobodys(live: Object, path: FieldPath) -> bool:
    owners = fields.owning(live, path)
    return all(owner.name == FIELD_MANAGER or adoption.is_tool(owner.name) for owner in owners)


def _without(obj: Object, path: FieldPath) -> Object:
    step, *rest = path
    if step not in obj:
        return obj
    if rest:
        return {**obj, step: _without(obj[step], tuple(rest))}
    return {key: value for key, value in obj.items() if key != step}


def _with(obj: Object, path: FieldPath, value: Object) -> Object:
    """With the fields of ``value`` in the mapping at ``path``."""
    if not path:
        return {**obj, **value}
    step = str(path[0])
    return {**obj, step: _with(obj.get(step) or {}, path[1:], value)}
