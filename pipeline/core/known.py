"""Values that must not be shown, found in whatever writing they turn up."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable
from urllib.parse import quote

from .escape import CLIPPED, entities, escape
from .redaction import MASK

_SHORTEST = 6
"""Values of fewer characters are not searched for: "admin" or "8080" would mask half of a log."""
_SHORTEST_INNER = 10
"""A base64 alignment drops up to two characters at each end; less than this would be found anywhere."""


def forms(value: str) -> frozenset[str]:
    """The ways in which ``value`` may turn up: as is, quoted for a URL or JSON, hex, base64 in all
    three alignments and once more, and its lines one by one. Empty where it is too short to look for.
    """
    found: set[str] = set()
    for text in {value, value.strip(), *_long_lines(value)}:
        if len(text) >= _SHORTEST:
            found |= _encoded(text)
    return frozenset(found)


def _long_lines(value: str) -> Iterable[str]:
    lines = [line.strip() for line in value.splitlines()]
    # the frame of a PEM block is no secret and stands in every certificate
    return [line for line in lines if len(line) >= _SHORTEST_INNER and not line.startswith("-----")]


def _encoded(text: str) -> set[str]:
    raw = text.encode("utf-8", "surrogatepass")
    once = base64.b64encode(raw)
    found = {text, json.dumps(text)[1:-1], quote(text, safe=""), raw.hex(), once.decode()}
    # as our own reports write it: for terminals, HTML, markdown and workflow commands
    found |= {escape(text), html.escape(text), entities(text), text.replace("%", "%25")}
    found.add(text.replace("%", "%25").replace(":", "%3A").replace(",", "%2C"))
    found |= {base64.urlsafe_b64encode(raw).decode(), base64.b64encode(once).decode()}
    for shift in (1, 2):
        # The first and last characters of such a text also depend on the neighbours: left out.
        inner = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")[shift + 1 : -1]
        if len(inner) >= _SHORTEST_INNER:
            found.add(inner)
    unpadded = once.decode().rstrip("=")[:-1]
    if len(unpadded) >= _SHORTEST_INNER:
        found.add(unpadded)
    return found


class Known:
    """An immutable set of values to be taken out of texts.

    Forms are found by their first characters: a report of a thousand objects with a hundred secrets holds
    100,000 places to look at and 2,000 forms to look for.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms = frozenset(form for value in values for form in forms(value))
        self._by_start: dict[str, list[str]] = {}
        # longest first, since one may hold another
        for form in sorted(self._forms, key=lambda form: (-len(form), form)):
            self._by_start.setdefault(form[:_SHORTEST], []).append(form)

    def remove(self, text: str) -> str:
        """``text`` without any of the values, nor the beginning of one where a text was cut short."""
        if not self._forms:
            return text
        text = self._without_forms(text)
        if CLIPPED not in text:
            return text
        head, *rest = text.split(CLIPPED)
        for part in rest:
            head = self._without_beginning(head) + CLIPPED + part
        return head

    def _without_forms(self, text: str) -> str:
        known, pieces, done, at = self._by_start, [], 0, 0
        last = len(text) - _SHORTEST
        while at <= last:
            starts = known.get(text[at : at + _SHORTEST])
            form = next((f for f in starts if text.startswith(f, at)), None) if starts else None
            if form is None:
                at += 1
                continue
            pieces += [text[done:at], MASK]
            done = at = at + len(form)
        return "".join(pieces) + text[done:] if pieces else text

    def _without_beginning(self, text: str) -> str:
        longest = 0
        for form in self._forms:
            for length in range(min(len(form), len(text)), max(longest, _SHORTEST - 1), -1):
                if text.endswith(form[:length]):
                    longest = length
                    break
        return text[: len(text) - longest] + MASK if longest else text
