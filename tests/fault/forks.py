"""Runs that are forked from a process which has loaded the program: a start then costs 30 ms, not 500.

    with Forks() as forks:
        run = forks.start(["deploy", "-e", "dev"], cwd=folder, env=variables, output=file.fileno())

For a run it is as if it had been started anew: a process of its own with its own arguments, variables, folder
and output, that ends as the interpreter ends, and is our child, so that we are told when it stops itself.
What no fork shows is a run that dies while its modules are being loaded, before its first instruction.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fault.stacks import write_when_late

ROOT = Path(__file__).parents[2]
REQUEST_BYTES = 200_000
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2): whose parent ends becomes our child


class Forked:
    """What `subprocess.Popen` tells of a process, of one that somebody else started for us."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._reaped(os.WNOHANG)

    def wait(self) -> int:
        code = self._reaped(0)
        assert code is not None, "waitpid without WNOHANG came back without an end"
        return code

    def _reaped(self, flags: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, flags)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that has loaded the program, until the end of the ``with``. Of one thread, so that it may
    fork."""

    def __enter__(self) -> Self:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._lock = threading.Lock()
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * REQUEST_BYTES)
        with theirs:
            self._loaded = subprocess.Popen(
                [sys.executable, "-m", "tests.fault.forks", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # as of a run whose output goes into a file: no terminal
                pass_fds=[theirs.fileno()],
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self._loaded.wait()

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        output: int,
        stacks: Path | None = None,
    ) -> Forked:
        """``output`` is the descriptor for both outputs, ``stacks`` a file for ``tests.fault.stacks``."""
        asked = {"arguments": [*arguments], "cwd": str(cwd), "env": dict(env), "stacks": str(stacks or "")}
        request = json.dumps(asked).encode()
        with self._lock:
            socket.send_fds(self._ours, [request], [output])
            answer = self._ours.recv(64)
        if not answer:
            raise RuntimeError("the process that has loaded the program has ended")
        return Forked(int(answer))


LATE = ("git", "kubernetes.client.rest", "kubernetes.config", "rich.console", "rich.live", "structlog")
"""Packages of others that a run loads only where it needs them, as every deploy does."""


def _load() -> None:
    """All modules of the program, also those that a run loads late or never."""
    package = importlib.import_module("pipeline")
    for module in pkgutil.walk_packages(package.__path__, "pipeline."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    gc.freeze()  # what a fork shares it need not copy


def _serve(requests: socket.socket) -> bool:
    """Fork for each request, until there are no more. True in a process that is to be the run."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 1)
        if not request:
            return False
        told, tell = os.pipe()
        between = os.fork()
        if between:
            os.close(tell)
            os.close(descriptors[0])
            os.waitpid(between, 0)  # from now on the run is the child of who asked
            with os.fdopen(told, "rb") as pid:
                requests.send(pid.read())
            continue
        run = os.fork()
        if run:
            os.write(tell, str(run).encode())
            os._exit(0)
        os.close(told)
        os.close(tell)
        _become(json.loads(request), descriptors[0])
        return True


def _become(request: Mapping[str, object], output: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(str(request["cwd"]))
    env, arguments = request["env"], request["arguments"]
    assert isinstance(env, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["pipeline", *arguments]
    if request["stacks"]:
        write_when_late(Path(str(request["stacks"])))


def main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    _load()
    is_run = _serve(requests)
    requests.close()
    if is_run:
        runpy.run_module("pipeline", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
