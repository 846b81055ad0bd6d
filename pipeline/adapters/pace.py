"""How many requests are under way at once: as many as allowed, fewer while the server cannot keep up, more
where it is far away.

What is under way to a server 50 ms off is mostly on the road: there, four times as many keep it as busy. A
server that is asked too much answers 429, or ever later. Both shrink the number, a run of good answers lets
it grow again (additive increase, multiplicative decrease, as in TCP).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

FEWEST = 2
THROTTLED = 0.5
SLOWED = 0.9
SLOW_S = 1.0
"""Answers that take longer, and this many times longer than the quickest ones, are a queue: ours."""
SLOW_TIMES = 10.0
NEAR_S = 0.0125
"""An answer as quick as this is that of a server near by; twice as slow allows twice as many at once, """
FARTHEST = 4
"""up to so many times."""
REST_S = 1.0  # between two reductions: what is under way was sent before the first


class Pace:
    """Thread-safe. ``most`` is what the user allows near by (``deploy.parallelism``)."""

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._base = max(most, FEWEST)
        self._allowed = float(self._base)
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._busy = 0
        self._quickest_s = float("inf")
        self._answered = 0
        self._reduced = float("-inf")

    @property
    def allowed(self) -> int:
        """How many may be under way now."""
        return int(self._allowed)

    @property
    def _most(self) -> int:
        far = min(max(self._quickest_s / NEAR_S, 1.0), FARTHEST) if self._answered else 1.0
        return round(self._base * far)

    def turn(self) -> Turn:
        """Waits for a place; leave it by ``with``."""
        with self._changed:
            while self._busy >= int(self._allowed):
                self._changed.wait()
            self._busy += 1
        return Turn(self, self._monotonic())

    def done(self, status: int, seconds: float) -> None:
        """A place is free again. ``status`` 0: there was no answer."""
        with self._changed:
            self._busy -= 1
            if status:
                self._learn(status, seconds)
            self._changed.notify()

    def _learn(self, status: int, seconds: float) -> None:
        if status == 429:
            self._reduce(THROTTLED)
            return
        was = self._most
        self._answered += 1
        self._quickest_s = min(self._quickest_s, seconds)
        if self._allowed == was:
            self._allowed = float(self._most)  # how far it is becomes known with the first answers
            self._changed.notify_all()
        if seconds > max(SLOW_S, SLOW_TIMES * self._quickest_s):
            self._reduce(SLOWED)
        elif self._allowed < self._most:
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
            self._changed.notify()

    def _reduce(self, factor: float) -> None:
        now = self._monotonic()
        if now - self._reduced < REST_S:
            return
        self._reduced = now
        self._allowed = max(float(FEWEST), self._allowed * factor)


class Turn:
    """One request's place."""

    def __init__(self, pace: Pace, started: float) -> None:
        self._pace = pace
        self._started = started
        self._status = 0

    def answered(self, status: int) -> None:
        self._status = status

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pace.done(self._status, self._pace._monotonic() - self._started)
