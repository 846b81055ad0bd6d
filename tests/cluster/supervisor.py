"""Run a cluster's programs and end them, whatever happens to whoever asked for them.

``supervisor.py FOLDER`` is a process between the starter (a test run, which may be
killed at any time) and the programs. Three things end the programs: the starter closes
the pipe to our standard input; the starter's process is gone, which counts even while a
fork of it holds the pipe open; or we are gone ourselves, for which each program asks the
kernel for a SIGKILL on its parent's death. That signal follows the *thread* that started
the program, hence this process: its only thread lives as long as it does, which no
thread of a test run promises.

FOLDER/programs.json maps names to commands. Standard input has one command a line,
``start NAME`` or ``kill NAME``. A program that ends by itself leaves FOLDER/NAME.ended.
At the end the whole FOLDER is removed. We inherit FOLDER/lock, locked, and keep it: a
folder whose lock is free belongs to nobody, and the next start removes it.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
# What a program gets of our environment. Not proxy settings, which the API server would
# follow off this machine, nor anyone's credentials, nor what else could change its ways.
KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
POLL_MS = 100  # how soon a program that ended is noticed

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Supervisor:
    """The programs of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def obey(self, line: str) -> None:
        """Carry out one command; when it returns, a killed program is gone."""
        action, name = line.split()
        if action == "kill":
            self.kill(name)
        else:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a program, with its output in a file of its own."""
        command = json.loads((self.folder / "programs.json").read_text())[name]
        ended = self.folder / f"{name}.ended"
        ended.unlink(missing_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  there is one thread here, and must be
            )

    def kill(self, name: str) -> None:
        """End a program at once. Nothing here is worth an orderly end."""
        process = self.running.pop(name, None)
        if process:
            process.kill()
            process.wait()

    def note_ended(self) -> None:
        """Leave word of each program that ended by itself."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                del self.running[name]
                (self.folder / f"{name}.ended").write_text(f"{process.returncode}\n")

    def end(self) -> None:
        """End all programs, newest first, and remove every trace."""
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def environment(folder: Path) -> dict[str, str]:
    """Return a program's environment, whose home is the folder: kwok reads settings there."""
    return {**{name: os.environ[name] for name in KEPT if name in os.environ}, "HOME": f"{folder}"}


def _die_with_parent() -> None:
    """Runs in the new process, before the program."""
    if _LIBC:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(supervisor: Supervisor, starter: int) -> None:
    """Obey until the starter has no more to say or is gone."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
    if hasattr(os, "pidfd_open"):
        poll.register(os.pidfd_open(starter), select.POLLIN)
    pending = b""
    while True:
        ready = {number for number, _ in poll.poll(POLL_MS)}
        if ready - {sys.stdin.fileno()}:
            return
        if ready:
            received = os.read(sys.stdin.fileno(), 65536)
            if not received:
                return
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                supervisor.obey(line.decode())
        supervisor.note_ended()


def main() -> None:
    """Serve the folder that the command line names."""
    folder = Path(sys.argv[1])
    starter = os.getppid()
    # A terminal's Ctrl-C is the starter's to answer; it then closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Turns SIGTERM into an exception, so that the programs end and the folder goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    supervisor = Supervisor(folder)
    try:
        serve(supervisor, starter)
    finally:
        supervisor.end()


if __name__ == "__main__":
    main()
