"""Whether a text is YAML within the composer's budgets, before anything is made of it.

A composer that stops after a quarter of a million values has made them all: a second of CPU. To look at
libyaml's events alone takes a third of that, so texts that are large enough to matter are looked at twice.
"""

from __future__ import annotations

from typing import Any, Final

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from pipeline.model.errors import Problem
from pipeline.model.objects import Origin

from .compose import (
    MAX_DEPTH,
    MAX_EXPANDED_NODES,
    MAX_NODES,
    NO_KEY,
    TOO_DEEP,
    TOO_MANY,
    WRITTEN_OUT,
    no_alias,
)

SURVEYED: Final = 100_000
"""Characters from which on a text is surveyed: fewer hold at most half as many values, 0.2 s of composing."""

LATE: Final = 50_000
"""Values before a mistake that ends the reading: after fewer of them the composer tells it, with all that is
wrong before, in 0.25 s."""

_ITEM: Final = 0  # of a sequence, or the root
_KEY: Final = 1
_VALUE: Final = 2

_Open = tuple[int, str | None, int]
"""(what comes next around an open node, its anchor, the values before it)."""


def exceeded(path: str, text: str) -> Problem | None:
    """The first budget of values, depth or aliases that a text exceeds, or the mistake after which it cannot
    be read any further, where that comes late; one that comes early is the composer's to tell.

    Raises what libyaml raises where that is the mistake.
    """
    found = _first(CParser(text))
    if found is None:
        return None
    event, code, message = found
    mark = event.start_mark
    return Problem(code=code, message=message, origin=Origin(path, mark.line + 1, mark.column + 1))


def _first(parser: Any) -> tuple[Any, str, str] | None:  # noqa: C901 - a call an event would double the time
    get_event = parser.get_event
    nodes, expanded, following = 0, 0, _ITEM
    around: list[_Open] = []
    anchors: dict[str, int] = {}
    while True:
        try:
            event = get_event()
        except (yaml.YAMLError, ValueError):
            if nodes > LATE:
                raise
            return None
        kind = type(event)
        if kind is ScalarEvent or kind is AliasEvent:
            if event.anchor is not None:
                if kind is ScalarEvent:
                    anchors[event.anchor] = 1
                elif event.anchor not in anchors:
                    is_open = any(anchor == event.anchor for _, anchor, _ in around)
                    return _late(nodes, event, "bad-alias", no_alias(event.anchor, is_open=is_open))
            if following == _KEY:
                following = _VALUE
                continue
            size = 1 if kind is ScalarEvent else anchors[event.anchor]
            expanded += size if kind is AliasEvent else 0
            nodes += size
            following = _KEY if following == _VALUE else _ITEM
            if expanded > MAX_EXPANDED_NODES:
                return event, "excessive-aliasing", WRITTEN_OUT
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            nodes += 1
            if len(around) >= MAX_DEPTH:
                return event, "too-deep", TOO_DEEP
            if following == _KEY:
                return _late(nodes, event, "bad-key", NO_KEY)
            around.append((following, event.anchor, nodes - 1))
            following = _KEY if kind is MappingStartEvent else _ITEM
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            before, anchor, counted = around.pop()
            following = _KEY if before == _VALUE else _ITEM
            if anchor is not None:
                anchors[anchor] = nodes - counted
        elif kind is DocumentStartEvent:
            anchors.clear()
        elif kind is StreamEndEvent:
            return None
        if nodes > MAX_NODES:
            return event, "too-large", TOO_MANY


def _late(nodes: int, event: Any, code: str, message: str) -> tuple[Any, str, str] | None:
    return (event, code, message) if nodes > LATE else None
