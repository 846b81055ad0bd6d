"""Which requests may be sent again, for which causes, when, and for how long.

Only what cannot do harm twice: reads, server-side apply, deletion of one uid. A request that the
server turned away unread (429, no connection) may always be repeated; one whose fate is unknown
(reset, 5xx) only if its caller calls it idempotent. Everything is bounded by time, never by hope.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import tenacity

T = TypeVar("T")

TOTAL_S = 30.0
"""How long one call may go on retrying; longer than an API server's restart behind a load balancer."""

FIRST_CONTACT_S = 3.0
"""The same before the server ever answered: a wrong address is told soon, a hiccup is survived."""

AFTER_SIGNAL_S = 1.0
"""The same once a signal arrived: what remains is to record that and to give up the lock, and GitHub Actions
ends a cancelled job after 7.5 s."""

UNLIMITED = 1_000_000  # attempts; time is what bounds them
SHORT_LIMIT = 3  # attempts at an internal error
SCHEMA_LIMIT = 8  # attempts, ten seconds: a definition that was just changed is served a moment later
LONGEST_RETRY_AFTER_S = 20.0
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0

_ETCD = re.compile(
    r"etcdserver(?!: request is too large)|leader changed|storage is \(re\)initializing", re.IGNORECASE
)
"""An election or an overload of etcd passes; an object does not become smaller."""

_WEBHOOK_STARTING = re.compile(
    r"failed calling webhook.*(connection refused|no endpoints available|i/o timeout|EOF"
    r"|deadline exceeded|no route to host|connection reset|certificate)",
    re.IGNORECASE | re.DOTALL,
)
"""A webhook that nobody serves yet, or whose certificate is not in place yet."""

_OLD_SCHEMA = re.compile(r"field not declared in schema|strict decoding error: unknown field")
"""After a dry run accepted the object, or a definition of the same plan: the old schema answers still."""

_ACCOUNT_PENDING = "error looking up service account"
"""A bare pod in a new namespace: the controller makes the account `default` a moment later."""


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

    ``sleep``, ``monotonic`` (seconds), ``stopped`` (by a signal) and ``jitter`` (0..1) are injected; what
    ``sleep`` raises ends the call.
    """

    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    stopped: Callable[[], bool] = lambda: False
    jitter: Callable[[], float] = random.random

    def run(self, attempt: Callable[[], T], *, budget_s: float) -> T:
        """The result of ``attempt``; waits grow from 0.2 to 5 s, up to half off at random."""
        try:
            return attempt()  # nearly every call: it need not pay for the loop
        except Again as first:
            return self._go_on(first, attempt, budget_s)

    def _go_on(self, first: Again, attempt: Callable[[], T], budget_s: float) -> T:
        began = self.monotonic()
        failed = [first]

        def again() -> T:
            if failed:
                raise failed.pop()
            return attempt()

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Again),
            wait=self._wait,
            stop=lambda state: self._is_over(state, began, budget_s),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(again)
        except Again as last:
            raise last.error from last.error.__cause__

    def _wait(self, state: tenacity.RetryCallState) -> float:
        backoff = min(FIRST_WAIT_S * 2 ** (state.attempt_number - 1), LONGEST_WAIT_S)
        wait = max(backoff * (0.5 + self.jitter() / 2), _last(state).after_s)
        return float(wait)

    def _is_over(self, state: tenacity.RetryCallState, began: float, budget_s: float) -> bool:
        if state.attempt_number >= _last(state).limit:
            return True
        spent_s = self.monotonic() - began
        if self.stopped():  # the pause will be short, whatever was meant
            return spent_s > min(budget_s, AFTER_SIGNAL_S)
        return spent_s + float(state.upcoming_sleep) > budget_s


def _last(state: tenacity.RetryCallState) -> Again:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Again)  # noqa: S101 - tenacity asks only after such a failure
    return error


def attempts_worth(status: int, answer: Mapping[str, Any], *, idempotent: bool, patient: bool) -> int:
    """How often a refusal is worth asking for again; 1: it will not change.

    ``answer`` is the Status object, empty where there is none; ``patient`` a write of a plan that was
    accepted: what it meets now is mostly something that the same plan is just bringing up.
    """
    if status == 429:
        return UNLIMITED
    if not idempotent:
        return 1
    if status >= 500:
        return _after_server_error(status, answer, patient=patient)
    if patient and status == 400 and _OLD_SCHEMA.search(str(answer.get("message", ""))):
        return SCHEMA_LIMIT
    return UNLIMITED if patient and _comes_soon(status, answer) else 1


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a Retry-After header, capped; 0 without one. API servers send seconds, never a date."""
    try:
        seconds = float(headers.get("Retry-After", 0))
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _after_server_error(status: int, answer: Mapping[str, Any], *, patient: bool) -> int:
    """An internal error may be a webhook that is down, and half a minute rarely mends it, but where the
    plan itself may be starting it; a 500 without a reason is a patch that fits no schema."""
    message, reason = str(answer.get("message", "")), answer.get("reason")
    if status in (502, 503, 504) or reason in ("ServerTimeout", "Timeout") or _ETCD.search(message):
        return UNLIMITED
    if status != 500:
        return 1
    if patient and _WEBHOOK_STARTING.search(message):
        return UNLIMITED
    if patient and _OLD_SCHEMA.search(message):
        return SCHEMA_LIMIT
    return SHORT_LIMIT if reason == "InternalError" else 1


def _comes_soon(status: int, answer: Mapping[str, Any]) -> bool:
    details = answer.get("details")
    about = details if isinstance(details, dict) else {}
    message = str(answer.get("message", ""))
    match status:
        case 403:
            causes = [c.get("reason") for c in about.get("causes") or [] if isinstance(c, dict)]
            return "NamespaceTerminating" in causes or _ACCOUNT_PENDING in message
        case 404:  # of the path, not of an object: the kind is not served yet
            return not about.get("name")
        case 409:  # two writers met in a quota's count; nothing was decided about our object
            return about.get("kind") == "resourcequotas"
        case _:
            return False
