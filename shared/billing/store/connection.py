"""The one connection to PostgreSQL a process (and thread) keeps, made so that RDS Proxy never has to pin it."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from billing.errors import Transient
from billing.store import login

Connection = psycopg.Connection[tuple[Any, ...]]

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
        return psycopg.connect(autocommit=True, prepare_threshold=None, **parameters)
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
def transaction(database_url: str, *, commit: bool = True) -> Iterator[Connection]:
    """One transaction on this thread's connection. A fault of the database comes out as Transient, rolled back.

    A fault at COMMIT leaves open whether it was committed: what runs inside must be safe to run again.
    `commit` False: a trial, rolled back in any case.
    """
    connection = current(database_url)
    try:
        with connection.transaction(force_rollback=not commit):
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError) as fault:
        raise _unavailable(fault) from fault


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
