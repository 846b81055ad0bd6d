"""A proxy before the real API server that answers some requests wrongly, late, twice, or not at all.

    with FaultyServer(cluster, folder) as faulty:
        faulty.does(ResetAfter(), verb="patch", resource="configmaps")
        repo.environ["KUBECONFIG"] = str(faulty.kubeconfig(token))

Everything else passes unchanged, so that what a client then does is done to the real server, whose audit
log tells it. Loopback only; it ends with the ``with``.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.certificates import self_signed
from tests.cluster.api import kubeconfig
from tests.cluster.local import LocalCluster
from tests.fault.faults import Exchange, Fault, Forward

FORWARD = Forward()
UPSTREAM_S = 300.0  # longer than any watch
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, in the terms of the audit log."""

    verb: str
    resource: str
    namespace: str
    name: str
    is_dry_run: bool

    @classmethod
    def of(cls, method: str, target: str, body: bytes) -> Asked:
        url = urlsplit(target)
        query = parse_qs(url.query)
        parts = [part for part in url.path.split("/") if part]
        parts = parts[2:] if parts[:1] == ["api"] else parts[3:]  # /api/v1, /apis/GROUP/VERSION
        namespace = ""
        if parts[:1] == ["namespaces"] and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        name = parts[1] if len(parts) > 1 else ""
        verb = _VERBS.get(method) or ("watch" if "watch" in query else "get" if name else "list")
        is_dry_run = "dryRun" in query or (method == "DELETE" and b'"dryRun"' in body)
        return cls(
            verb=verb, resource="/".join(parts[:1] + parts[2:]), namespace=namespace, name=name,
            is_dry_run=is_dry_run,
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Rule:
    """Which requests a fault meets: of those that fit, all from number ``first`` on, ``times`` of them.

    An empty ``verb``, ``resource``, ``namespace`` or ``name`` fits all. ``met`` counts.
    """

    fault: Fault
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    dry_run: bool = False
    first: int = 1
    times: int = 1
    fitted: int = 0
    met: int = 0

    def meets(self, asked: Asked) -> bool:
        fits = all(
            wanted in ("", found)
            for wanted, found in (
                (self.verb, asked.verb),
                (self.resource, asked.resource),
                (self.namespace, asked.namespace),
                (self.name, asked.name),
            )
        )
        if not fits or self.dry_run != asked.is_dry_run:
            return False
        self.fitted += 1
        if not self.first <= self.fitted < self.first + self.times:
            return False
        self.met += 1
        return True


@dataclass(slots=True, kw_only=True)
class Sometimes(Rule):
    """Meets a share of all requests, as chance decides."""

    share: float
    chance: random.Random

    def meets(self, asked: Asked) -> bool:
        is_met = self.chance.random() < self.share
        self.met += is_met
        return is_met


@dataclass(slots=True)
class FaultyServer:
    """``folder`` is for its certificate and its kubeconfigs."""

    cluster: LocalCluster
    folder: Path
    rules: list[Rule] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None
    _upstreams: set[http.client.HTTPSConnection] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def does(self, fault: Fault, **where: Any) -> Rule:
        """From now on; see ``Rule``. The first rule that meets a request decides."""
        rule = Rule(fault=fault, **where)
        with self._lock:
            self.rules.append(rule)
        return rule

    def kubeconfig(self, token: str, name: str = "faulty") -> Path:
        """Access by way of this proxy with somebody's token."""
        path = self.folder / f"kubeconfig-{name}"
        path.touch(mode=0o600)
        path.write_text(kubeconfig(self.address, (self.folder / "tls.crt").read_bytes(), token, name))
        return path

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        certificate, key = self_signed(["127.0.0.1"])
        (self.folder / "tls.crt").write_bytes(certificate)
        (self.folder / "tls.key").write_bytes(key)
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
        self._server = _Listener(("127.0.0.1", 0), _handler(self))
        self._server.socket = trust.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server
        assert self._thread
        self.ended.set()
        self._server.shutdown()
        for connection in list(self._upstreams):  # watches whose client is gone know nothing of that yet
            if connection.sock:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.server_close()

    def fault_for(self, asked: Asked) -> Fault:
        with self._lock:
            return next((rule.fault for rule in self.rules if rule.meets(asked)), FORWARD)

    @contextlib.contextmanager
    def upstream(self) -> Iterator[http.client.HTTPSConnection]:
        trust = ssl.create_default_context(cafile=str(self.cluster.ca_file))
        url = urlsplit(self.cluster.server)
        connection = http.client.HTTPSConnection(
            str(url.hostname), url.port, context=trust, timeout=UPSTREAM_S
        )
        self._upstreams.add(connection)
        try:
            yield connection
        finally:
            self._upstreams.discard(connection)
            connection.close()


class _Listener(ThreadingHTTPServer):
    """Waits at its end for the connections that are open: clients are gone by then."""

    daemon_threads = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def _handler(server: FaultyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with server.upstream() as self.upstream:
                super().handle()

        def finish(self) -> None:
            with contextlib.suppress(OSError):  # the connection may be reset already
                super().finish()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked.of(self.command, self.path, body)
            exchange = Exchange(self, self.upstream, body, server.ended, is_watch=asked.verb == "watch")
            try:
                server.fault_for(asked).answer(exchange)
            except (OSError, http.client.HTTPException):
                self.close_connection = True  # the server went away, or the client: nothing to say
            if self.close_connection:
                self.upstream.close()

        def log_message(self, *_: Any) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._answer)
    return Handler
