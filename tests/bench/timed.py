"""One command as a process: how long, how much processor time, how much memory."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KIB_PER_MIB = 1024  # ru_maxrss counts KiB on Linux


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a command took. ``cpu_s`` and ``peak_mib`` include the processes that it waited for.

    A new process inherits the peak of the one that started it: ``peak_mib`` is at least ``floor_mib``,
    ours, and says nothing where both are equal.
    """

    seconds: float
    cpu_s: float
    peak_mib: float
    floor_mib: float
    code: int
    stopped: bool
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.stopped

    @property
    def peak(self) -> str:
        """For people."""
        return f"{'≤ ' if self.peak_mib <= self.floor_mib else ''}{self.peak_mib:.0f}"

    @property
    def last_words(self) -> str:
        lines = [line for line in (self.stdout + "\n" + self.stderr).splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else "no output"


def run(command: Sequence[str], *, env: Mapping[str, str], cwd: Path, limit_s: float) -> Run:
    """Run to the end, or for ``limit_s`` seconds; then it and what it started are killed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        stopped = threading.Event()
        timer = threading.Timer(limit_s, _stop, (process.pid, stopped))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _stop(process.pid, stopped)
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)  # Popen must not wait for it again
        out.seek(0)
        err.seek(0)
        return Run(
            seconds=seconds,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_mib=usage.ru_maxrss / KIB_PER_MIB,
            floor_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB,
            code=process.returncode,
            stopped=stopped.is_set(),
            stdout=out.read(),
            stderr=err.read(),
        )


def _stop(pid: int, stopped: threading.Event) -> None:
    stopped.set()
    try:
        os.killpg(pid, signal.SIGKILL)  # a session of its own: the group has its number
    except ProcessLookupError:
        stopped.clear()  # it ended in this very moment
