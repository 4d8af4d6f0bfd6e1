"""A line to PostgreSQL that can be cut at a COMMIT (or at anything that is said): before the server hears of it, or
before the client hears back.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Cut = Literal["question", "answer"]

COMMIT = b"COMMIT\x00"
ANYTHING = b""


@dataclass
class CutPostgres:
    """`url` leads to the database through the line; `cuts` are used up one a COMMIT (or what `at` says), None lets it
    through.
    """

    url: str
    cuts: list[Cut | None] = field(default_factory=list)
    at: bytes = COMMIT


@contextmanager
def run_cut_postgres(database_url: str, at: bytes = COMMIT) -> Iterator[CutPostgres]:
    parts = urlsplit(database_url)
    upstream = (parts.hostname or "", parts.port or 5432)
    listener = socket.create_server(("127.0.0.1", 0))
    netloc = f"{parts.username}@127.0.0.1:{listener.getsockname()[1]}"
    line = CutPostgres(urlunsplit(parts._replace(netloc=netloc)), at=at)
    threads: list[threading.Thread] = []

    def accept() -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                thread = threading.Thread(target=_serve, args=(line, client, upstream))
                threads.append(thread)
                thread.start()

    door = threading.Thread(target=accept)
    door.start()
    try:
        yield line
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [door, *threads]:
            thread.join(5)


def _serve(line: CutPostgres, client: socket.socket, upstream: tuple[str, int]) -> None:
    """One connection, until either side hangs up or the line is cut."""
    deaf = threading.Event()
    with client, socket.create_connection(upstream) as server:
        back = threading.Thread(target=_answer, args=(server, client, deaf))
        back.start()
        while said := _heard(client):
            cut = line.cuts.pop(0) if line.cuts and line.at in said else None
            if cut == "question":
                break
            if cut == "answer":
                deaf.set()
            server.sendall(said)
        _hang_up(server)
        _hang_up(client)
        back.join(5)


def _answer(server: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
    """What the server says, to the client: until the line is cut behind a commit that the server has done."""
    while (said := _heard(server)) and not deaf.is_set():
        with contextlib.suppress(OSError):
            client.sendall(said)
    _hang_up(client)


def _hang_up(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)


def _heard(side: socket.socket) -> bytes:
    try:
        return side.recv(65_536)
    except OSError:
        return b""
