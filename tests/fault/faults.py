"""What can happen to a request on its way to an API server and back."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})
_HELD_S = 0.3  # how long an event waits for another that overtakes it


@dataclass(slots=True)
class Exchange:
    """One request that came in whole, and the server that it was meant for."""

    client: BaseHTTPRequestHandler
    server: http.client.HTTPSConnection
    body: bytes
    ended: threading.Event
    is_watch: bool

    def ask(self) -> http.client.HTTPResponse:
        """The server's answer; it has done the work by then."""
        headers = {k: v for k, v in self.client.headers.items() if k.lower() not in _HOP_BY_HOP}
        self.server.request(self.client.command, self.client.path, self.body or None, headers)
        return self.server.getresponse()

    def reply(self, status: int, headers: Mapping[str, str], body: bytes, *, length: int = -1) -> None:
        """``length``: another than the body's, which then never comes whole."""
        self.head(status, headers | {"Content-Length": str(len(body) if length < 0 else length)})
        self.client.wfile.write(body)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.client.send_response_only(status)
        for name, value in headers.items():
            self.client.send_header(name, value)
        self.client.end_headers()

    def stream(self, answer: http.client.HTTPResponse, lines: Iterator[bytes]) -> None:
        """A watch, chunk by chunk, and its proper end."""
        self.head(answer.status, kept(answer) | {"Transfer-Encoding": "chunked"})
        try:
            for line in lines:
                self.client.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.client.wfile.write(b"0\r\n\r\n")
        finally:
            shut(answer)  # whatever it would still have said
            self.server.close()

    def hang_up(self) -> None:
        """Close the connection in an orderly way, whatever was promised."""
        self.client.wfile.flush()
        self.client.close_connection = True

    def reset(self) -> None:
        """As a server that crashed, or a load balancer that lost its table."""
        linger = struct.pack("ii", 1, 0)  # closing sends a reset
        self.client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        os.close(self.client.connection.detach())
        self.client.close_connection = True


def shut(answer: http.client.HTTPResponse) -> None:
    """End the answer, also for a thread that is reading it: it holds the lock that ``close`` needs."""
    with contextlib.suppress(OSError, AttributeError):
        answer.fp.raw._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # there is no other way to it
    answer.close()


class Fault(Protocol):
    """One way to treat a request."""

    def answer(self, exchange: Exchange) -> None: ...


def kept(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {k: v for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP}


def _lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while line := answer.readline():
        yield line


class _Arriving:
    """Lines as they come, for who will not wait for ever."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer
        self._queue: queue.Queue[bytes] = queue.Queue()
        self._is_over = False
        threading.Thread(target=self._read, daemon=True).start()

    def next_within(self, seconds: float | None) -> bytes:
        """Empty where none comes in that time, or the watch is over."""
        if self._is_over or (seconds is not None and seconds <= 0):
            return b""
        try:
            line = self._queue.get(timeout=seconds)
        except queue.Empty:
            return b""
        self._is_over = not line
        return line

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            for line in _lines(self._answer):
                self._queue.put(line)
        self._queue.put(b"")


class Forward:
    """No fault."""

    def answer(self, exchange: Exchange) -> None:
        answer = exchange.ask()
        if exchange.is_watch and answer.status == 200:
            exchange.stream(answer, self.lines(exchange, answer))
        else:
            exchange.reply(answer.status, kept(answer), answer.read())

    def lines(self, exchange: Exchange, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """What comes through of a watch."""
        return _lines(answer)


@dataclass(frozen=True, slots=True)
class Refuse:
    """The server does not do it, and says so with a Status, or with nothing that a client could read."""

    status: int
    reason: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def answer(self, exchange: Exchange) -> None:
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": self.status,
            "reason": self.reason,
            "message": self.message,
        }
        if self.details:
            body["details"] = dict(self.details)
        headers = {"Content-Type": "application/json", **self.headers}
        exchange.reply(self.status, headers, json.dumps(body).encode())


class ResetBefore:
    """The request is lost: the server never saw it."""

    def answer(self, exchange: Exchange) -> None:
        exchange.reset()


class ResetAfter:
    """The reply is lost: the server has done it."""

    def answer(self, exchange: Exchange) -> None:
        answer = exchange.ask()
        if exchange.is_watch:
            shut(answer)
            exchange.server.close()
        else:
            answer.read()
        exchange.reset()


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing comes back, not even an end; the server never saw it."""

    seconds: float = 300.0

    def answer(self, exchange: Exchange) -> None:
        exchange.ended.wait(self.seconds)
        exchange.reset()


class Truncated:
    """The server has done it; its answer breaks off in the middle."""

    def answer(self, exchange: Exchange) -> None:
        answer = exchange.ask()
        body = answer.read()
        exchange.reply(answer.status, kept(answer), body[: len(body) // 2], length=len(body))
        exchange.hang_up()


class Garbage:
    """The server has done it; something on the way answers in its place, with success and nonsense."""

    def answer(self, exchange: Exchange) -> None:
        exchange.ask().read()
        exchange.reply(200, {"Content-Type": "text/html"}, b"<html>welcome to the captive portal</html>")


@dataclass(frozen=True, slots=True)
class Slow:
    """The server has done it at once; its answer comes in so many seconds, piece by piece."""

    seconds: float

    def answer(self, exchange: Exchange) -> None:
        answer = exchange.ask()
        body = answer.read()
        exchange.head(answer.status, kept(answer) | {"Content-Length": str(len(body))})
        pieces = [body[at : at + 64] for at in range(0, len(body), 64)]
        for piece in pieces:
            time.sleep(self.seconds / len(pieces))
            exchange.client.wfile.write(piece)


# --- what happens to a watch


@dataclass(frozen=True, slots=True)
class EndAfter(Forward):
    """The watch ends properly after so many seconds, as behind an impatient load balancer."""

    seconds: float

    def lines(self, exchange: Exchange, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        limit = time.monotonic() + self.seconds
        arriving = _Arriving(answer)
        while line := arriving.next_within(limit - time.monotonic()):
            yield line


@dataclass(frozen=True, slots=True)
class Gone(Forward):
    """After so many events: 410, too old. The rest is never told."""

    events: int

    def lines(self, exchange: Exchange, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        for _, line in zip(range(self.events), _lines(answer), strict=False):
            yield line
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        yield json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Stall(Forward):
    """After so many events nothing comes any more, not even an end."""

    events: int
    seconds: float = 300.0

    def lines(self, exchange: Exchange, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        for _, line in zip(range(self.events), _lines(answer), strict=False):
            yield line
        exchange.ended.wait(self.seconds)


@dataclass(frozen=True, slots=True)
class Noise(Forward):
    """After so many events a line that is none, and the end."""

    events: int

    def lines(self, exchange: Exchange, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        for _, line in zip(range(self.events), _lines(answer), strict=False):
            yield line
        yield b'{"type":"MODIFIED","object":{"metadata":\n'


class Again(Forward):
    """Every event comes twice, and all that came before once more after each: duplicated and stale."""

    def lines(self, exchange: Exchange, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        seen: list[bytes] = []
        for line in _lines(answer):
            yield line
            yield line
            yield from seen[-20:]
            seen.append(line)


class Swapped(Forward):
    """Every second event is overtaken by the one behind it, if that comes soon."""

    def lines(self, exchange: Exchange, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        arriving = _Arriving(answer)
        while line := arriving.next_within(None):
            overtaking = arriving.next_within(_HELD_S)
            if overtaking:
                yield overtaking
            yield line
