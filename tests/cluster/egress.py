"""The API server's only way out, which leads no further than this machine.

The API server sends what it proxies to nodes, pods and services, and what it asks of
webhooks, through this CONNECT proxy (``programs.EGRESS``). Addresses on loopback are
reached, for the kubelet's logs and for webhooks of tests. Pods are simulated and their
addresses are made up, but a network may well have machines with the same ones: all else
is refused, before any packet.
"""

import contextlib
import ipaddress
import socket
import socketserver
import threading
from pathlib import Path

REFUSED = "403 only loopback can be reached from the local cluster, whose pods are simulated"
CONNECT_TIMEOUT_S = 5.0  # only a full backlog makes loopback wait
LINE_LIMIT = 4096  # bytes; a destination is a name and a port
CHUNK = 65536  # bytes


class RefusedError(Exception):
    """A request that gets no connection; the message is the answer's status."""


def destination(line: str) -> tuple[str, int]:
    """Return the loopback address and port that a CONNECT line asks for.

    No name is looked up, since that would ask another machine; ``localhost`` is IPv4's.

    Raises:
        RefusedError: it asks for anything else.
    """
    method, _, rest = line.partition(" ")
    host, _, port = rest.partition(" ")[0].rpartition(":")
    if method != "CONNECT" or not port.isdecimal():
        raise RefusedError("400 this proxy only knows CONNECT HOST:PORT")
    name = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        is_near = ipaddress.ip_address(name).is_loopback
    except ValueError:
        is_near = False
    if not is_near:
        raise RefusedError(REFUSED)
    return name, int(port)


class Tunnel(socketserver.StreamRequestHandler):
    """One connection of the API server."""

    rbufsize = 0  # what follows the request belongs to the other side

    def handle(self) -> None:
        """Connect if the destination allows, and pass bytes until both sides have ended."""
        line = self.rfile.readline(LINE_LIMIT).decode("latin-1")
        while self.rfile.readline(LINE_LIMIT).strip():
            pass  # its headers say nothing
        try:
            other = _connect(line)
        except RefusedError as refused:
            self.wfile.write(f"HTTP/1.1 {refused}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        with other:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(other, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, other)
            back.join()


def _connect(line: str) -> socket.socket:
    host, port = destination(line)
    try:
        connection = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
    except (OSError, OverflowError) as error:
        # In the words of a direct connection's failure, for which there may be a test.
        why = getattr(error, "strerror", None) or str(error)
        raise RefusedError(f"502 dial tcp {host}:{port}: connect: {why.lower()}") from error
    connection.settimeout(None)
    return connection


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(CHUNK):
            target.sendall(received)
    # Either side may be gone: then neither is of use to the other.
    for one, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            one.shutdown(how)


class Egress(socketserver.ThreadingUnixStreamServer):
    """Listens on a socket in the file system, open to whoever may enter its folder."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # a burst of webhook calls

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Tunnel)


def start(path: Path) -> Egress:
    """Serve beside the caller, for as long as its process lives."""
    path.unlink(missing_ok=True)
    server = Egress(path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
