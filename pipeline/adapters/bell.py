"""Wakes the main thread from its wait: by a signal, or from another thread.

A pipe and not a ``threading.Event``: its lock is not to be taken in a signal handler while the main thread
holds it. Python writes the byte itself, and the wait sees it whatever came first.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress


class PipeBell:
    """``ports.Bell``; ``catch`` makes signals ring it."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)

    def ring(self) -> None:
        """From any thread. A full pipe is one that rings already."""
        with suppress(BlockingIOError):
            os.write(self._writing, b"\0")

    def catch(self) -> None:
        """From now on every signal that has a handler rings, and SIGHUP has one: it does nothing else."""
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, lambda *_: None)

    def wait(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._reading], [], [], max(0.0, seconds))
        if ready:
            with suppress(BlockingIOError):
                while os.read(self._reading, 4096):
                    pass
        return bool(ready)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._reading)
        os.close(self._writing)
