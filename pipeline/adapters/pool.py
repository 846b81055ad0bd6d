"""The connections of one API server: each asks before it sends; to a distant one they are opened ahead."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions as http_errors

from .connection import Connection
from .heads import Reply
from .pace import NEAR_S

ROUND_TRIPS = 2
"""To open a connection: one for TCP, one for TLS 1.3."""
OPENING_S = 10.0
FAR_S = 2 * NEAR_S * ROUND_TRIPS


def nothing() -> None:
    """The fence of a call that needs none."""


class Sending(threading.local):
    """What this thread has to ask before what it sends next, and when it last sent something."""

    fence: Callable[[], None] = staticmethod(nothing)
    sent = float("inf")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic

    @property
    def ago_s(self) -> float:
        """Seconds since then."""
        return self.monotonic() - self.sent


class Ahead:
    """Where the first connection took long, as many more as a deploy uses at once are opened meanwhile. Else
    each burst of requests that is larger than those before it waits for two round trips more."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._pool: urllib3.HTTPConnectionPool | None = None

    def serve(self, pool: urllib3.HTTPConnectionPool) -> None:
        """Open them in this pool. A proxy has a handshake of its own: there, nothing is opened ahead."""
        self._pool = None if pool.proxy else pool

    def opened(self, seconds: float) -> None:
        """A connection was opened, and took so long."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is None or seconds < FAR_S:
            return
        # All are taken before the first one is given back: else who comes late finds that one. urllib3 has no
        # public way to this.
        for connection in [pool._get_conn() for _ in range(self._count - 1)]:
            # As daemons: whoever is done does not wait for connections that nobody uses.
            of = pool, connection
            threading.Thread(target=_open_one, args=of, name="opening", daemon=True).start()


def _open_one(pool: urllib3.HTTPConnectionPool, connection: Any) -> None:
    # What fails here fails again, and is told, where it is needed.
    with suppress(http_errors.HTTPError, OSError):
        connection.timeout = OPENING_S
        try:
            if connection.is_closed:
                connection.connect()
        finally:
            pool._put_conn(connection)


def _has_a_ticket(sock: object) -> bool:
    """With TLS 1.3 a server begins with tickets for later sessions, when it likes. Unread, they look as if it
    had closed the connection. Whoever uses it next sets the time-out anew."""
    if not isinstance(sock, ssl.SSLSocket):
        return False
    sock.setblocking(False)
    try:
        sock.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        pass
    return False  # its end, or what nobody asked for


def pool_of(
    connection: Connection, sending: Sending, ahead: Ahead
) -> tuple[urllib3.PoolManager | urllib3.HTTPConnectionPool, str]:
    """(where requests go, what stands before their paths). The one pool of the one server, rather than a
    look-up for each request; a proxy that wants whole URLs gets them from the manager."""
    server = urlsplit(connection.server)
    if server.scheme != "https" and isinstance(connection.pool, urllib3.ProxyManager):
        return connection.pool, connection.server
    pool = connection.pool.connection_from_url(connection.server)
    pool.ConnectionCls = _asking(pool.ConnectionCls, sending, ahead)
    ahead.serve(pool)
    return pool, server.path.rstrip("/")


def _asking(kind: type[Any], sending: Sending, ahead: Ahead) -> type[Any]:
    """Connections that ask right before they hand bytes to the network, of the head and of the body: to wait
    for a free one, to connect and to put a request together takes time in which a lock may be lost, the more
    so as threads wait for each other. A request that comes without its body the server refuses.

    A TLS handshake whose time is over is told as what it is, a connection that was not made: urllib3 takes it
    for a request that was not answered. It is what a process finds that was stopped in the middle of one.
    """

    def connect(self: Any) -> None:
        started = time.monotonic()
        try:
            kind.connect(self)
        except TimeoutError as error:
            raise http_errors.ConnectTimeoutError(self, "the handshake took too long") from error
        ahead.opened(time.monotonic() - started)

    def send(self: Any, data: Any) -> None:
        if self.is_closed:
            self.connect()
        sending.fence()
        sending.sent = sending.monotonic()
        kind.send(self, data)

    def is_connected(self: Any) -> bool:
        return bool(kind.is_connected.fget(self)) or _has_a_ticket(self.sock)

    members = {
        "connect": connect,
        "send": send,
        "is_connected": property(is_connected),
        "response_class": Reply,
    }
    return type(f"Asking{kind.__name__}", (kind,), members)
