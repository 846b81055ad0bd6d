"""The git host of the tests: down, it refuses connections, and nobody else gets its port."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.git_host import ADDRESS, GitHost


def test_a_host_that_is_down_refuses_and_keeps_its_port(tmp_path: Path) -> None:
    with GitHost(tmp_path) as host:
        port = urlsplit(host.url()).port or 0
        host.down()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((ADDRESS, port), 5)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((ADDRESS, port))
        host.up()
        socket.create_connection((ADDRESS, port), 5).close()
        assert urlsplit(host.url()).port == port
