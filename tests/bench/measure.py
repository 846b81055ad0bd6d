"""Pairs of measurements and what is said of them: the median of their ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Work = Callable[[], object]
Clock = Callable[[], float]

MOST_PAIRS = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds of one run of each side, taken one right after the other; requests where they were counted."""

    ours_s: float
    peer_s: float
    ours_requests: int = 0
    peer_requests: int = 0


@dataclass(slots=True)
class Comparison:
    """One line of the result. ``factor`` scales the peer where it did only a part of the work."""

    what: str
    peer: str
    samples: list[Sample] = field(default_factory=list)
    factor: float = 1.0

    @property
    def ratios(self) -> list[float]:
        """Ours through the peer's, for every pair, sorted: below 1 we are faster."""
        return sorted(s.ours_s / (s.peer_s * self.factor) for s in self.samples)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    def ours_s(self) -> float:
        return statistics.median(s.ours_s for s in self.samples)

    def peer_s(self) -> float:
        return statistics.median(s.peer_s * self.factor for s in self.samples)

    def requests(self) -> tuple[int, int]:
        """Medians of what each side asked of the API server; zeros where that was not counted."""
        ours = statistics.median_low(s.ours_requests for s in self.samples)
        return ours, statistics.median_low(s.peer_requests for s in self.samples)


class Pace:
    """Says whether another pair is affordable: at most ``pairs``, and none begins after ``budget_s``.

    The first pair is always taken, so that a slow machine gets an answer, too.
    """

    def __init__(self, pairs: int, budget_s: float) -> None:
        self._pairs = pairs
        self._until = time.monotonic() + budget_s
        self._taken = 0

    def next(self) -> bool:
        affordable = self._taken < self._pairs and time.monotonic() < self._until
        self._taken += 1
        return affordable or self._taken == 1

    @property
    def ours_first(self) -> bool:
        """Who begins changes from pair to pair, so that neither always finds the caches warm."""
        return self._taken % 2 == 1


def seconds(work: Work, clock: Clock = time.perf_counter) -> float:
    """How long one call takes."""
    start = clock()
    work()
    return clock() - start


def pair(ours: Work, peer: Work, *, ours_first: bool, clock: Clock = time.perf_counter) -> Sample:
    """One run of each."""
    if ours_first:
        return Sample(seconds(ours, clock), seconds(peer, clock))
    peer_s = seconds(peer, clock)
    return Sample(seconds(ours, clock), peer_s)


def compare(
    what: str,
    peer_name: str,
    ours: Work,
    peer: Work,
    pace: Pace,
    *,
    factor: float = 1.0,
    clock: Clock = time.perf_counter,
) -> Comparison:
    """Pairs of two functions. ``time.process_time`` is for those that only compute: load costs it nothing."""
    found = Comparison(what, peer_name, factor=factor)
    while pace.next():
        found.samples.append(pair(ours, peer, ours_first=pace.ours_first, clock=clock))
    return found


def table(title: str, comparisons: Sequence[Comparison]) -> str:
    """For people and, as it is, for Markdown."""
    head = ("what", "beside", "ratio", "range", "pairs", "ours", "peer", "requests")
    rows = [head, tuple("---" for _ in head), *(_row(c) for c in comparisons)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return "\n".join([f"### {title}", "", *lines, ""])


def _row(c: Comparison) -> tuple[str, ...]:
    ours, peer = c.requests()
    return (
        c.what,
        c.peer,
        f"{c.ratio:.2f}",
        f"{c.ratios[0]:.2f} to {c.ratios[-1]:.2f}",
        str(len(c.samples)),
        f"{c.ours_s():.3g} s",
        f"{c.peer_s():.3g} s",
        f"{ours} / {peer}" if ours or peer else "",
    )
