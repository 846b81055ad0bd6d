"""Who changed a field that is not as it was left."""

from __future__ import annotations

import re

from pipeline.core import fields
from pipeline.model.objects import FieldPath, Json, Object, get_path

MANAGER = "pipeline"

_STEP = re.compile(r'\["(?P<quoted>.*?)"\]|\[(?P<item>[^\]]*)\]|\.?(?P<name>[^.\[\]]+)')


def manager_of(live: Object, path: str) -> str:
    """The field managers beside us that own the field, as ``core.diff`` writes its path; empty if none."""
    steps = located(live, path)
    if not steps:
        return ""
    names = [m.name for m in fields.owning(live, steps) if m.name != MANAGER]
    return ", ".join(dict.fromkeys(names))


def located(obj: Object, path: str) -> FieldPath:
    """``spec.containers[name=web].image`` → steps into ``obj``; empty where it has no such field."""
    steps: list[str | int] = []
    for match in _STEP.finditer(path):
        step = match["quoted"] if match["quoted"] is not None else match["name"]
        if step is None:
            index = _index(get_path(obj, *steps), match["item"])
            if index is None:
                return ()
            steps.append(index)
        else:
            steps.append(step)
    return tuple(steps)


def _index(items: Json, called: str) -> int | None:
    if called.isdigit():
        return int(called)
    wanted = dict(part.split("=", 1) for part in called.split(",") if "=" in part)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        # Only what the item says itself: a protocol that is left out is TCP, and no name of it.
        if isinstance(item, dict) and all(str(item.get(k, v)) == v for k, v in wanted.items()):
            return index
    return None
