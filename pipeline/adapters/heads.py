"""The head of an answer, read as HTTP has it.

``http.client`` gives it to the parser of e-mail, which knows folded lines, defects and what may follow: a
fifth of the processor time of a request. A head that is plain (RFC 9112, sections 4 and 5: a status line, and
fields of a token, a colon and a value in one line) is read here. Whatever else comes is left to it, whole.
"""

from __future__ import annotations

import re
from http.client import HTTPMessage, HTTPResponse
from typing import Any

_PLAIN = re.compile(
    r"HTTP/1\.1 (?P<status>[2-5][0-9]{2})(?: (?P<reason>[\x20-\x7e]*))?"
    r"(?P<fields>(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*)*)"
)
_LENGTH = re.compile(r"[0-9]{1,15}")
_END = b"\r\n\r\n"
_FRAMING = ("content-length", "transfer-encoding", "connection")
_WITHOUT_BODY = frozenset({204, 304})


class Reply(HTTPResponse):
    """As its base class reads it, for less where that is easy."""

    def __init__(self, sock: Any, debuglevel: int = 0, method: str | None = None, url: str | None = None):
        super().__init__(sock, debuglevel, method, url)
        self._is_for_head = method == "HEAD"

    def begin(self, **limits: Any) -> None:
        """Read the head; what it raises is what the base class raises."""
        if self.headers is None and not self._begin_plain():
            super().begin(**limits)

    def _begin_plain(self) -> bool:
        """Whether the head has arrived whole, is plain, and was read. If not, nothing was."""
        seen: bytes = self.fp.peek()
        end = seen.find(_END)
        plain = _PLAIN.fullmatch(seen[:end].decode("iso-8859-1")) if end > 0 else None
        if plain is None or self._is_for_head or int(plain["status"]) in _WITHOUT_BODY:
            return False
        message = HTTPMessage()
        framing: dict[str, str] = {}
        for line in plain["fields"].split("\r\n")[1:]:
            name, _, value = line.partition(":")
            value = value.strip(" \t")
            message.set_raw(name, value)
            if (lower := name.lower()) in _FRAMING:
                if framing:
                    return False  # one of them is plain
                framing[lower] = value
        length, is_chunked = framing.get("content-length", ""), framing.get("transfer-encoding") == "chunked"
        if not is_chunked and not _LENGTH.fullmatch(length):
            return False
        self.fp.read(end + len(_END))
        self.code = self.status = int(plain["status"])
        self.reason, self.version = (plain["reason"] or "").strip(), 11
        self.headers = self.msg = message
        self.chunked, self.chunk_left, self.will_close = is_chunked, None, False
        self.length = None if is_chunked else int(length)
        return True
