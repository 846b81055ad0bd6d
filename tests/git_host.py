"""A git host on this machine: https, by git's own server program, that goes away and comes back."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.certificates import self_signed

ADDRESS = "127.0.0.1"
HANG_S = 60.0  # longer than any test waits


class GitHost:
    """Serves the bare repositories below ``folder`` from ``with`` on, or from ``up`` to ``down``.

    ``answer`` is the status that every request gets instead, 0 for what git says; ``hang`` none for a
    minute; ``location`` where 30x leads; ``wanted`` the login without which it answers 401. ``logins``
    are the Authorization headers that came, ``paths`` what was asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer = 0
        self.hang = False
        self.location = ""
        self.wanted = ""
        self.logins: list[str] = []
        self.paths: list[str] = []
        self.asked = 0
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._kept: socket.socket | None = None
        certificate, key = self_signed([ADDRESS])
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(certificate)
        (folder / "server.pem").write_bytes(certificate + key)

    def repository(self, name: str = "shop.git") -> Path:
        """An empty bare repository, to be pushed to by its path."""
        made = self.folder / name
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", made], check=True)
        return made

    def url(self, name: str = "shop.git", user: str = "") -> str:
        return f"https://{user}{ADDRESS}:{self._port}/{name}"

    def trusted_by(self, home: Path) -> None:
        """Let the git of a user with this home trust it."""
        with (home / ".gitconfig").open("a") as file:
            file.write(f"[http]\n\tsslCAInfo = {self.authority}\n")

    def up(self) -> None:
        server = ThreadingHTTPServer((ADDRESS, self._port), _handler(self))
        server.daemon_threads = True
        self._leave()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._port = server.server_port
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def down(self) -> None:
        """Nobody listens any more; the port stays its own."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            # Bound without listening: who connects is refused, and nobody else gets the port meanwhile.
            self._kept = socket.socket()
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind((ADDRESS, self._port))

    def _leave(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._leave()


def _handler(host: GitHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked += 1
            host.paths.append(self.path)
            if login := self.headers.get("Authorization"):
                host.logins.append(login)
            if host.hang:
                time.sleep(HANG_S)
            answer = host.answer or (401 if host.wanted not in ("", login) else 0)
            if answer:
                self.send_response(answer)
                if host.location:
                    self.send_header("Location", host.location)
                if answer == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._serve()

        def do_POST(self) -> None:
            self.do_GET()

        def _serve(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run(
                ["git", "http-backend"],
                env={
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(host.folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                },
                input=body,
                capture_output=True,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
