"""The machine's clock, and a sleep that a signal cuts short."""

from __future__ import annotations

import threading
import time

from pipeline.model.errors import InterruptedRunError


class SystemClock:
    """``ports.Clock``. ``stop`` is set by the signal handler."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise InterruptedRunError("stopped by a signal", hint="run the same command again to take over")
