"""What RDS Proxy is to a client: TLS or nothing, a token of IAM for a password, then PostgreSQL."""

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TLS, GSS = 80877103, 80877104
REFUSAL = "The IAM authentication failed for the role {user}. Check the IAM token for this user and try again."
PATIENCE = 10.0


@dataclass
class RdsProxy:
    """Listens at `port` for `localhost`, before `database`; `passwords` are those it was given.

    `refusing`: none of them will do. Without `tls` it is some other server that has none.
    """

    upstream: tuple[str, int]
    database: str
    port: int
    tls: ssl.SSLContext | None
    refusing: bool = False
    passwords: list[str] = field(default_factory=list)

    def url(self, user: str, host: str = "localhost") -> str:
        return f"postgresql+iam://{user}@{host}:{self.port}/{self.database}"


@contextmanager
def run_rds_proxy(database_url: str, tls: ssl.SSLContext | None) -> Iterator[RdsProxy]:
    parts = urlsplit(database_url)
    listener = socket.create_server(("127.0.0.1", 0))
    upstream = (parts.hostname or "", parts.port or 5432)
    proxy = RdsProxy(upstream, parts.path.strip("/"), listener.getsockname()[1], tls)
    threads: list[threading.Thread] = []

    def accept() -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                thread = threading.Thread(target=_serve, args=(proxy, client))
                threads.append(thread)
                thread.start()

    door = threading.Thread(target=accept)
    door.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [door, *threads]:
            thread.join(PATIENCE)


def _serve(proxy: RdsProxy, client: socket.socket) -> None:
    """One client, until either side hangs up."""
    client.settimeout(PATIENCE)
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError, EOFError):
        stack.enter_context(client)
        startup, code = _opening(client)
        while code in (TLS, GSS):
            agreed = code == TLS and proxy.tls is not None
            client.sendall(b"S" if agreed else b"N")
            if agreed and proxy.tls is not None:
                client = stack.enter_context(proxy.tls.wrap_socket(client, server_side=True))
            startup, code = _opening(client)
        client.sendall(b"R" + struct.pack("!ii", 8, 3))  # a password in plain text: TLS hides it
        size = int.from_bytes(_exactly(client, 5)[1:])
        proxy.passwords.append(_exactly(client, size - 4).rstrip(b"\0").decode())
        if proxy.refusing:
            client.sendall(_refusal(user=startup[8:].split(b"\0")[1].decode()))
            return
        server = stack.enter_context(socket.create_connection(proxy.upstream, PATIENCE))
        server.sendall(startup)
        while _carried(client, server):
            pass


def _opening(client: socket.socket) -> tuple[bytes, int]:
    """The first message, which has no kind: whole, and its code."""
    head = _exactly(client, 8)
    size, code = struct.unpack("!ii", head)
    return head + _exactly(client, size - 8), code


def _refusal(user: str) -> bytes:
    fields = f"SFATAL\0C28P01\0M{REFUSAL.format(user=user)}\0\0".encode()
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


def _carried(client: socket.socket, server: socket.socket) -> bool:
    """Carry what either side says to the other; False once one has hung up."""
    waiting = isinstance(client, ssl.SSLSocket) and client.pending() > 0
    ready = [client] if waiting else select.select([client, server], [], [], PATIENCE)[0]
    for one in ready:
        said = one.recv(65_536)
        (server if one is client else client).sendall(said)
        if not said:
            return False
    return bool(ready)


def _exactly(client: socket.socket, size: int) -> bytes:
    said = b""
    while len(said) < size:
        more = client.recv(size - len(said))
        if not more:
            raise EOFError
        said += more
    return said
