"""Reading objects that someone else wrote: every accessor takes what is there, whatever its type.

The API server does not check a custom resource's status unless its CRD says so, and old objects
outlive the schemas they were written under. So nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.model.objects import Json, Object, ObjectRef, get_path


def mapping(obj: Json, *path: str | int) -> dict[str, Any]:
    """The mapping at ``path``; empty where there is none."""
    value = get_path(obj, *path)
    return value if isinstance(value, dict) else {}


def items(obj: Json, *path: str | int) -> list[dict[str, Any]]:
    """The mappings in the list at ``path``; whatever else stands in it is passed over."""
    value = get_path(obj, *path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(obj: Json, *path: str | int) -> str:
    """The string at ``path``; empty where there is none."""
    value = get_path(obj, *path)
    return value if isinstance(value, str) else ""


def number(obj: Json, *path: str | int, default: int = 0) -> int:
    """The whole number at ``path``; digits in a string count, a truth value does not."""
    value = get_path(obj, *path)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return default


def condition(obj: Json, kind: str) -> dict[str, Any]:
    """The status condition of that type; empty where there is none."""
    return next((c for c in items(obj, "status", "conditions") if c.get("type") == kind), {})


def condition_is(obj: Json, kind: str, status: str) -> bool:
    return condition(obj, kind).get("status") == status


def seconds(value: Json) -> float | None:
    """A Kubernetes time (RFC 3339, with or without fraction) as seconds since 1970, else None."""
    if not isinstance(value, str) or len(value) < 19:
        return None
    try:
        when = datetime.fromisoformat(value)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def uid(obj: Json) -> str:
    return text(obj, "metadata", "uid")


def owner(obj: Json) -> dict[str, Any]:
    """The controller that owns the object; any owner where none is marked as such; empty where none does."""
    owners = items(obj, "metadata", "ownerReferences")
    controller = next((o for o in owners if o.get("controller") is True), None)
    return controller or (owners[0] if owners else {})


def owner_uid(obj: Json) -> str:
    """The uid of ``owner``."""
    return text(owner(obj), "uid")


def is_deleting(obj: Json) -> bool:
    return bool(get_path(obj, "metadata", "deletionTimestamp"))


def ref_of(obj: Mapping[str, Any], kind: str = "") -> ObjectRef:
    """The identity of an object that may lack parts of it; ``kind`` where list items carry none."""
    group, _, _ = text(obj, "apiVersion").rpartition("/")
    return ObjectRef(
        group,
        text(obj, "kind") or kind,
        text(obj, "metadata", "namespace"),
        text(obj, "metadata", "name"),
    )


def observed(obj: Object) -> bool:
    """Whether the controller has seen the newest spec.

    True where the kind reports no observedGeneration. Some controllers write it as a string.
    """
    generation = number(obj, "metadata", "generation", default=-1)
    seen = number(obj, "status", "observedGeneration", default=-1)
    return generation < 0 or seen < 0 or seen >= generation
