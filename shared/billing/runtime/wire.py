"""One kept-alive HTTP/1.1 connection whose every wait ends at one deadline, however slowly the other side drips."""

from __future__ import annotations

import io
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response, read to its end."""

    status: int
    body: bytes


class Wire:
    """Not shared between threads. `post` raises OSError (TimeoutError past the deadline) or HTTPException."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._socket: socket.socket | None = None

    def post(self, headers: Mapping[str, str], body: bytes, deadline: float) -> Reply:
        """POST `body` to `/` and read the whole answer before `deadline` (of `time.monotonic`).

        A kept connection that breaks before any byte of the answer is what an idle server's close looks like: the
        request is sent once more on a new connection. Nothing else is sent twice.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        request = head.encode("latin-1") + body
        if self._socket is not None and not _readable(self._socket):
            reply = self._try_kept(self._socket, request, deadline)
            if reply is not None:
                return reply
        self.close()
        self._socket = self._connect(deadline)
        return self._exchange(self._socket, request, _Reader(self._socket, deadline))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __del__(self) -> None:
        self.close()

    def _try_kept(self, kept: socket.socket, request: bytes, deadline: float) -> Reply | None:
        reader = _Reader(kept, deadline)
        try:
            return self._exchange(kept, request, reader)
        except ConnectionError:
            if reader.received:
                raise
            return None

    def _exchange(self, connection: socket.socket, request: bytes, reader: _Reader) -> Reply:
        try:
            connection.settimeout(seconds_left(reader.deadline))
            connection.sendall(request)
            response = HTTPResponse(cast("socket.socket", reader), method="POST")  # it only calls makefile("rb")
            response.begin()
            reply = Reply(response.status, response.read())
        except (OSError, HTTPException):
            self.close()
            raise
        if response.will_close:
            self.close()
        return reply

    def _connect(self, deadline: float) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), seconds_left(deadline))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                return plain
            plain.settimeout(seconds_left(deadline))
            return self._tls.wrap_socket(plain, server_hostname=self._host)
        except OSError:
            plain.close()
            raise


def seconds_left(deadline: float) -> float:
    """Until `deadline`; TimeoutError once it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


def _readable(connection: socket.socket) -> bool:
    """Between requests a server has nothing to say: a readable socket is one it has closed."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


class _Reader(io.RawIOBase):
    """Reads a socket, never past the deadline: `settimeout` alone bounds each read, not their sum."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self.deadline = deadline
        self.received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._connection.settimeout(seconds_left(self.deadline))
        count = self._connection.recv_into(buffer)
        self.received += count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)
