"""What a server has is taken within limits, also of time: one that trickles holds nobody for ever."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.download import Download
from pipeline.model.errors import InterruptedRunError, UnreachableError
from tests.e2e.tls import serving


@pytest.fixture
def trickling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The host of a server that sends a byte now and then, without end."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while not ended.wait(0.02):
                    self.wfile.write(b"x")
            except OSError:
                pass

        def log_message(self, *_: Any) -> None:
            pass

    with serving(tmp_path, ["localhost"], Handler) as address:
        authority = tmp_path / "authority.pem"
        authority.write_bytes(base64.b64decode(address.ca_bundle))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        yield f"localhost:{address.port}"
        ended.set()


def test_a_server_that_trickles_is_given_up(trickling: str) -> None:
    download = Download("fetch x", [trickling], lambda: False, seconds=0.1)
    with pytest.raises(UnreachableError, match="takes more than"):
        download.get(f"https://{trickling}/x", 1 << 20)


def test_a_signal_ends_it_between_two_pieces(trickling: str) -> None:
    asked: list[bool] = []
    download = Download("fetch x", [trickling], lambda: bool(asked.append(True)) or len(asked) > 2)
    with pytest.raises(InterruptedRunError):
        download.get(f"https://{trickling}/x", 1 << 20)
