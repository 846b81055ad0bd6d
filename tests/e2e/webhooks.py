"""A webhook on this machine that the API server really calls, by the name of a Service.

The API server reaches a Service of type ExternalName under that name, and ``localhost`` through the local
cluster's way out. So a bundle's webhook Service has the address of this server, and a selector of the
pods that would answer.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.certificates import self_signed

SIDECAR = {"name": "injected-sidecar", "image": "proxy:1.0"}


@dataclass(slots=True)
class Webhooks:
    """What was asked: (path of the webhook, kind, namespace, name), in order."""

    port: int
    ca_bundle: str
    calls: list[tuple[str, str, str, str]] = field(default_factory=list)

    def asked(self, path: str) -> set[str]:
        """``Kind/name`` of all that a webhook was asked about."""
        return {f"{kind}/{name}" for called, kind, _, name in self.calls if called == path}


@contextmanager
def answering_webhooks(folder: Path, names: list[str]) -> Iterator[Webhooks]:
    """Allow everything, over TLS for these host names; what is asked at ``/inject`` gets a sidecar."""
    certificate, key = self_signed(names)
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)
    webhooks = Webhooks(port=0, ca_bundle=base64.b64encode(certificate).decode())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request, path = review["request"], self.path.partition("?")[0]
            name = request.get("name") or (request["object"]["metadata"].get("generateName") or "")
            webhooks.calls.append((path, request["kind"]["kind"], request.get("namespace", ""), name))
            review = {k: review[k] for k in ("apiVersion", "kind")} | {"response": _answer(path, request)}
            body = json.dumps(review).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    webhooks.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield webhooks
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(path: str, request: Any) -> Any:
    response = {"uid": request["uid"], "allowed": True}
    if path != "/inject":
        return response
    patch = [{"op": "add", "path": "/spec/containers/-", "value": SIDECAR}]
    return {
        **response,
        "patchType": "JSONPatch",
        "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
    }
