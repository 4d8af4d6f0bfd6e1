"""Brings the schema up to date: numbered SQL files, each applied once and in its own transaction.

A file `NNNN_name_concurrently.sql` is not: PostgreSQL refuses that to what builds or drops an index beside running
writes. Each of its statements, ended by `;` and a newline, runs by itself, and all of them again if one fails.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from importlib import resources

import psycopg

from billing.errors import Transient
from billing.store.connection import Connection, connect

LOCK_SECONDS = 1
"""How long a statement waits for a table: behind it in line waits everybody else who wants that table."""

_LOCK = 0x62696C6C  # "bill": one migration at a time, released with the session
_PAUSE = 0.1
_CONCURRENTLY = "_concurrently.sql"

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  number     integer PRIMARY KEY,
  name       text NOT NULL,
  digest     text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_APPLIED = "SELECT number, digest FROM schema_migrations"
_RECORD = "INSERT INTO schema_migrations (number, name, digest) VALUES (%s, %s, %s)"
_LEVEL = "SELECT COALESCE(max(number), 0) FROM schema_migrations"
_LIMIT = "SELECT set_config('lock_timeout', %s, %s), set_config('statement_timeout', %s, %s)"

Migration = tuple[int, str, str]
"""Number, file name, SQL."""

Left = Callable[[], float]
"""Seconds that are left for all of it."""


def migrate(database_url: str, left: Left | None = None, migrations: Sequence[Migration] | None = None) -> int:
    """Apply what is missing; returns the newest one's level. Run by the deployment, as the schema's owner.

    By default all of `files()`, in ten minutes. Raises ValueError where one differs from what was applied under its
    number, or does not apply; Transient where the database broke off, or others left no time. What was applied before
    stays.
    """
    left = left or _within(600)
    migrations = migrations or files()
    try:
        with connect(database_url) as connection:  # its end frees the lock as well
            _wait_for_turn(connection, left)
            _apply_missing(connection, migrations, left)
    except psycopg.OperationalError as fault:
        raise Transient(
            "database_unavailable", f"PostgreSQL broke the migrations off ({type(fault).__name__}): deploy again."
        ) from fault
    return migrations[-1][0]


def files() -> list[Migration]:
    """Every migration in order."""
    folder = resources.files("billing.store").joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), name, folder.joinpath(name).read_text()) for name in names]


def wanted_level() -> int:
    """The level this code was written for."""
    return files()[-1][0]


def level(connection: Connection) -> int:
    """The level the database is at; 0 where nothing was ever applied."""
    try:
        row = connection.execute(_LEVEL).fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return row[0] if row else 0


def _wait_for_turn(connection: Connection, left: Left) -> None:
    """By asking again and again: who waits in a statement holds a snapshot, and a concurrent index waits for that."""
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
        if left() < _PAUSE:
            raise Transient("contended", "Another migration is at work: wait for it, then deploy again.")
        time.sleep(_PAUSE)


def _apply_missing(connection: Connection, migrations: Sequence[Migration], left: Left) -> None:
    connection.execute(_TABLE)
    applied: dict[int, str] = dict(connection.execute(_APPLIED).fetchall())
    for number, name, sql in migrations:
        digest = hashlib.sha256(sql.encode()).hexdigest()
        if number not in applied:
            _apply(connection, name, sql, (number, name, digest), left)
        elif applied[number] != digest:
            raise ValueError(f"{name} was changed after it was applied: restore it and add a new migration")


def _apply(connection: Connection, name: str, sql: str, record: tuple[int, str, str], left: Left) -> None:
    """One file, tried until its locks are had: who waits long for a lock stops all who come after it."""
    while True:
        try:
            _apply_once(connection, name, sql, record, left)
        except psycopg.errors.LockNotAvailable as fault:
            if left() < LOCK_SECONDS + _PAUSE:
                raise Transient(
                    "contended",
                    f"{name} waited in vain for a table that is in use: look for a long transaction in "
                    "pg_stat_activity, end it, then deploy again.",
                ) from fault
            time.sleep(_PAUSE)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as fault:
            said = f"{fault.sqlstate}: {fault.diag.message_primary}"  # its details may quote rows
            raise ValueError(f"{name} does not apply ({said}): mend it, then deploy again") from None
        else:
            return


def _apply_once(connection: Connection, name: str, sql: str, record: tuple[int, str, str], left: Left) -> None:
    if name.endswith(_CONCURRENTLY):
        _apply_concurrently(connection, sql, left)
        connection.execute(_RECORD, record)
        return
    with connection.transaction():
        _limit(connection, LOCK_SECONDS, left, local=True)
        connection.execute(sql.encode())
        connection.execute(_RECORD, record)


def _apply_concurrently(connection: Connection, sql: str, left: Left) -> None:
    """It waits for every older transaction, and nobody waits for it: its waiting has no limit but the time."""
    _limit(connection, 0, left, local=False)
    for statement in filter(str.strip, sql.split(";\n")):
        connection.execute(statement.encode())


def _limit(connection: Connection, lock_seconds: int, left: Left, *, local: bool) -> None:
    """So that nothing goes on in the database after its caller's time is up."""
    connection.execute(_LIMIT, (f"{lock_seconds}s", local, f"{max(int(left() * 1000), 1)}ms", local))


def _within(seconds: float) -> Left:
    ends = time.monotonic() + seconds
    return lambda: ends - time.monotonic()
