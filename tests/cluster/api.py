"""The few calls of the Kubernetes API that the local cluster and its tests need."""

import base64
import json
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CALL_TIMEOUT_S = 10.0  # a call to this machine that takes longer is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One user's access to one API server."""

    server: str
    token: str
    ca_file: Path

    def call(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Any:
        """Send one request; return the decoded answer, or its text if it is not JSON.

        Raises:
            OSError: no answer, or (as ``urllib.error.HTTPError``) one that says no.
        """
        request = urllib.request.Request(
            self.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": content},
        )
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        # No proxy: the machine's proxy settings are not meant for loopback.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        with opener.open(request, timeout=CALL_TIMEOUT_S) as answer:
            text = answer.read().decode()
            is_json = answer.headers.get_content_type() == "application/json"
        return json.loads(text) if is_json else text

    def holds(self, path: str, condition: Callable[[Any], bool] = bool) -> bool:
        """Whether reading ``path`` succeeds now and its answer meets the condition."""
        try:
            return condition(self.call("GET", path))
        except OSError:
            return False


def kubeconfig(server: str, ca_pem: bytes, token: str, user: str) -> str:
    """Return a kubeconfig with one context, ``pipeline-local``.

    As JSON, which is YAML too. The certificate is inside: the file works wherever it is
    copied to, for as long as the cluster runs.
    """
    name = "pipeline-local"
    authority = base64.b64encode(ca_pem).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return json.dumps(config, indent=2) + "\n"
