"""The small words that all texts share: names, numbers, durations, tables."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from pipeline.core.escape import defuse, one_line
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Action, FieldChange, Plan

_Item = TypeVar("_Item")

VALUE_LIMIT = 100
"""Characters of a field's value in a diff line; the JSON document has all of it."""

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.RECREATE: "!",
    Action.DELETE: "-",
    Action.KEEP: "=",
}
_COUNTED = {
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
    Action.RECREATE: "to recreate",
    Action.DELETE: "to delete",
    Action.KEEP: "unchanged",
}


def label(ref: ObjectRef | None) -> str:
    """An object for people: ``Deployment/demo/web``, cluster-scoped ``ClusterRole/reader``."""
    if ref is None:
        return "the run"
    parts = (ref.kind, ref.namespace, ref.name) if ref.namespace else (ref.kind, ref.name)
    return one_line("/".join(parts))


def short_revision(revision: str) -> str:
    """The first seven digits of a commit; another name as it is."""
    is_commit = len(revision) in (40, 64) and all(c in "0123456789abcdef" for c in revision)
    return revision[:7] if is_commit else one_line(revision)


def short_digest(digest: str) -> str:
    """``sha256:`` and twelve digits, enough to tell plans apart."""
    return one_line(digest[:19])


def seconds(value: float) -> str:
    """A duration: ``0.02 s``, ``3.1 s``, ``75 s``, ``12 min 5 s``."""
    if value >= 120:
        return f"{int(value) // 60} min {int(value) % 60} s"
    if value >= 60:
        return f"{value:.0f} s"
    return f"{value:.1f} s" if value >= 0.1 or value == 0 else f"{value:.2f} s"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 object``, ``2 objects``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def counts(plan: Plan) -> str:
    """``1 to create, 2 to update, 10 unchanged``, or that there is nothing to do."""
    found = [(sum(c.action is action for c in plan.changes), word) for action, word in _COUNTED.items()]
    return ", ".join(f"{n} {word}" for n, word in found if n) or "nothing to do"


def value_text(value: Any) -> str:
    """A field's value on one line: text as it is, all else as JSON."""
    if isinstance(value, str):
        return one_line(value, VALUE_LIMIT) if value.strip() else f'"{one_line(value)}"'
    return one_line(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str), VALUE_LIMIT)


def field_line(field: FieldChange) -> str:
    """``+ path: new``, ``- path: old``, ``~ path: old → new``."""
    path = one_line(field.path)
    match field.op:
        case "add":
            return f"+ {path}: {value_text(field.after)}"
        case "remove":
            return f"- {path}: {value_text(field.before)}"
        case _:
            return f"~ {path}: {value_text(field.before)} → {value_text(field.after)}"


def shown(items: Sequence[_Item], limit: int, say: Callable[[_Item], str] = str) -> list[str]:
    """The first ``limit`` items, as ``say`` puts them into words, and a line that counts the others."""
    said, more = [say(item) for item in items[:limit]], len(items) - limit
    return [*said, f"… and {more} more"] if more > 0 else said


def finish(lines: Iterable[str]) -> list[str]:
    """Lines ready to be printed: no blanks at their end, and none a command of a CI runner."""
    return [defuse(line.rstrip()) for line in lines]


def text(lines: Iterable[str]) -> str:
    """Finished lines as one text with a final line end."""
    return "".join(line + "\n" for line in finish(lines))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns under a header, two blanks apart; the last one is as long as it likes."""
    cells = [list(header), *([one_line(cell) or "-" for cell in row] for row in rows)]
    widths = [max(_width(row[i]) for row in cells) for i in range(len(header))]
    return [
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def _width(cell: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining ones none."""
    if cell.isascii():
        return len(cell)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell
    )
