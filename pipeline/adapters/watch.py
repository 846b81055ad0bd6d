"""A watch as a stream of whole events, which another thread can end.

Not the ``kubernetes`` package's Watch: that one raises KeyError on a 410 or ends without a word.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, TypeAlias

import urllib3
from urllib3 import exceptions as http_errors

from pipeline.model.objects import Object

from .apierror import api_error

PIECE = 65536
LONGEST_LINE = 8 << 20  # etcd holds objects up to 1.5 MiB; anything much longer is no event

Event: TypeAlias = tuple[str, Object]


class Watch(Iterator[Event]):
    """Iterates over (type, object) until the server, the network or ``close`` ends it.

    A line that is cut off or is not an event ends the stream without an error, after all whole
    events before it: the caller lists and watches again, as after any end. ``close`` may be
    called from any thread, more than once, and wakes a blocked reader; events that were already
    received are still handed out. ApiError where the server reports one (410: too old).
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, what: str, *, secret: bool = False) -> None:
        self._response = response
        self._what = what
        self._secret = secret
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._closed = threading.Event()

    def __next__(self) -> Event:
        while not self._lines:
            if self._closed.is_set() or not self._read():
                self.close()
                raise StopIteration
        event = self._parse(self._lines.popleft())
        if event is None:
            self._lines.clear()
            self.close()
            raise StopIteration
        return event

    def close(self) -> None:
        """End the watch now."""
        if self._closed.is_set():
            return
        self._closed.set()
        # Shut down first: it wakes a reader in another thread, who holds what close() waits for.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            self._response.shutdown()
        with contextlib.suppress(OSError, ValueError):
            self._response.close()

    def _read(self) -> bool:
        """Take in what has arrived; False at the end."""
        try:
            piece = self._response.read1(PIECE)
        except (http_errors.HTTPError, OSError, ValueError, AttributeError):
            # Reset, cut off, timed out, or closed under our hands by ``close``: the stream is over.
            piece = b""
        if not piece:
            self._response.close()
            return False
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._lines.extend(line for line in lines if line.strip())
        return len(self._rest) <= LONGEST_LINE

    def _parse(self, line: bytes) -> Event | None:
        try:
            event: Any = json.loads(line)
        except ValueError:
            return None
        if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
            return None
        if event.get("type") == "ERROR":
            self.close()
            status = event["object"]
            code = status.get("code")
            raise api_error(self._what, code if isinstance(code, int) else 500, status, secret=self._secret)
        return str(event.get("type")), event["object"]
