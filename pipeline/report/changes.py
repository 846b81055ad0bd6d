"""The changes of a plan as all texts show them: which ones, and what is said of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from pipeline.core.escape import one_line
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Action, Change, Plan, Reversible

from .words import SIGNS, count, field_line, label, shown

SHOWN = 50
"""Changes that one reads before a deploy, one by one; the JSON document has all. A gut feeling."""

_KINDS = 30
_NAMES = 20
_RANK = {Action.DELETE: 0, Action.RECREATE: 1, Action.UPDATE: 2, Action.CREATE: 3, Action.KEEP: 4}


def most_telling(
    plan: Plan, first: Collection[ObjectRef] = (), limit: int = SHOWN
) -> tuple[list[Change], list[Change]]:
    """At most ``limit`` writes in order, and those that are left out.

    Where not all find room: ``first``, then what is lost for good, then deletions before what is merely new.
    """

    def rank(change: Change) -> tuple[bool, bool, int]:
        return change.ref not in first, change.reversible is not Reversible.ONE_WAY, _RANK[change.action]

    def order(change: Change) -> tuple[int, ObjectRef]:
        return change.wave, change.ref

    writes = sorted(plan.writes, key=order)
    ranked = sorted(writes, key=rank)  # stable: among equals the order stays
    return sorted(ranked[:limit], key=order), ranked[limit:]


def rest_lines(rest: Collection[Change]) -> list[str]:
    """How many changes of which kind are not shown; none where all are."""
    if not rest:
        return []
    found = Counter((change.action, change.ref.kind) for change in rest)
    kinds = [
        f"{SIGNS[action]} {action} {number} {one_line(kind)}"
        for (action, kind), number in sorted(found.items(), key=lambda item: (_RANK[item[0][0]], item[0][1]))
    ]
    return [f"… and {count(len(rest), 'more change')}; -o json shows all:", *shown(kinds, _KINDS)]


def why(change: Change) -> str:
    """The reason in a few words, and whether it is a hook or takes an object over; may be empty."""
    words = [f"{change.hook} hook"] if change.hook else []
    if change.reason and change.reason != f"a {change.hook} hook":
        words.append(change.reason)
    if change.takes_over and not change.note:
        words.append("taken over from other tools")
    return one_line(", ".join(words))


def change_line(change: Change) -> str:
    """``wave 2  ~ update Deployment/demo/web (environments/dev/manifests/web.yaml:1)``."""
    origin = f" ({one_line(change.origin)})" if change.origin else ""
    telling = change.hook or change.action in (Action.DELETE, Action.RECREATE)
    reason = f": {why(change)}" if telling and why(change) else ""
    return f"wave {change.wave}  {SIGNS[change.action]} {change.action} {label(change.ref)}{origin}{reason}"


def change_details(change: Change, limit: int) -> list[str]:
    """At most ``limit`` lines of field changes, then the note."""
    lines = shown([field_line(f) for f in change.fields], limit)
    return [*lines, f"note: {one_line(change.note)}"] if change.note else lines


def names(changes: Iterable[Change]) -> str:
    """The objects of some changes on one line; empty where there are none."""
    return ", ".join(shown([label(change.ref) for change in changes], _NAMES))
