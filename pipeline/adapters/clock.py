"""The machine's clock, and a sleep that a signal cuts short."""

from __future__ import annotations

import threading
import time

from pipeline.model.errors import InterruptedRunError

_PAUSE_AFTER_SIGNAL_S = 0.5


class SystemClock:
    """``ports.Clock``. ``stop`` is set by the signal handler."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait between two tries of a request; a signal cuts it short.

        It does not raise: the request may be the one that records the interruption or gives up the lock.
        """
        if self._stop.is_set():
            time.sleep(min(seconds, _PAUSE_AFTER_SIGNAL_S))
        else:
            self._stop.wait(seconds)

    def sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise InterruptedRunError("stopped by a signal", hint="run the same command again to take over")
