"""Reading an HTTP/1.1 answer: at once where it is plain, by the standard library where it is anything else.

AWS's answers have a Content-Length and a dozen headers, of which three matter here. `http.client` parses all of them as
e-mail, which is a large part of a check's work and of its import: so it is left to read answers that are chunked, have
no length, are interim ones or no HTTP at all.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

_LARGEST_HEAD = 65_536
_BODILESS = (204, 304)
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d)(?= |\r|\Z)")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*(?=\r|\Z)")
_CLOSE = re.compile(rb"\r\nconnection:[^\r]*close")

Receive = Callable[[], bytes]
"""The bytes that come next; none at the connection's end. Raises OSError."""


class BadReply(OSError):
    """What came is no whole HTTP answer."""


class Reply(NamedTuple):
    """An HTTP response, read to its end."""

    status: int
    body: bytes


def read_reply(receive: Receive) -> tuple[Reply, bool]:
    """The answer to a POST, and whether the connection may be used again.

    Raises ConnectionResetError where the connection ends before any byte came, BadReply, and what `receive` raises.
    """
    data = receive()
    if not data:
        raise ConnectionResetError("closed without an answer")
    while (end := data.find(b"\r\n\r\n")) < 0 and len(data) < _LARGEST_HEAD:
        more = receive()
        if not more:
            raise BadReply("the answer broke off in its head")
        data += more
    plain = _plain(data[:end]) if end >= 0 else None
    if plain is None:
        return _by_library(data, receive)
    status, length, close = plain
    body = data[end + 4 :]
    if len(body) < length:
        body = _filled(bytearray(body), length, receive)
    return Reply(status, body[:length]), not close and len(body) == length


def _plain(head: bytes) -> tuple[int, int, bool] | None:
    """Status, length and `Connection: close` of a final answer whose body is so many bytes; None for any other."""
    status = _STATUS.match(head)
    if status is None or int(status[1]) in _BODILESS:
        return None
    lower = head.lower()
    lengths = _LENGTH.findall(lower)
    if len(lengths) != 1 or lower.count(b"\r\ncontent-length") != 1 or b"\r\ntransfer-encoding" in lower:
        return None
    return int(status[1]), int(lengths[0]), _CLOSE.search(lower) is not None


def _filled(body: bytearray, length: int, receive: Receive) -> bytes:
    while len(body) < length:
        more = receive()
        if not more:
            raise BadReply(f"the answer broke off after {len(body)} of {length} bytes")
        body += more
    return bytes(body)


def _by_library(data: bytes, receive: Receive) -> tuple[Reply, bool]:
    from http.client import HTTPException, HTTPResponse  # noqa: PLC0415  dear, and hardly ever needed

    response = HTTPResponse(cast("socket.socket", _Again(data, receive)), method="POST")  # only makefile("rb") is used
    try:
        response.begin()
        return Reply(response.status, response.read()), not response.will_close
    except HTTPException as fault:
        raise BadReply(f"the answer is no HTTP ({type(fault).__name__})") from fault


class _Again(io.RawIOBase):
    """What was received already, then the rest."""

    def __init__(self, data: bytes, receive: Receive) -> None:
        self._data = data
        self._receive = receive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._data or self._receive()
        count = min(len(view), len(data))
        view[:count] = data[:count]
        self._data = data[count:]
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)
