"""TLS with an API server: whom we trust, what we show, and that nothing of a key is left behind."""

from __future__ import annotations

import base64
import json
import ssl
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import urllib3
from cryptography.hazmat.primitives import serialization

from pipeline.adapters.connection import Connection, connect
from pipeline.model.errors import UnreachableError
from tests.certificates import self_signed


class Server(NamedTuple):
    """An API server of another name than its host's, which lets in who shows the client's certificate."""

    url: str
    authority: bytes
    certificate: bytes
    key: bytes


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    authority, own_key = self_signed(["api.example"])
    certificate, key = self_signed(["client.example"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=certificate.decode())
    with tempfile.NamedTemporaryFile() as file:
        file.write(authority + own_key)
        file.flush()
        context.load_cert_chain(file.name)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.handle_error = lambda *_: None  # clients that do not trust it
    listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Server(f"https://127.0.0.1:{listening.server_address[1]}", authority, certificate, key)
    listening.shutdown()
    thread.join()
    listening.server_close()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def config(server: Server, *, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    trust = {"certificate-authority-data": text(server.authority), "tls-server-name": "api.example"}
    shown = {"client-certificate-data": text(server.certificate), "client-key-data": text(server.key)}
    fields = {"server": server.url, **trust, **cluster}
    return {
        "clusters": [{"name": "one", "cluster": {k: v for k, v in fields.items() if v is not None}}],
        "users": [{"name": "one", "user": shown if user is None else user}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "current-context": "one",
    }


def opened(folder: Path, document: dict[str, Any]) -> Connection:
    path = folder / "config"
    path.write_text(json.dumps(document))
    return connect(kubeconfig=str(path), environ={})


def status(connection: Connection) -> int:
    answer = connection.pool.request("GET", connection.server, retries=False, timeout=10)
    connection.close()
    return answer.status


def test_data_in_the_file_is_trusted_and_shown_and_no_key_reaches_the_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made: list[str] = []
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda *a, **k: made.append("a file"))

    connection = opened(tmp_path, config(server))

    assert status(connection) == 200
    assert (made, list(scratch.iterdir())) == ([], [])


def test_files_are_read_from_the_folder_of_the_file_that_names_them(server: Server, tmp_path: Path) -> None:
    document = config(server, **{"certificate-authority-data": None, "certificate-authority": "ca.crt"})
    users = [
        {"name": "one", "user": {"client-certificate": "own/client.crt", "client-key": "own/client.key"}}
    ]
    document["users"] = []
    (tmp_path / "ca.crt").write_bytes(server.authority)
    (tmp_path / "config").write_text(json.dumps(document))
    private = tmp_path / "private"
    (private / "own").mkdir(parents=True)
    (private / "own/client.crt").write_bytes(server.certificate)
    (private / "own/client.key").write_bytes(server.key)
    (private / "config").write_text(json.dumps({"users": users}))

    connection = connect(environ={"KUBECONFIG": f"{tmp_path / 'config'}:{private / 'config'}"})

    assert status(connection) == 200


def test_a_certificate_may_come_of_an_exec_plugin(server: Server, tmp_path: Path) -> None:
    api = "client.authentication.k8s.io/v1"
    given = {
        "clientCertificateData": server.certificate.decode(),
        "clientKeyData": server.key.decode(),
    }
    credential = {"apiVersion": api, "kind": "ExecCredential", "status": given}
    (tmp_path / "credential").write_text(json.dumps(credential))
    script = f"print(open({str(tmp_path / 'credential')!r}).read())"
    user = {"exec": {"apiVersion": api, "command": sys.executable, "args": ["-c", script]}}

    assert status(opened(tmp_path, config(server, user=user))) == 200


def test_without_a_name_of_its_own_the_host_must_be_in_the_certificate(
    server: Server, tmp_path: Path
) -> None:
    connection = opened(tmp_path, config(server, **{"tls-server-name": None}))

    with pytest.raises(urllib3.exceptions.SSLError, match=r"not valid for '127\.0\.0\.1'|mismatch"):
        status(connection)


def test_only_the_named_authority_is_trusted(server: Server, tmp_path: Path) -> None:
    other = text(self_signed(["api.example"])[0])
    connection = opened(tmp_path, config(server, **{"certificate-authority-data": other}))

    with pytest.raises(urllib3.exceptions.SSLError, match="certificate verify failed"):
        status(connection)


def test_without_an_authority_those_of_the_system_count(server: Server, tmp_path: Path) -> None:
    connection = opened(tmp_path, config(server, **{"certificate-authority-data": None}))

    with pytest.raises(urllib3.exceptions.SSLError, match="certificate verify failed"):
        status(connection)


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_who_asks_for_no_verification_gets_none(server: Server, tmp_path: Path) -> None:
    trusting = {"certificate-authority-data": None, "tls-server-name": None, "insecure-skip-tls-verify": True}

    assert status(opened(tmp_path, config(server, **trusting))) == 200


def test_an_encrypted_key_is_refused_and_nobody_is_asked(server: Server, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(server.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    user = {"client-certificate-data": text(server.certificate), "client-key-data": text(locked)}

    with pytest.raises(UnreachableError, match="certificate or key cannot be used: the key is encrypted"):
        opened(tmp_path, config(server, user=user))
