"""A signal stops what waits, wherever the main thread is when it comes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from pipeline.adapters.clock import Stop, SystemClock
from pipeline.model.errors import InterruptedRunError

ROOT = Path(__file__).parents[3]

SIGNALLED = """
import os, signal
from pipeline.wiring import App

app = App()
app.catch_signals()
with app.stop._event._cond:  # as within wait(), for a moment
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass
print("asked" if app.stop.is_set() else "not asked")
print("heard" if app.stop.wait(5) else "not heard")
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_a_signal_that_comes_while_the_events_own_lock_is_held_is_heard() -> None:
    done = run(SIGNALLED)
    assert (done.returncode, done.stdout.split("\n")[:2]) == (0, ["asked", "heard"]), done.stderr


def test_the_second_signal_ends_the_process() -> None:
    done = run(SIGNALLED + "os.kill(os.getpid(), signal.SIGINT)\nprint('still here')\n")
    assert done.returncode == 50
    assert "still here" not in done.stdout


HANGING = """
import os, signal, time
from pipeline import wiring

wiring.LAST_WORD_S = 0.2
wiring.App().catch_signals()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(20)
print("still here")
"""


def test_what_does_not_end_by_itself_after_a_signal_is_ended_with_one_line() -> None:
    done = run(HANGING)
    assert (done.returncode, done.stdout) == (50, "")
    assert done.stderr.splitlines() == [
        "error: stopped by a signal; what was under way did not end in time: the next run takes it over"
    ]


FULL = """
import os

os.set_blocking(2, False)
try:
    while os.write(2, b"x" * 4096):
        pass
except BlockingIOError:
    os.set_blocking(2, True)
"""


def test_it_is_ended_though_nobody_reads_that_line() -> None:
    """A pipe that is full must not make it wait once more."""
    command = [sys.executable, "-c", FULL + HANGING]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert process.wait(30) == 50
    finally:
        process.kill()
        process.communicate()


def test_what_waits_is_woken() -> None:
    stop, woken = Stop(), threading.Event()
    clock = SystemClock(stop)

    def wait() -> None:
        with pytest.raises(InterruptedRunError):
            clock.sleep(60)
        woken.set()

    threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.05)
    stop.set()
    assert woken.wait(10)


def test_nothing_is_stopped_before_it_is_asked() -> None:
    stop = Stop()
    assert (stop.is_set(), stop.wait(0.01)) == (False, False)
    stop.set()
    assert stop.is_set()
    assert stop.wait(0.01)
