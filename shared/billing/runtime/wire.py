"""One kept-alive HTTP/1.1 connection whose every wait ends at one deadline, however slowly the other side drips."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from billing.runtime.reply import Reply, read_reply

if TYPE_CHECKING:
    import ssl

_CHUNK = 65_536

IDLE = 50.0
"""Seconds after which a kept connection is not used again, by the clock: it goes on while a SnapStart snapshot sleeps,
and a connection from before that has nobody at its other end.
"""


class Wire:
    """Of one thread. `post` raises OSError: past the deadline TimeoutError, for a broken answer BadReply."""

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._used = 0.0
        self._host = host
        self._port = port
        self._tls = tls
        self._socket: socket.socket | None = None

    def post(self, headers: Mapping[str, str], body: bytes, deadline: float) -> Reply:
        """POST `body` to `/` and read the whole answer before `deadline` (of `time.monotonic`).

        A kept connection that breaks before any byte of the answer is what an idle server's close looks like: the
        request is sent once more on a new connection. Nothing else is sent twice.
        """
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        request = f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body
        before, self._used = self._used, self._clock()
        if self._socket is not None and self._used - before < IDLE and not _readable(self._socket):
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
            reply, keep = read_reply(reader.receive)
        except OSError:
            self.close()
            raise
        if not keep:
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


class _Reader:
    """Reads a socket, never past the deadline: `settimeout` alone bounds each read, not their sum."""

    __slots__ = ("_connection", "deadline", "received")

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self.deadline = deadline
        self.received = False

    def receive(self) -> bytes:
        self._connection.settimeout(seconds_left(self.deadline))
        data = self._connection.recv(_CHUNK)
        self.received = self.received or bool(data)
        return data
