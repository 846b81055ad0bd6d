"""What is in a namespace, told so that two moments can be compared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.core.compare import compare
from tests.e2e.workspace import CORE, WITH_STATUS, Workspace

LIMIT_S = 40.0  # for what takes a second or two: no test is about speed

KINDS = (*CORE, *WITH_STATUS)
VOLATILE = ("resourceVersion", "generation", "managedFields", "uid", "creationTimestamp")
OF_THE_CLUSTER = ("configmaps/kube-root-ca.crt", "serviceaccounts/default")
COUNTED = ("deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation")


def snapshot(repo: Workspace) -> dict[str, Any]:
    """Every object as its owners wrote it, with who owns which field; status and versions are left out."""
    found = {}
    for kind in KINDS:
        for item in repo.get(kind)["items"]:
            name = f"{kind}/{item['metadata']['name']}"
            if not name.startswith("secrets/pipeline.") and name not in OF_THE_CLUSTER:
                found[name] = {"object": _wanted(item), "owners": owners(item)}
    return found


def changed(before: dict[str, Any], repo: Workspace) -> list[str]:
    """What is not as it was: objects, fields and owners, one line each."""
    return [
        f"{unlike.place.path}: {unlike.before} → {unlike.after}" for unlike in compare(before, snapshot(repo))
    ]


def owners(item: Any) -> dict[str, Any]:
    """The fields of the object itself by manager; controllers' own bookkeeping is left out."""
    entries = (e for e in item["metadata"].get("managedFields", ()) if not e.get("subresource"))
    found = {f"{e['manager']} ({e['operation']})": e["fieldsV1"] for e in entries}
    return {name: owned for name, owned in found.items() if not name.startswith("kube-controller-manager")}


def _wanted(item: Any) -> Any:
    meta = {k: v for k, v in item["metadata"].items() if k not in VOLATILE}
    annotations = {k: v for k, v in meta.pop("annotations", {}).items() if k not in COUNTED}
    if annotations:
        meta["annotations"] = annotations
    return {**{k: v for k, v in item.items() if k != "status"}, "metadata": meta}


def ready_images(repo: Workspace) -> list[str]:
    """The images of the pods that are ready, each once."""
    return sorted(
        {
            container["image"]
            for pod in repo.get("pods")["items"]
            if any(
                c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ())
            )
            for container in pod["spec"]["containers"]
        }
    )


def until(holds: Callable[[], Any], what: str = "") -> Any:
    """The first true value of ``holds``."""
    limit = time.monotonic() + LIMIT_S
    while not (value := holds()):
        assert time.monotonic() < limit, f"waited in vain {what}"
        time.sleep(0.05)
    return value


def line_of(text: str, marker: str) -> int:
    """The number of the first line that holds ``marker``."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if marker in line)


@contextmanager
def answering(status: int) -> Iterator[str]:
    """The URL of a server on this machine that gives every request this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
