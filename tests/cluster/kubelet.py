"""The face of the simulated nodes that kwok does not play: container logs.

``kubelet.py FOLDER API_PORT PORT`` serves what the API server asks a kubelet for
``kubectl logs``. What a container says follows from its pod: the annotation
``pipeline.test/log``, else the usual words of its mode. So a test chooses the evidence
that it expects to be found, without a file for it anywhere. The API server gets here,
as everywhere, by way of ``egress.py``, which this process serves as well.
"""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cluster import egress
from tests.cluster.api import Api
from tests.cluster.programs import EGRESS_SOCKET

LINES = {
    "crash": "starting\npanic: cannot open /data: no such file or directory\n",
    "fail": 'starting\nerror: migration 0042 failed: relation "orders" does not exist\n',
    "oom": "starting\nallocating cache\n",
    "unready": "starting\nlistening on :8080\nerror: database is not reachable, answering 503\n",
}
USUAL = "starting\nlistening on :8080\n"


def mode_of(pod: Any, container: Any) -> str:
    """Return the container's mode, by the rule of ``stages/mode.part``."""
    annotations = pod["metadata"].get("annotations", {})
    tag = container["image"].partition("@")[0].rpartition("/")[2].partition(":")[2]
    is_main = container in pod["spec"]["containers"]
    return str(annotations.get("pipeline.test/pod", tag) if is_main else tag)


def log_text(pod: Any, name: str) -> str:
    """Return what the container has said.

    Raises:
        LookupError: in a kubelet's words, why there is nothing to read.
    """
    spec, status = pod["spec"], pod["status"]
    container = next(
        one for one in [*spec.get("initContainers", ()), *spec["containers"]] if one["name"] == name
    )
    statuses = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    state: Any = next((one for one in statuses if one["name"] == name), {})
    waiting = state.get("state", {}).get("waiting")
    if waiting and not state.get("lastState"):
        usual = {
            "ErrImagePull": "image can't be pulled",
            "ImagePullBackOff": "trying and failing to pull image",
        }
        why = usual.get(waiting["reason"], waiting["reason"])
        raise LookupError(f'container "{name}" in pod "{pod["metadata"]["name"]}" is waiting to start: {why}')
    chosen = pod["metadata"].get("annotations", {}).get("pipeline.test/log")
    mode = mode_of(pod, container).removesuffix("-late")
    return f"{chosen.rstrip()}\n" if chosen else LINES.get(mode, USUAL)


class Kubelet(BaseHTTPRequestHandler):
    """One request of the API server."""

    api: Api

    def do_GET(self) -> None:
        """Serve /containerLogs/NAMESPACE/POD/CONTAINER; nothing else is simulated."""
        address = urlsplit(self.path)
        parts = address.path.strip("/").split("/")
        if parts[0] != "containerLogs" or len(parts) != 4:
            return self._answer(501, "a simulated node can only show logs")
        try:
            pod = self.api.call("GET", f"/api/v1/namespaces/{parts[1]}/pods/{parts[2]}")
            text = log_text(pod, parts[3])
        except LookupError as error:
            return self._answer(400, str(error))
        except OSError as error:
            return self._answer(500, str(error))
        tail = parse_qs(address.query).get("tailLines")
        if tail:
            lines = text.splitlines(keepends=True)
            text = "".join(lines[max(0, len(lines) - int(tail[0])) :])
        return self._answer(200, text)

    def _answer(self, code: int, text: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve with the API server's certificate: it does not verify a kubelet's."""
    folder, api_port, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    certificate = folder / "certs/apiserver.crt"
    token = (folder / "tokens.csv").read_text().partition(",")[0]
    Kubelet.api = Api(server=f"https://127.0.0.1:{api_port}", token=token, ca_file=certificate)
    server = ThreadingHTTPServer(("127.0.0.1", port), Kubelet)
    egress.start(Path(EGRESS_SOCKET))  # last of what can fail: the starter waits for this socket
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "certs/apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
