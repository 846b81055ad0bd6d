"""Named points of a run at which it can be told to die, stop or stumble: how recovery is tested.

``PIPELINE_FAILPOINT=NAME:ACTION[:N]`` acts when the point is passed the N-th time, default 1; ``every``
stands for all points. Before a signal a line on stderr tells of it. Off, which is always but in tests, a
point costs one comparison with None. The idea and the word are FreeBSD's fail(9); etcd's robustness tests
use it in the same way.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.model.errors import UsageError

VARIABLE = "PIPELINE_FAILPOINT"


class Point(StrEnum):
    """In the order of a run. ``pre`` and ``post`` are before and after what the name says was durable."""

    START = "start"
    GIT_OPEN = "git-open"
    CONFIG_READ = "config-read"
    PROMOTE_READ = "promote-read"
    TOKEN_POST = "token-post"  # noqa: S105 - not a password
    FETCH_PRE = "fetch-pre"
    FETCH_POST = "fetch-post"
    DIFF_POST = "diff-post"
    PROMOTE_WRITE = "promote-write"
    RENDER_PRE = "render-pre"
    RENDER_MID = "render-mid"
    DISCOVERY_POST = "discovery-post"
    VALIDATE_POST = "validate-post"
    NAMESPACE_POST = "namespace-post"
    PLAN_POST = "plan-post"
    LOCK_PRE = "lock-pre"
    LOCK_POST = "lock-post"
    RENEW_MID = "renew-mid"
    TRIM_MID = "trim-mid"
    INTENT_PRE = "intent-pre"
    RECORD_MID = "record-mid"
    INTENT_POST = "intent-post"
    TAKEOVER_POST = "takeover-post"
    APPLY_PRE = "apply-pre"
    WRITE_SENT = "write-sent"
    APPLY_POST = "apply-post"
    RECREATE_MID = "recreate-mid"
    CRD_WAIT = "crd-wait"
    WATCH_OPEN = "watch-open"
    WATCH_EVENT = "watch-event"
    GATE_PASS = "gate-pass"  # noqa: S105 - not a password
    PRUNE_LIST = "prune-list"
    PRUNE_DELETE_PRE = "prune-delete-pre"
    PRUNE_DELETE_POST = "prune-delete-post"
    HEALTH_MID = "health-mid"
    RESULT_PRE = "result-pre"
    RESULT_POST = "result-post"
    ROLLBACK_START = "rollback-start"
    ROLLBACK_OBJECT = "rollback-object"
    ROLLBACK_POST = "rollback-post"
    ROLLBACK_RECORD = "rollback-record"
    UNLOCK_PRE = "unlock-pre"
    UNLOCK_POST = "unlock-post"
    REPORT_WRITE = "report-write"
    EXIT = "exit"


EVERY = "every"
_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
_LOST_AT = frozenset({Point.WRITE_SENT})
_ACTIONS = "kill, term, stop, raise, say, sleep=SECONDS, lost-reply"


class FailpointError(Exception):
    """What the action ``raise`` raises: as a mistake of ours would, it is no PipelineError."""


class LostReplyError(ConnectionResetError):
    """What ``lost-reply`` raises: the server has done it, and nobody hears of it."""


@dataclass(slots=True)
class _Armed:
    """What is to happen, where, and when. ``passings`` counts on all threads: ``next`` of it is atomic."""

    point: str
    action: str
    seconds: float
    nth: int
    passings: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def passed(self, point: Point) -> None:
        if self.point not in (EVERY, point) or not self._is_due():
            return
        if self.action in _SIGNALS:
            _say(point)  # who is killed can tell nobody afterwards that it came by
            _signal_self(_SIGNALS[self.action])
        elif self.action == "sleep":
            time.sleep(self.seconds)
        elif self.action == "say":
            _say(point)
        elif self.action == "raise":
            raise FailpointError(f"failpoint {point}")
        else:
            raise LostReplyError(f"failpoint {point}")

    def _is_due(self) -> bool:
        return self.action == "say" or next(self.passings) == self.nth


def _signal_self(signum: signal.Signals) -> None:
    """A stop is for this thread first, with which the others stop: to take one that is for the process, Linux
    wakes the main thread, and until that has a processor this one goes on past its point."""
    if signum is signal.SIGSTOP:
        signal.pthread_kill(threading.get_ident(), signum)
    else:
        os.kill(os.getpid(), signum)


def _say(point: Point) -> None:
    with suppress(OSError):  # nobody listens
        os.write(2, f"failpoint {point}\n".encode())


_armed: _Armed | None = None


def passing(point: Point) -> None:
    """The run is here."""
    if _armed is not None:
        _armed.passed(point)


def arm(text: str) -> None:
    """Set what ``VARIABLE`` says; an empty text disarms. UsageError where it says nothing that there is."""
    global _armed  # noqa: PLW0603 - one of a process, like the variable
    _armed = _parsed(text) if text else None


def _parsed(text: str) -> _Armed:
    point, _, rest = text.partition(":")
    action, _, nth = rest.partition(":")
    action, _, seconds = action.partition("=")
    if point not in {EVERY, *Point}:
        raise _wrong(text, f"there is no point {point!r}", f"the points are {EVERY}, {', '.join(Point)}")
    lost = action == "lost-reply" and point in _LOST_AT
    timed = action == "sleep" and seconds.replace(".", "", 1).isdecimal()
    if not (lost or timed or (action in {*_SIGNALS, "raise", "say"} and not seconds)):
        hint = f"the actions are {_ACTIONS} (the last at {', '.join(_LOST_AT)} only)"
        raise _wrong(text, f"{point} has no action {rest!r}", hint)
    if nth and not (nth.isdecimal() and int(nth) > 0):
        raise _wrong(text, f"{nth!r} is no number of a passing", "count from 1")
    return _Armed(point, action, float(seconds or 0), int(nth or 1))


def _wrong(text: str, why: str, hint: str) -> UsageError:
    return UsageError(f"{VARIABLE}={text}: {why}", hint=hint)
