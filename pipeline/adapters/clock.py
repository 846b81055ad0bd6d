"""The machine's clock, and a sleep that a signal cuts short."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable
from typing import Protocol

from pipeline.model.errors import InterruptedRunError

_PAUSE_AFTER_SIGNAL_S = 0.5


class Stopping(Protocol):
    """What of a ``threading.Event`` a clock needs."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Stop:
    """An event that a signal handler may set.

    A handler runs on the main thread, wherever that is: also while it holds the lock of the very event, in
    ``wait``, and then to set it there would wait for itself for ever. So another thread does it; it is
    started without the ``threading`` module, whose locks the main thread may hold as well.
    """

    def __init__(self) -> None:
        self._asked = False
        self._event = threading.Event()

    def set(self) -> None:
        self._asked = True
        _thread.start_new_thread(self._event.set, ())

    @staticmethod
    def afterwards(seconds: float, act: Callable[[], object]) -> None:
        """Do so after that time, should the process still be there. For a signal handler, too."""

        def wait() -> None:
            time.sleep(seconds)
            act()

        _thread.start_new_thread(wait, ())

    def is_set(self) -> bool:
        return self._asked

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set; False where the time was over before."""
        return self._event.wait(timeout) or self._asked


class SystemClock:
    """``ports.Clock``. ``stop`` is set by the signal handler."""

    def __init__(self, stop: Stopping) -> None:
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
