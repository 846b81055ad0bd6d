"""Events, found by what they are about. Both APIs' spellings are read (core/v1, events.k8s.io/v1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.core.reading import number, seconds, text
from pipeline.model.objects import Object, get_path

_TEXT = 600  # characters: an event may hold 1 KiB, and a scheduler's list of nodes fills it


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event, reduced to what decides. ``at`` is its last time in seconds since 1970, 0 if unknown."""

    about: str
    reason: str
    message: str
    at: float
    count: int
    container: str
    is_warning: bool


class EventIndex:
    """Events by the uid of their object, oldest first."""

    def __init__(self, events: Iterable[Object]) -> None:
        found: dict[str, list[Happening]] = {}
        for event in events:
            happening = _read(event)
            found.setdefault(happening.about, []).append(happening)
        self._found: Mapping[str, list[Happening]] = {
            uid: sorted(happenings, key=lambda h: (h.at, h.reason, h.message))
            for uid, happenings in found.items()
        }

    def about(self, uid: str, *reasons: str) -> list[Happening]:
        """The events about one object, oldest first; of these reasons where any is given."""
        happenings = self._found.get(uid, []) if uid else []
        return [h for h in happenings if not reasons or h.reason in reasons]


def one_line(message: str) -> str:
    """A cluster's words for a sentence of ours: blanks joined, cut to a length people read."""
    flat = " ".join(message.split())
    return flat if len(flat) <= _TEXT else flat[: _TEXT - 1] + "…"


def _read(event: Object) -> Happening:
    about = "involvedObject" if "involvedObject" in event else "regarding"
    times = [
        seconds(get_path(event, *path))
        for path in (
            ("series", "lastObservedTime"),
            ("lastTimestamp",),
            ("deprecatedLastTimestamp",),
            ("eventTime",),
            ("firstTimestamp",),
        )
    ]
    path = re.search(r"\{([^}]*)\}", text(event, about, "fieldPath"))
    return Happening(
        about=text(event, about, "uid"),
        reason=text(event, "reason"),
        message=one_line(text(event, "message") or text(event, "note")),
        at=max((time for time in times if time is not None), default=0.0),
        count=max(
            1, number(event, "count"), number(event, "series", "count"), number(event, "deprecatedCount")
        ),
        container=path.group(1) if path else "",
        is_warning=text(event, "type") == "Warning",
    )
