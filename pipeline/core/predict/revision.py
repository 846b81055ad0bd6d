"""Whether a workload is about to make pods of a new revision."""

from __future__ import annotations

from pipeline.core.predict import quantity
from pipeline.core.predict.facts import Workload
from pipeline.model.objects import Json, Object, get_path

_POD = ("", "Pod")
_JOB = ("batch", "Job")


def renews(workload: Workload, live: Object | None) -> bool:
    """True where it is new, or where its template asks for something that the live one has not.

    What is only left out of the template goes unseen: the live one holds defaults, too.
    """
    if live is None:
        return True
    if workload.ref.group_kind in (_POD, _JOB):
        return False  # pods of these are never replaced by an update
    template = workload.path[:-1]
    return not _has(get_path(live, *template), get_path(workload.manifest.body, *template))


def _has(live: Json, wanted: Json) -> bool:
    if wanted is None or wanted == live:
        return True
    if isinstance(wanted, dict):
        known = live if isinstance(live, dict) else {}
        return all(_has(known.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        known_items = live if isinstance(live, list) else []
        return len(known_items) == len(wanted) and all(map(_has, known_items, wanted))
    # The server writes quantities its own way: 1000m becomes 1.
    amount = quantity.parse(wanted)
    return amount is not None and amount == quantity.parse(live)
