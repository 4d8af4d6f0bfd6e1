"""The one connection to PostgreSQL a process (and thread) keeps, made so that RDS Proxy never has to pin it."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from billing.errors import Transient
from billing.store import login
from billing.store.exchange import Value, exchange

Answer = TypeVar("Answer")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """psycopg's, with a short way to the server (docs/adr/0045): what is told, not asked, waits within a `held`
    transaction for the next that asks, and travels with it. psycopg's own pipeline costs more time than it saves.
    """

    _held: list[tuple[bytes, tuple[Value, ...]]] | None = None

    def tell(self, statement: str, *values: Value) -> None:
        """Run it with the next that is asked; at once outside a `held` transaction. Parameters are `$1` and so on."""
        if self._held is None:
            self.ask(statement, *values)
        else:
            self._held.append((statement.encode(), values))

    def ask(self, statement: str, *values: Value) -> tuple[bytes | None, ...]:
        """The first row of its answer, as text; none: (). Raises psycopg.Error, that of whichever failed first."""
        held, self._held = self._held or [], None if self._held is None else []
        return exchange(self.pgconn, [*held, (statement.encode(), values)])

    def hold(self) -> None:
        """Begin a transaction with the first statement."""
        self._held = [(b"BEGIN", ())]

    def release(self, last: str) -> None:
        """End it, by COMMIT or ROLLBACK."""
        self.ask(last)
        self._held = None

    def abandon(self) -> None:
        """Undo what is left of it, on whatever came between."""
        self._held = None
        if not self.closed and self.pgconn.transaction_status != TransactionStatus.IDLE:
            self.rollback()

    def wait(self, gen: PQGen[Answer], interval: float = 0.1, timeout: float | None = None) -> Answer:
        """Whatever psycopg is about to ask: first what is held."""
        if self._held:
            held, self._held = self._held, []
            exchange(self.pgconn, held)
        return super().wait(gen, interval, timeout)


_kept = threading.local()

_OURS: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "billing",
}


def connect(database_url: str) -> Connection:
    """A new connection: autocommit, no prepared statements (they pin), dead peers noticed within seconds.

    Raises Transient where PostgreSQL cannot be reached or lets nobody in, BadSettings for a URL that cannot log in.
    """
    parameters = login.parameters(database_url) | _OURS
    try:
        return Connection.connect(autocommit=True, prepare_threshold=None, **parameters)
    except psycopg.OperationalError as fault:
        raise _refused(fault) from fault


def current(database_url: str) -> Connection:
    """Give this thread its connection, opened anew where it is closed or its server has gone away meanwhile."""
    connections: dict[str, Connection] = _kept.__dict__.setdefault("connections", {})
    connection = connections.get(database_url)
    if connection is None or connection.closed or _stale(connection):
        if connection is not None:
            connection.close()
        connection = connections[database_url] = connect(database_url)
    return connection


def close(database_url: str) -> None:
    """Give up this thread's connection, if it has one."""
    connections: dict[str, Connection] = _kept.__dict__.setdefault("connections", {})
    connection = connections.pop(database_url, None)
    if connection is not None:
        connection.close()


@contextmanager
def transaction(database_url: str, *, commit: bool = True, held: bool = False) -> Iterator[Connection]:
    """One transaction on this thread's connection. A fault of the database comes out as Transient, rolled back.

    A fault at COMMIT leaves open whether it was committed: what runs inside must be safe to run again.
    `commit` False: a trial, rolled back in any case. `held`: BEGIN travels with the first statement, and with
    COMMIT what was told last, whose fault shows only then.
    """
    connection = current(database_url)
    scope: AbstractContextManager[object] = connection.transaction(force_rollback=not commit)
    if held and connection.pgconn.transaction_status == TransactionStatus.IDLE:
        scope = _held(connection, commit=commit)
    try:
        with scope:
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError) as fault:
        raise _unavailable(fault) from fault


@contextmanager
def _held(connection: Connection, *, commit: bool) -> Iterator[None]:
    connection.hold()
    try:
        yield
        connection.release("COMMIT" if commit else "ROLLBACK")
    except BaseException:
        connection.abandon()
        raise


def _stale(connection: Connection) -> bool:
    """An idle connection has nothing to say: if its socket is readable, that is the server's goodbye."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poller.poll(0))


def _refused(fault: psycopg.OperationalError) -> Transient:
    """Why there is no connection, in so far as libpq's and RDS Proxy's texts tell."""
    text = str(fault).lower()
    if "certificate" in text or "ssl" in text:
        return Transient(
            "database_unavailable",
            "PostgreSQL's certificate is not trusted, or names another host than DATABASE_URL: use the address that "
            "AWS gives the proxy, and the system's own trusted certificates.",
        )
    if "authentication" in text or "credentials" in text or 'role "' in text:
        return Transient(
            "database_unavailable",
            "PostgreSQL refused the login: the function needs rds-db:connect for its user, that user must exist (the "
            "migrations make it), and the clock must be right.",
        )
    return _unavailable(fault)


def _unavailable(fault: psycopg.Error) -> Transient:
    return Transient("database_unavailable", f"PostgreSQL did not answer ({type(fault).__name__}); try again.")
