"""Events, found by what they are about. Both APIs' spellings are read (core/v1, events.k8s.io/v1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

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

    @property
    def told(self) -> str:
        """The message with how often it was said, where that was more than once."""
        return f"{self.message} ({self.count} times)" if self.count > 1 else self.message


class EventIndex:
    """Events by the uid of their object, oldest first; those that say the same are one with a count.

    The order in which they came in does not matter: not of equal times, and not twice.
    """

    def __init__(self, events: Iterable[Object]) -> None:
        self._found: Mapping[str, list[Happening]] = {
            uid: sorted(_joined(same), key=_order) for uid, same in _by_object(events).items()
        }

    def about(self, uid: str, *reasons: str) -> list[Happening]:
        """The events about one object, oldest first; of these reasons where any is given."""
        happenings = self._found.get(uid, []) if uid else []
        return [h for h in happenings if not reasons or h.reason in reasons]


def _by_object(events: Iterable[Object]) -> dict[str, list[Happening]]:
    """An event that came in twice, under both APIs or in two states, counts in its newest one."""
    newest: dict[str, Happening] = {}
    found: dict[str, list[Happening]] = {}
    for event in events:
        happening, own = _read(event), text(event, "metadata", "uid")
        if not own:
            found.setdefault(happening.about, []).append(happening)
        elif own not in newest or _order(newest[own]) < _order(happening):
            newest[own] = happening
    for happening in newest.values():
        found.setdefault(happening.about, []).append(happening)
    return found


def _joined(happenings: Iterable[Happening]) -> list[Happening]:
    joined: dict[tuple[str, str, str, bool], Happening] = {}
    for one in happenings:
        key = (one.reason, one.message, one.container, one.is_warning)
        before = joined.get(key)
        joined[key] = (
            replace(one, at=max(one.at, before.at), count=one.count + before.count) if before else one
        )
    return list(joined.values())


def _order(happening: Happening) -> tuple[float, int, str, str, str, bool]:
    """Total, so that nothing depends on how a list came in."""
    return (
        happening.at,
        happening.count,
        happening.reason,
        happening.message,
        happening.container,
        happening.is_warning,
    )


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
