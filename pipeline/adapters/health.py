"""Answers ``GET /healthz`` and ``POST /hook`` while a process stays.

Who calls the hook only makes us look sooner than we would: what it sends is taken and thrown away. The
number of callers at once is bounded, as is the time that each is given.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from typing import Any

from pipeline.model.errors import UnreachableError

CALLERS = 16
PATIENCE_S = 5.0
HOOKS = 10
BODY = 25 * 1024 * 1024
"""Bytes of a hook that are taken before it is answered: the most that GitHub sends. A sender whose bytes
nobody takes sees a broken connection in place of the answer."""
HOOK_S = 1.0
"""So many calls of the hook at once, and one more after each such time."""

_NOTHING_HERE = {"error": "there are GET /healthz and POST /hook"}

Health = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Whether all is well, and the document that says so."""


class Bucket:
    """A rate limit."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._left, self._at = float(HOOKS), monotonic()

    def take(self) -> bool:
        """False where there were too many of late."""
        with self._lock:
            now = self._monotonic()
            self._left = min(float(HOOKS), self._left + (now - self._at) / HOOK_S)
            self._at = now
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


class HealthServer:
    """Listens from ``with`` on. ``ring`` is called for every hook, since too many are still news.

    Raises:
        UnreachableError: the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        health: Health,
        ring: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        try:
            self._server = _Server(host, port, health, ring, Bucket(monotonic))
        except OSError as error:
            raise UnreachableError(
                f"listen on {host}:{port}: {error.strerror or error}", hint="choose another --listen"
            ) from error
        self.port: int = self._server.server_port

    def __enter__(self) -> HealthServer:
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # whoever dawdles does not keep the process from ending
    request_queue_size = 16

    def __init__(
        self, host: str, port: int, health: Health, ring: Callable[[], None], bucket: Bucket
    ) -> None:
        self.health, self.ring, self.bucket = health, ring, bucket
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self._room = threading.Semaphore(CALLERS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """A caller that went away is nobody's trouble."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE_S
    server_version = "pipeline"
    sys_version = ""

    def do_GET(self) -> None:
        if self._path() == "/healthz":
            well, document = self.server.health()
            self._answer(200 if well else 503, document)
        else:
            self._answer(404, _NOTHING_HERE)

    do_HEAD = do_GET  # noqa: N815 - the library's names

    def do_POST(self) -> None:
        if self._path() != "/hook":
            self._answer(404, _NOTHING_HERE)
            return
        self.server.ring()
        self._drain()
        if self.server.bucket.take():
            self._answer(202, {"looks": "now"})
        else:
            self._answer(429, {"looks": "soon"})

    def _drain(self) -> None:
        length = self.headers.get("Content-Length", "")
        left = min(int(length), BODY) if length.isascii() and length.isdigit() else 0
        until = time.monotonic() + PATIENCE_S
        with suppress(OSError):
            while left > 0 and time.monotonic() < until:
                taken = len(self.rfile.read1(min(left, 65536)))
                if not taken:
                    return
                left -= taken

    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _answer(self, status: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode() + b"\n"
        with suppress(OSError):
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Callers are no news."""
