"""The API server's way out ends at this machine, and nothing else of ours leaves it."""

import base64
import json
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import egress
from tests.cluster.local import LocalCluster
from tests.cluster.supervisor import Supervisor
from tests.cluster.test_local import (
    create_pod,
    kubectl,
    pod_spec,
    until,
    watch_pod,
)
from tests.json_server import JsonHandler

NOWHERE = "10.128.0.9"  # simulated pods have such addresses; nothing here may be sent to one
REFUSAL = egress.REFUSED.partition(" ")[2]


@pytest.fixture
def way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of a proxy of the test's own."""
    monkeypatch.chdir(tmp_path)  # as the programs do: the name is short
    path = Path("egress.sock")
    server = egress.start(path)
    yield path
    server.shutdown()
    server.server_close()


@pytest.fixture
def echo() -> Iterator[int]:
    """A port of loopback on which one connection gets back what it sent, once it has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                received = b"".join(iter(lambda: connection.recv(4096), b""))
                connection.sendall(received)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def connect(path: Path, to: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(path))
    connection.sendall(f"CONNECT {to} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return connection


def answer_of(path: Path, to: str) -> str:
    with connect(path, to) as connection, connection.makefile("rb") as answer:
        return answer.readline().decode().strip()


@pytest.mark.parametrize(
    "host",
    [NOWHERE, "8.8.8.8", "0.0.0.0", "127.1", "[fd00::1]", "[::ffff:10.128.0.9]", "example.com", "localhost."],
)
def test_what_is_not_on_loopback_is_refused_unsent(
    way_out: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    asked: list[Any] = []

    def never(address: Any, *_: Any) -> None:
        asked.append(address)
        raise OSError("no test sends anything there")

    monkeypatch.setattr(socket, "create_connection", never)

    assert answer_of(way_out, f"{host}:443") == f"HTTP/1.1 {egress.REFUSED}"
    assert asked == []


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("127.9.9.9:80", ("127.9.9.9", 80)),
        ("localhost:443", ("127.0.0.1", 443)),
        ("[::1]:8443", ("::1", 8443)),
    ],
)
def test_loopback_is_reached_by_address_and_by_its_name(asked: str, meant: tuple[str, int]) -> None:
    assert egress.destination(f"CONNECT {asked} HTTP/1.1") == meant


@pytest.mark.parametrize("line", ["", "GET / HTTP/1.1", "CONNECT 127.0.0.1 HTTP/1.1", "CONNECT 127.0.0.1:x"])
def test_another_request_is_answered_as_bad(line: str) -> None:
    with pytest.raises(egress.RefusedError, match=r"^400 "):
        egress.destination(line)


def test_tunnel_passes_bytes_both_ways_after_one_side_has_ended(way_out: Path, echo: int) -> None:
    sent = bytes(range(256)) * 4096

    with connect(way_out, f"127.0.0.1:{echo}") as connection, connection.makefile("rb") as answer:
        head = [answer.readline(), answer.readline()]
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = answer.read()

    assert head == [b"HTTP/1.1 200 OK\r\n", b"\r\n"]
    assert received == sent


def test_closed_port_is_told_in_the_words_of_a_direct_connection(way_out: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        told = answer_of(way_out, f"127.0.0.1:{port}")

    assert told == f"HTTP/1.1 502 dial tcp 127.0.0.1:{port}: connect: connection refused"


def test_programs_get_no_proxy_settings_and_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "http_proxy", "ALL_PROXY", "AWS_SECRET_ACCESS_KEY", "KUBECONFIG"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    tell = "import json, os; print(json.dumps(dict(os.environ)))"
    (tmp_path / "programs.json").write_text(json.dumps({"tell": [sys.executable, "-c", tell]}))
    supervisor = Supervisor(tmp_path)

    supervisor.start("tell")
    supervisor.running["tell"].wait()

    told = json.loads((tmp_path / "tell.log").read_text())
    assert told["HOME"] == str(tmp_path)
    assert "192.0.2.1" not in str(told)


@pytest.mark.cluster
def test_service_proxy_to_a_simulated_pod_names_the_refusal(cluster: LocalCluster, namespace: str) -> None:
    create_pod(cluster, namespace, "web", {}, **pod_spec("nginx:1.25"))
    labels = {"metadata": {"labels": {"app": "web"}}}
    base = f"/api/v1/namespaces/{namespace}"
    cluster.api.call("PATCH", f"{base}/pods/web", labels, "application/merge-patch+json")
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    cluster.api.call("POST", f"{base}/services", service)
    address = watch_pod(cluster, namespace, "web", lambda status: "podIP" in status)["podIP"]

    told = until(
        lambda: kubectl(cluster, "get", "--raw", f"{base}/services/web:80/proxy/").stderr,
        lambda text: "no endpoints available" not in text,
    )

    assert f"dialing {address}:80, code 403" in told
    assert REFUSAL in told


class Deny(JsonHandler):
    """A validating webhook that allows nothing, and gives its word for it."""

    def answer(self, sent: Any) -> tuple[int, Any]:
        verdict = {
            "uid": sent["request"]["uid"],
            "allowed": False,
            "status": {"message": "so says the hook"},
        }
        return 200, {**sent, "response": verdict}


@pytest.fixture
def webhook(cluster: LocalCluster) -> Iterator[int]:
    """The port of a webhook on loopback, whose certificate is the cluster's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.ca_file, cluster.ca_file.with_suffix(".key"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Deny) as server:
        server.daemon_threads = True
        server.block_on_close = False
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.cluster
def test_webhook_on_loopback_is_reached(cluster: LocalCluster, namespace: str, webhook: int) -> None:
    told = told_by_webhook(cluster, namespace, {"url": f"https://127.0.0.1:{webhook}/"})

    assert "so says the hook" in told


@pytest.mark.cluster
@pytest.mark.parametrize(
    "client",
    [
        {"url": f"https://{NOWHERE}/"},
        {"url": "https://hook.example/"},
        {"service": {"namespace": "kube-system", "name": "hook"}},
    ],
    ids=["address", "name", "service"],
)
def test_webhook_elsewhere_is_refused(
    cluster: LocalCluster, namespace: str, hook_service: None, client: dict[str, Any]
) -> None:
    assert REFUSAL in told_by_webhook(cluster, namespace, client)


@pytest.fixture
def hook_service(cluster: LocalCluster) -> Iterator[None]:
    """A service of a webhook's, at an address that nobody has."""
    path = "/api/v1/namespaces/kube-system/services"
    cluster.api.call("POST", path, {"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443}]}})
    yield
    cluster.api.call("DELETE", f"{path}/hook")


def told_by_webhook(cluster: LocalCluster, namespace: str, client: dict[str, Any]) -> str:
    """Return what creating a secret says once a webhook at that address has to allow it."""
    authority = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
    hook = {
        "name": "hook.pipeline.test",
        "clientConfig": {**client, "caBundle": authority},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    create = ("create", "secret", "generic", "s", "--dry-run=server", "-n", namespace)
    cluster.api.call("POST", path, {"metadata": {"name": namespace}, "webhooks": [hook]})
    try:
        # The API server asks a new webhook only a moment later.
        return str(until(lambda: kubectl(cluster, *create).stderr, bool))
    finally:
        cluster.api.call("DELETE", f"{path}/{namespace}")
