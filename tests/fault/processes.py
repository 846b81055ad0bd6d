"""The runs of a case as processes: started anew or forked, waited for, ended if they are stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fault import stacks
from tests.fault.checker import Object, Run
from tests.fault.forks import Forked, Forks

STUCK_S = 120.0  # after that a run is killed; the checker says that it took too long

_RUNNING: set[subprocess.Popen[bytes] | Forked] = set()


def end_with_us() -> None:
    """A plain kill of this process ends its runs, too: one that stopped itself would stand still for ever."""

    def end(signum: int, frame: object) -> None:
        for process in list(_RUNNING):
            process.kill()
        os._exit(128 + signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, end)


@dataclass(slots=True)
class Process:
    """A run under way, whose output goes into files: nobody has to read it meanwhile."""

    role: str
    process: subprocess.Popen[bytes] | Forked
    file: Path
    started: float

    def wait(self) -> bool:
        """Until it has ended, or stopped itself: then True."""
        limit = time.monotonic() + STUCK_S
        flags = os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        while True:
            seen = os.waitid(os.P_PID, self.process.pid, flags)
            if seen is not None:
                return seen.si_code == os.CLD_STOPPED
            if time.monotonic() > limit:
                self.process.kill()
            time.sleep(0.02)

    def goes_on(self) -> None:
        """Continue it, and wait for its end. How long it stood still is not its own doing."""
        self.started = time.time()
        self.process.send_signal(signal.SIGCONT)
        limit = time.monotonic() + STUCK_S
        while self.process.poll() is None:
            if time.monotonic() > limit:
                self.process.kill()
            time.sleep(0.02)

    def ended(self, live: Sequence[Object] | None = None) -> Run:
        code = self.process.wait()
        _RUNNING.discard(self.process)
        return Run(
            role=self.role,
            code=code,
            output=self.file.read_text(errors="replace"),
            stacks=stacks.last_in(_stacks_of(self.file)),
            started=self.started,
            ended=time.time(),
            live=live,
        )


def start(
    role: str,
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    file: Path,
    forks: Forks | None = None,
) -> Process:
    """``file`` is for both outputs of ``pipeline ARGUMENTS``."""
    started = time.time()
    with file.open("wb") as output:
        if forks:
            process: subprocess.Popen[bytes] | Forked = forks.start(
                arguments, cwd=cwd, env=env, output=output.fileno(), stacks=_stacks_of(file)
            )
        else:
            process = subprocess.Popen(
                [sys.executable, stacks.__file__, str(_stacks_of(file)), *arguments],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
    _RUNNING.add(process)
    return Process(role, process, file, started)


def _stacks_of(file: Path) -> Path:
    return file.with_suffix(".stacks")
