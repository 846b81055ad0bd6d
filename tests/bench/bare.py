"""The speed of light: server-side PATCHes of prepared bodies, then looks at all Deployments until they stand.

``python -P bare.py KUBECONFIG OBJECTS AT_ONCE`` knows no order but Namespaces first, no plan, no
record and no way back. Whoever does more cannot be much faster on the same machine.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOK_S = 0.5
CALL_S = 60.0
SERVER_SIDE = "application/apply-patch+yaml"  # of which JSON is a part
DEPLOYMENTS = "/apis/apps/v1/deployments"
_PLURALS = {
    "Namespace": "namespaces",
    "ServiceAccount": "serviceaccounts",
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "Service": "services",
    "Deployment": "deployments",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One user's way to one API server."""

    host: str
    port: int
    trust: ssl.SSLContext
    token: str

    @classmethod
    def read(cls, path: Path) -> Access:
        """From a kubeconfig of the local cluster, which is JSON."""
        config = json.loads(path.read_text())
        cluster = config["clusters"][0]["cluster"]
        address = urlsplit(cluster["server"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(
            host=address.hostname or "",
            port=address.port or 443,
            trust=ssl.create_default_context(cadata=authority),
            token=config["users"][0]["user"]["token"],
        )

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.host, self.port, context=self.trust, timeout=CALL_S)


@dataclass(frozen=True, slots=True)
class Patch:
    """One object to apply."""

    path: str
    body: bytes


def patch_of(body: dict[str, Any]) -> Patch:
    """Address and body of one of the set's objects."""
    group = "/apis/apps/v1" if body["apiVersion"] == "apps/v1" else "/api/v1"
    meta = body["metadata"]
    place = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    path = f"{group}{place}/{_PLURALS[body['kind']]}/{meta['name']}?fieldManager=bench-bare&force=true"
    return Patch(path, json.dumps(body).encode())


def is_available(deployment: dict[str, Any]) -> bool:
    """The new revision, all of it, and nothing else."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def send_all(access: Access, patches: Iterable[Patch], at_once: int) -> None:
    """Apply all, ``at_once`` in flight, each over a connection that is kept.

    Raises:
        RuntimeError: the server refused one.
    """
    rest, lock = iter(patches), threading.Lock()
    refusals: list[str] = []
    threads = [
        threading.Thread(target=_lane, args=(access, rest, lock, refusals), daemon=True)
        for _ in range(at_once)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refusals:
        raise RuntimeError(refusals[0])


def _lane(access: Access, rest: Iterator[Patch], lock: threading.Lock, refusals: list[str]) -> None:
    connection = access.connect()
    try:
        while not refusals:
            with lock:
                patch = next(rest, None)
            if patch is None:
                return
            _call(connection, access, "PATCH", patch.path, patch.body)
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        refusals.append(str(error) or type(error).__name__)
    finally:
        connection.close()


def wait_until_available(access: Access, least: int) -> None:
    """Look at every Deployment of the cluster, twice a second, until all of them stand."""
    connection = access.connect()
    while True:
        found = json.loads(_call(connection, access, "GET", DEPLOYMENTS))["items"]
        if len(found) >= least and all(is_available(one) for one in found):
            return
        time.sleep(LOOK_S)


def _call(
    connection: http.client.HTTPSConnection, access: Access, method: str, path: str, body: bytes | None = None
) -> bytes:
    headers = {"Authorization": f"Bearer {access.token}", "Content-Type": SERVER_SIDE}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:200].decode(errors='replace')}")
    return text


def main(kubeconfig: str, objects: str, at_once: str) -> None:
    """Apply and wait."""
    access = Access.read(Path(kubeconfig))
    bodies = [json.loads(line) for line in Path(objects).read_text().splitlines()]
    first = [patch_of(b) for b in bodies if b["kind"] == "Namespace"]
    others = [patch_of(b) for b in bodies if b["kind"] != "Namespace"]
    send_all(access, first, int(at_once))
    send_all(access, others, int(at_once))
    wait_until_available(access, sum(b["kind"] == "Deployment" for b in bodies))


if __name__ == "__main__":
    main(*sys.argv[1:])
