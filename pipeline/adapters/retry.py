"""Which requests may be sent again, when, and for how long.

Only what cannot do harm twice: reads, server-side apply, deletion of one uid. A request that the
server turned away unread (429, no connection) may always be repeated; one whose fate is unknown
(reset, 5xx) only if its caller calls it idempotent. Everything is bounded by time, never by hope.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

T = TypeVar("T")

TOTAL_S = 30.0
"""How long one call may go on retrying; longer than an API server's restart behind a load balancer."""

FIRST_CONTACT_S = 3.0
"""The same before the server ever answered: a wrong address is told soon, a hiccup is survived."""

UNLIMITED = 1_000_000  # attempts; time is what bounds them
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0


class Again(Exception):  # noqa: N818 - not an error: a request to try again
    """One attempt failed in a way that may pass. ``error`` is raised when there is no time left.

    ``after_s`` is the server's Retry-After; ``limit`` caps the attempts where waiting rarely helps.
    """

    def __init__(self, error: Exception, *, after_s: float = 0.0, limit: int = UNLIMITED) -> None:
        super().__init__()
        self.error = error
        self.after_s = after_s
        self.limit = limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrier:
    """Runs a call until it succeeds, fails for good, or has no time left.

    ``sleep``, ``monotonic`` (seconds) and ``jitter`` (0..1) are injected; what ``sleep`` raises, a
    signal for instance, ends the call.
    """

    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    jitter: Callable[[], float] = random.random

    def run(self, attempt: Callable[[], T], *, budget_s: float) -> T:
        """The result of ``attempt``; waits grow from 0.2 to 5 s, up to half off at random."""
        deadline = self.monotonic() + budget_s
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Again),
            wait=self._wait,
            stop=lambda state: self._is_over(state, deadline),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except Again as last:
            raise last.error from last.error.__cause__

    def _wait(self, state: tenacity.RetryCallState) -> float:
        backoff = min(FIRST_WAIT_S * 2 ** (state.attempt_number - 1), LONGEST_WAIT_S)
        wait = max(backoff * (0.5 + self.jitter() / 2), _last(state).after_s)
        return float(wait)

    def _is_over(self, state: tenacity.RetryCallState, deadline: float) -> bool:
        if state.attempt_number >= _last(state).limit:
            return True
        return self.monotonic() + float(state.upcoming_sleep) > deadline


def _last(state: tenacity.RetryCallState) -> Again:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Again)  # noqa: S101 - tenacity asks only after such a failure
    return error
