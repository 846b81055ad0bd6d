"""A head that is read here is read as ``http.client`` reads it, and what follows is left where it was."""

from __future__ import annotations

import io
from http.client import HTTPException, HTTPResponse
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.heads import Reply

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntrue"

PLAIN = {
    "json": JSON,
    "no reason": b"HTTP/1.1 201\r\nContent-Length: 0\r\n\r\n",
    "an empty reason": b"HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n",
    "a reason of words": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After:  1 \r\nContent-Length: 0\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n",
    "an empty value": b"HTTP/1.1 200 OK\r\nX:\r\nContent-Length: 2\r\n\r\n{}",
    "a field twice": b"HTTP/1.1 200 OK\r\nWarning: a\r\nWarning: b\r\nContent-Length: 2\r\n\r\n{}",
    "a colon in a value": b"HTTP/1.1 200 OK\r\nDate: 26 Nov 2026 09:00:00\r\nContent-Length: 2\r\n\r\n{}",
}

STRANGE = {
    "an old version": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a version to come": b"HTTP/1.7 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no number": b"HTTP/1.1 OK\r\n\r\n",
    "nothing": b"",
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Le",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + JSON,
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "no colon": b"HTTP/1.1 200 OK\r\nX a\r\nContent-Length: 2\r\n\r\n{}",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
    "Latin letters": b"HTTP/1.1 200 OK\r\nX: \xe9\r\nContent-Length: 2\r\n\r\n{}",
    "no length": b"HTTP/1.1 200 OK\r\nX: a\r\n\r\nuntil the end",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "both": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{}",
    "it closes": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    "no content": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 200\r\n\r\n",
}


class Wire:
    """A connection on which these bytes arrive, so many at a time."""

    def __init__(self, data: bytes, piece: int = 1 << 16) -> None:
        self._data, self._piece = data, piece

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(Pieces(self._data, self._piece))


class Pieces(io.RawIOBase):
    def __init__(self, data: bytes, piece: int) -> None:
        super().__init__()
        self._left, self._piece = data, piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._piece, len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def read(kind: type[HTTPResponse], data: bytes, *, method: str = "GET", piece: int = 1 << 16) -> Any:
    """All that a response tells of these bytes, or the error."""
    wire: Any = Wire(data, piece)
    response: Any = kind(wire, method=method)
    try:
        response.begin()
        told = [
            response.status,
            response.code,
            response.reason,
            response.version,
            [(name, value.strip(" \t")) for name, value in response.headers.items()],
            response.msg is response.headers,
            response.chunked,
            response.length,
            response.will_close,
        ]
        return [*told, response.read(), response.isclosed()]
    except (HTTPException, OSError, ValueError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("method", ["GET", "PATCH", "HEAD"])
@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
@pytest.mark.parametrize("name", [*PLAIN, *STRANGE])
def test_it_is_read_as_by_the_standard_library(name: str, piece: int, method: str) -> None:
    data = {**PLAIN, **STRANGE}[name]
    expected = read(HTTPResponse, data, method=method, piece=piece)
    assert read(Reply, data, method=method, piece=piece) == expected


_NAMES = st.sampled_from(
    ["Date", "content-length", "Content-Length", "Transfer-Encoding", "connection", "X-A", " "]
)
_VALUES = st.one_of(
    st.sampled_from(["0", "2", "+2", "02", " 2 ", "chunked", "Chunked", "close", "keep-alive", "", "a\tb"]),
    st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=6),
)


@given(
    status=st.sampled_from(["200 OK", "200", "204 No Content", "404 Not Found", "500  x ", "99 x", "101 x"]),
    fields=st.lists(st.tuples(_NAMES, _VALUES), max_size=5),
    body=st.sampled_from([b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n"]),
)
def test_any_head_is_read_as_by_the_standard_library(
    status: str, fields: list[tuple[str, str]], body: bytes
) -> None:
    lines = [f"HTTP/1.1 {status}", *(f"{name}:{value}" for name, value in fields), "", ""]
    data = "\r\n".join(lines).encode("iso-8859-1") + body
    assert read(Reply, data) == read(HTTPResponse, data)


@pytest.mark.parametrize("name", PLAIN)
def test_of_what_is_plain_nothing_is_given_to_the_parser_of_mail(name: str) -> None:
    with mock.patch("http.client.parse_headers", side_effect=AssertionError("read as mail")):
        assert read(Reply, PLAIN[name])[0] in (200, 201, 404, 429)
