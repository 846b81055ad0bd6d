"""An HTTP server on loopback that answers from a script, for what a real API server does rarely."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from pipeline.adapters.cluster import KubeCluster
from pipeline.adapters.connection import Connection


@dataclass
class Reply:
    """One answer. ``reset`` drops the connection instead; ``cut`` does so after the body; ``silent`` never
    sends anything. ``meanwhile`` is what happens before."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    cut: bool = False
    silent: bool = False
    meanwhile: Callable[[], None] = lambda: None


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Script:
    """Replies in order, the last one for ever; remembers the requests."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[Request] = []
        self.server = ""
        self.ended = threading.Event()

    def says(self, *replies: Reply) -> None:
        self.replies = list(replies)

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class FakeClock:
    """Time that passes only in sleep, which is remembered."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Login:
    """Credentials whose token changes with each renewal."""

    def __init__(self) -> None:
        self.renewals = 0

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer token-{self.renewals}"}

    def renew(self) -> None:
        self.renewals += 1


@contextmanager
def serving() -> Iterator[Script]:
    """A script with a server that follows it."""
    script = Script()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    server.daemon_threads = True
    script.server = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        script.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def open_fake(script: Script, clock: FakeClock, login: Login | None = None) -> KubeCluster:
    """Our adapter, connected to the script; it has had its first answer."""
    pool = urllib3.PoolManager(maxsize=4)
    connection = Connection(server=script.server, pool=pool, credentials=login or Login(), source="a test")
    kube = KubeCluster(connection, sleep=clock.sleep, monotonic=clock.monotonic)
    script.says(Reply(body={"gitVersion": "v1.36.3"}))
    kube.version()
    script.requests.clear()
    return kube


def status(code: int, reason: str = "", message: str = "", **details: Any) -> Reply:
    """A Status object as the API server sends it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return Reply(code, {**body, "reason": reason, "message": message, "details": details})


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            body = json.loads(text) if text else None
            script.requests.append(Request(self.command, self.path, dict(self.headers), body))
            reply = script.next()
            reply.meanwhile()
            if reply.silent:
                script.ended.wait()
            if reply.reset or reply.silent:
                self._drop()
            else:
                self._send(reply)

        def _send(self, reply: Reply) -> None:
            raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw) + (100 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(raw)
            if reply.cut:
                self.wfile.flush()
                self.close_connection = True

        def _drop(self) -> None:
            self.close_connection = True
            linger = struct.pack("ii", 1, 0)  # closing sends a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        def log_message(self, *_: Any) -> None:
            pass

    answer: Callable[[Any], None] = Handler._answer
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", answer)
    return Handler
