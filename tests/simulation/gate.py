"""The gate: every connection of every actor passes through it, and nothing passes but by the scheduler's leave.

A request is held until it is let through; its answer is handed over at once after, so one actor runs at a time. A
connection's greeting passes freely: nothing of ours happens in it.
"""

import os
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tests.simulation import frames

Service = Literal["postgres", "aws", "stripe"]
Address = tuple[str, int]

PATIENCE = 60.0
"""Seconds of real time after which an actor that says nothing counts as stuck."""

_LOOK_AFTER = 0.008
"""Seconds without an answer after which PostgreSQL is asked whether the actor waits for a lock."""


class Stuck(Exception):
    """An actor neither asked for anything nor ended: a fault of the simulation or an endless loop in the product."""


class Watch(Protocol):
    """A look into PostgreSQL from outside."""

    def waits_for_lock(self, backend: int) -> bool: ...

    def end(self, backend: int) -> None:
        """Have the backend gone, its transaction rolled back, before this returns."""


@dataclass(eq=False)
class Link:
    """One connection of an actor. `asked` is the label of its held request; `sent`: it was let through."""

    owner: str
    service: Service
    client: socket.socket
    server: socket.socket
    greeting: bool
    backend: int = 0
    request: bytes = b""
    reply: bytes = b""
    asked: str | None = None
    sent: bool = False


@dataclass
class Side:
    """What the gate knows of one actor: its links, and whether it is being killed."""

    ports: dict[Service, int]
    links: list[Link] = field(default_factory=list)
    cut_off: bool = False

    @property
    def held(self) -> Link | None:
        """The link with a request that was not let through yet."""
        return next((link for link in self.links if link.asked is not None and not link.sent), None)

    @property
    def awaited(self) -> Link | None:
        """The link whose request was let through and not answered yet."""
        return next((link for link in self.links if link.sent), None)


