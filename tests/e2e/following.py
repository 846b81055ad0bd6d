"""`pipeline reconcile` as a process, and the lines that it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.cluster.runs import free_ports
from tests.e2e.live import LIMIT_S
from tests.e2e.workspace import Workspace

Line = dict[str, Any]


class Following:
    """A running `reconcile -e dev -o json`, told of by its documents, one a line."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.lines: list[Line] = []
        self.errors = ""
        self._read = 0
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._collect, self._drain)]
        for thread in self._threads:
            thread.start()

    def happened(self, holds: Callable[[Line], Any], what: str = "") -> Line:
        """The next line of which this holds; lines before it are done with."""
        limit = time.monotonic() + LIMIT_S
        while True:
            while self._read < len(self.lines):
                line = self.lines[self._read]
                self._read += 1
                if holds(line):
                    return line
            assert self.process.poll() is None, f"it ended: {self.lines[-3:]}\n{self.errors}"
            assert time.monotonic() < limit, f"waited in vain {what}: {self.lines[-3:]}\n{self.errors}"
            time.sleep(0.05)

    def told(self, kind: str, word: str = "") -> Line:
        """The next happening of a kind, with this in its message."""
        return self.happened(lambda line: line.get("kind") == kind and word in line["message"], kind)

    def deployed(self, revision: str, result: str = "ok") -> Line:
        """The report of the next deploy of a commit."""
        return self.happened(
            lambda line: (
                "result" in line and line["revision"]["sha"] == revision and line["result"] == result
            ),
            f"for {revision} to be {result}",
        )

    def looks(self, times: int = 2) -> None:
        """Return when it has looked so often and nothing was in its way."""
        for _ in range(times):
            before = self.health()[1]["last_success"]
            limit = time.monotonic() + LIMIT_S
            while self.health()[1]["last_success"] in (before, None):
                assert time.monotonic() < limit, f"it does not look: {self.lines[-3:]}\n{self.errors}"
                time.sleep(0.1)

    def health(self) -> tuple[int, Any]:
        return self.ask("GET", "/healthz")

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        """(status, document) of its own server, which may just be starting."""
        limit = time.monotonic() + LIMIT_S
        while True:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request(method, path, body=body or None)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            except OSError:
                assert time.monotonic() < limit, self.errors
                time.sleep(0.05)
            finally:
                connection.close()

    def send(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def ended(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """The exit code after a signal."""
        self.send(signum)
        code = self.process.wait(LIMIT_S)
        for thread in self._threads:
            thread.join(LIMIT_S)
        return code

    def memory(self) -> tuple[int, int]:
        """(resident bytes, open files)."""
        pid = self.process.pid
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def close(self) -> None:
        """After its end."""
        for thread in self._threads:
            thread.join(LIMIT_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def _drain(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line


@contextmanager
def following(
    repo: Workspace,
    *args: str,
    interval: str = "1s",
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> Iterator[Following]:
    """Start it; it is gone in the end whatever happens."""
    port = free_ports().api
    command = repo.command("-o", "json", "reconcile", "-e", "dev", "--interval", interval)
    process = subprocess.Popen(
        [*command, "--listen", f"127.0.0.1:{port}", *args],
        cwd=cwd or repo.folder,
        env=repo.variables(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Following(process, port)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        running.close()
