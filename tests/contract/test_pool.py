"""Connections to a distant server are there before they are needed."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from pipeline.adapters.connection import Connection
from pipeline.adapters.endpoint import Endpoint, open_pool
from pipeline.adapters.http import was_not_sent
from pipeline.adapters.pool import FAR_S, Ahead, Sending, pool_of
from tests.certificates import self_signed

COUNT = 6


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    together = threading.Barrier(COUNT - 1, timeout=20)

    def setup(self) -> None:
        super().setup()
        self.server.shaken.append(self.client_address)

    def do_GET(self) -> None:
        self.together.wait()  # else one connection could serve them all
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[tuple[Endpoint, list[object]]]:
    certificate, key = self_signed(["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate + key)
        file.flush()
        context.load_cert_chain(file.name)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.handle_error = lambda *_: None  # clients that do not trust it
    shaken: list[object] = []
    listening.shaken = shaken
    listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Endpoint(server=f"https://127.0.0.1:{listening.server_address[1]}", authorities=certificate), shaken
    listening.shutdown()
    thread.join()
    listening.server_close()


def pool_to(endpoint: Endpoint, ahead: Ahead) -> Any:
    connection = Connection(server=endpoint.server, pool=open_pool(endpoint, 32), credentials=None)
    return pool_of(connection, Sending(), ahead)[0]


def settled() -> None:
    for thread in [t for t in threading.enumerate() if t.name == "opening"]:
        thread.join(20)


def test_a_burst_finds_the_connections_that_were_opened_ahead(
    server: tuple[Endpoint, list[object]],
) -> None:
    endpoint, shaken = server
    ahead = Ahead(COUNT)
    pool = pool_to(endpoint, ahead)

    ahead.opened(FAR_S)
    settled()
    before = pool.num_connections
    with ThreadPoolExecutor(COUNT - 1) as threads:
        answers = list(
            threads.map(lambda _: pool.request("GET", "/", retries=False).status, range(COUNT - 1))
        )

    assert answers == [200] * (COUNT - 1)
    assert (before, pool.num_connections, len(shaken)) == (COUNT - 1, COUNT - 1, COUNT - 1)
    pool.close()


def test_only_the_first_connection_decides_and_only_a_slow_one(
    server: tuple[Endpoint, list[object]],
) -> None:
    endpoint, _ = server
    ahead = Ahead(COUNT)
    pool = pool_to(endpoint, ahead)

    ahead.opened(FAR_S / 2)
    ahead.opened(FAR_S)
    settled()

    assert pool.num_connections == 0


def test_what_cannot_be_opened_is_left_to_whoever_needs_it() -> None:
    ahead = Ahead(COUNT)
    pool = pool_to(Endpoint(server="https://127.0.0.1:1"), ahead)

    ahead.opened(FAR_S)
    settled()

    with pytest.raises(urllib3.exceptions.HTTPError, match="refused"):
        pool.request("GET", "/", retries=False)


def test_a_handshake_that_takes_too_long_is_a_connection_that_was_not_made() -> None:
    """Not a request that nobody answered: none was sent, and so it may be sent again."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pool = pool_to(Endpoint(server=f"https://127.0.0.1:{silent.getsockname()[1]}"), Ahead(COUNT))
        with pytest.raises(urllib3.exceptions.ConnectTimeoutError) as caught:
            pool.request("GET", "/", retries=False, timeout=urllib3.Timeout(connect=0.2, read=20))

    assert was_not_sent(caught.value)
