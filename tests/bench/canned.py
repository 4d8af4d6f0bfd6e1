"""A DynamoDB that always gives the same answer, in a process of its own: what asking it costs is the client's alone."""

import multiprocessing
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection


@contextmanager
def canned(body: bytes) -> Iterator[str]:
    """The URL of a server on 127.0.0.1 that answers every request 200 with `body`, as DynamoDB would."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve, args=(body, there), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        server.kill()
        server.join()


def _serve(body: bytes, ready: Connection) -> None:
    head = (
        "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n"
        f"x-amzn-RequestId: {'A1' * 26}\r\nx-amz-crc32: {zlib.crc32(body)}\r\n\r\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_converse, args=(connection, head.encode() + body), daemon=True).start()


def _converse(connection: socket.socket, answer: bytes) -> None:
    with connection:
        data = b""
        while more := connection.recv(65_536):
            data += more
            if whole(data):
                data = b""
                connection.sendall(answer)


def whole(data: bytes) -> bool:
    """Whether a request is here to its end."""
    head, end, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= (int(lengths[0][15:]) if lengths else 0)
