"""A webhook on this machine that the API server really calls: ``tls`` says how."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.tls import serving
from tests.json_server import JsonHandler

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
    calls: list[tuple[str, str, str, str]] = []

    class Handler(JsonHandler):
        def answer(self, sent: Any) -> tuple[int, Any]:
            request, path = sent["request"], self.path.partition("?")[0]
            name = request.get("name") or (request["object"]["metadata"].get("generateName") or "")
            calls.append((path, request["kind"]["kind"], request.get("namespace", ""), name))
            return 200, {k: sent[k] for k in ("apiVersion", "kind")} | {"response": _answer(path, request)}

    with serving(folder, names, Handler) as address:
        yield Webhooks(port=address.port, ca_bundle=address.ca_bundle, calls=calls)


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