class Gate:
    """Listens for each actor on ports of its own. All methods are the scheduler's, in its one thread."""

    def __init__(self, upstreams: dict[Service, Address], watch: Watch) -> None:
        self._upstreams = upstreams
        self._watch = watch
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._ear, self._mouth = os.pipe()
        self._selector.register(self._ear, selectors.EVENT_READ, lambda: os.read(self._ear, 4096))
        self.sides: dict[str, Side] = {}

    def wake(self) -> None:
        """For an actor's thread: its task has ended, look again."""
        os.write(self._mouth, b"!")

    def admit(self, name: str) -> dict[Service, int]:
        """Ports at which the actor reaches the services; those of a life before, if it had one, stay shut."""
        side = self.sides[name] = Side({})
        for service in self._upstreams:
            listener = socket.create_server(("127.0.0.1", 0))
            side.ports[service] = listener.getsockname()[1]
            self._listeners.append(listener)
            self._selector.register(listener, selectors.EVENT_READ, self._acceptor(name, side, service, listener))
        return side.ports

    def close(self) -> None:
        for side in self.sides.values():
            for link in list(side.links):
                self._drop(link)
        for listener in self._listeners:
            self._selector.unregister(listener)
            listener.close()
        self._selector.close()
        os.close(self._ear)
        os.close(self._mouth)

    def drain(self, over: Callable[[], bool]) -> None:
        """Refuse what killed actors still try, until it is over. Raises Stuck."""
        deadline = time.monotonic() + PATIENCE
        while not over():
            if time.monotonic() > deadline:
                raise Stuck("a killed actor does not end")
            self._pump(0.01)

    # ── the scheduler's leave ────────────────────────────────────────────────────────────────────────────────────

    def settle(self, name: str, ended: Callable[[], bool]) -> None:
        """Let the actor run until it holds a request or has ended its task. Raises Stuck."""
        side = self.sides[name]
        deadline = time.monotonic() + PATIENCE
        while not ended() and side.held is None:
            if time.monotonic() > deadline:
                raise Stuck(f"{name} neither asks nor ends")
            self._pump(0.5)

    def pass_on(self, link: Link) -> None:
        """Let the held request through."""
        link.sent = True
        link.server.sendall(link.request)

    def await_reply(self, link: Link) -> bool:
        """Wait for the answer to what was passed on. False: PostgreSQL has the actor wait for a lock."""
        deadline = time.monotonic() + PATIENCE
        while not self._replied(link):
            if time.monotonic() > deadline:
                raise Stuck(f"{link.owner}: {link.service} does not answer {link.asked}")
            if not self._pump(_LOOK_AFTER) and link.backend and self._watch.waits_for_lock(link.backend):
                return self._replied(link)
        return True

    def reply_of(self, link: Link) -> frames.Reply | None:
        return frames.postgres_reply(link.reply) if link.service == "postgres" else None

    def hand_over(self, link: Link, reply: bytes | None = None) -> None:
        """Give the actor the answer (or one made up in its place)."""
        answer = link.reply if reply is None else reply
        link.request, link.reply, link.asked, link.sent = b"", b"", None, False
        link.client.sendall(answer)

    def hang_up(self, link: Link) -> None:
        """Break one connection: the actor sees it reset, the server forgets what was not committed."""
        self._drop(link)
        if link.backend:
            self._watch.end(link.backend)

    def cut_off(self, name: str) -> None:
        """Kill the actor's process as far as the world can see: all its connections break, new ones are refused."""
        side = self.sides[name]
        side.cut_off = True
        for link in list(side.links):
            self.hang_up(link)

    def replay(self, service: Service, request: bytes) -> None:
        """Deliver a request that its sender has long given up, as a slow network may; nobody hears the answer."""
        with socket.create_connection(self._upstreams[service], 10) as late:
            late.sendall(request)
            heard = b""
            while not frames.http_complete(heard):
                part = late.recv(65536)
                if not part:
                    return
                heard += part

    # ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _pump(self, timeout: float) -> bool:
        ready = self._selector.select(timeout)
        for key, _ in ready:
            if key.fileobj in self._selector.get_map():  # not closed by one before it
                key.data()
        return bool(ready)

    def _acceptor(self, name: str, side: Side, service: Service, listener: socket.socket) -> Callable[[], None]:
        def accept() -> None:
            client, _ = listener.accept()
            if side.cut_off:
                client.close()
                return
            server = socket.create_connection(self._upstreams[service], 10)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(name, service, client, server, greeting=service == "postgres")
            side.links.append(link)
            self._selector.register(client, selectors.EVENT_READ, lambda: self._from_client(link))
            self._selector.register(server, selectors.EVENT_READ, lambda: self._from_server(link))

        return accept

    def _from_client(self, link: Link) -> None:
        data = _received(link.client)
        if not data:
            self._drop(link)
        elif link.greeting:
            link.server.sendall(data)
        else:
            link.request += data
            link.asked = self._label(link)
            if link.asked == "(goodbye)":
                link.server.sendall(link.request)
                link.asked = None

    def _label(self, link: Link) -> str | None:
        if link.service == "postgres":
            return frames.postgres_request(link.request)
        return frames.http_label(link.request) if frames.http_complete(link.request) else None

    def _from_server(self, link: Link) -> None:
        data = _received(link.server)
        if not data:
            self._drop(link)
            return
        link.reply += data
        if link.greeting:
            link.client.sendall(data)
            # the authentication's messages are framed like any other
            reply = frames.postgres_reply(link.reply)
            if reply is not None:
                link.greeting, link.backend, link.reply = False, reply.backend or 0, b""

    def _replied(self, link: Link) -> bool:
        if link not in self.sides[link.owner].links:
            return True
        if link.service == "postgres":
            return frames.postgres_answered(link.request, link.reply)
        return frames.http_complete(link.reply)

    def _drop(self, link: Link) -> None:
        links = self.sides[link.owner].links
        if link not in links:
            return
        links.remove(link)
        link.sent = False
        for end in (link.client, link.server):
            self._selector.unregister(end)
            end.close()


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 18)
    except ConnectionError:
        return b""
