"""Requests with JSON in them, answered with JSON: what a webhook and an aggregated API are."""

from __future__ import annotations

import json
from abc import abstractmethod
from http.server import BaseHTTPRequestHandler
from typing import Any


class JsonHandler(BaseHTTPRequestHandler):
    """One request, of which nothing is logged; what inherits from it says the answer."""

    @abstractmethod
    def answer(self, sent: Any) -> tuple[int, Any]:
        """The status and the body of the answer; None where a body is missing."""

    def do_GET(self) -> None:
        self._reply()

    def do_POST(self) -> None:
        self._reply()

    def do_PATCH(self) -> None:
        self._reply()

    def do_DELETE(self) -> None:
        self._reply()

    def _reply(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        code, answer = self.answer(json.loads(self.rfile.read(length)) if length else None)
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
