"""A server that answers the next request with the next step of a script, down to broken and dripping answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Step = Callable[[socket.socket, threading.Event], bool]
"""Answers one request; True keeps the connection open for another."""


@dataclass
class ScriptedServer:
    port: int
    steps: list[Step]
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def reply(body: bytes, status: int = 200, *, keep: bool = True) -> Step:
    """A whole answer; `keep=False` closes the connection after it without having said so."""

    def step(connection: socket.socket, _stop: threading.Event) -> bool:
        head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return keep

    return step


def hang_up(after: bytes = b"") -> Step:
    """Close the connection after these bytes of an answer."""

    def step(connection: socket.socket, _stop: threading.Event) -> bool:
        connection.sendall(after)
        return False

    return step


def drip(answer: bytes, every: float) -> Step:
    """One byte `every` seconds: each read succeeds in time, their sum does not."""

    def step(connection: socket.socket, stop: threading.Event) -> bool:
        for byte in answer:
            if stop.wait(every):
                break
            connection.sendall(bytes([byte]))
        return False

    return step


def silence() -> Step:
    """Take the request and never answer."""

    def step(_connection: socket.socket, stop: threading.Event) -> bool:
        stop.wait()
        return False

    return step


@contextmanager
def scripted(*steps: Step) -> Iterator[ScriptedServer]:
    """Serve on a free port of 127.0.0.1. A request beyond the script's end is hung up on."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ScriptedServer(listener.getsockname()[1], list(steps))

        def accept() -> None:
            while not stop.is_set():
                connection, _ = listener.accept()
                if stop.is_set():
                    connection.close()
                    return
                server.connections += 1
                thread = threading.Thread(target=_converse, args=(server, connection, stop))
                threads.append(thread)
                thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server
        finally:
            stop.set()
            socket.create_connection(("127.0.0.1", server.port)).close()  # wakes accept()
            for thread in (accepting, *threads):
                thread.join(5)


def _converse(server: ScriptedServer, connection: socket.socket, stop: threading.Event) -> None:
    with connection:
        connection.settimeout(0.05)
        keep = True
        while keep and not stop.is_set():
            request = _request(connection, stop)
            if request is None:
                return
            server.requests.append(request)
            step = server.steps.pop(0) if server.steps else hang_up()
            try:
                keep = step(connection, stop)
            except OSError:
                return  # the client gave up first, as clients with deadlines do


def _request(connection: socket.socket, stop: threading.Event) -> bytes | None:
    """One whole request, or None when the client has closed."""
    data = b""
    while not stop.is_set():
        try:
            chunk = connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return None
        if not chunk:
            return None
        data += chunk
        head, end, body = data.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            return data
    return None


def _length(head: bytes) -> int:
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(lengths[0]) if lengths else 0
