"""A server on this machine that the API server really calls, by the name of a Service.

The API server reaches a Service of type ExternalName under that name, and ``localhost`` through the local
cluster's way out. So a Service has the address of this server, and a selector of the pods that would answer.
"""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.certificates import self_signed


@dataclass(frozen=True)
class Address:
    """Where it listens, and what its certificate is verified with."""

    port: int
    ca_bundle: str


@contextmanager
def serving(folder: Path, names: Sequence[str], handler: type[BaseHTTPRequestHandler]) -> Iterator[Address]:
    """Answer over TLS for these host names."""
    certificate, key = self_signed(names)
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Address(server.server_port, base64.b64encode(certificate).decode())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
