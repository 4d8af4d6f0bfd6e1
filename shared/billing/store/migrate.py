"""Brings the schema up to date: numbered SQL files, each applied once, all in one transaction."""

from __future__ import annotations

import hashlib
from importlib import resources

import psycopg

from billing.store.connection import Connection, connect

_LOCK = 0x62696C6C  # "bill": one migration at a time, released with the transaction

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


def migrate(database_url: str) -> int:
    """Apply what is missing; returns the schema's level. Run by the deployment, directly on the instance as owner.

    Raises ValueError where a file differs from what was applied under its number: write a new one instead.
    """
    with connect(database_url) as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(_TABLE)
        applied: dict[int, str] = dict(connection.execute(_APPLIED).fetchall())
        for number, name, sql in files():
            digest = hashlib.sha256(sql.encode()).hexdigest()
            if number not in applied:
                connection.execute(sql.encode())
                connection.execute(_RECORD, (number, name, digest))
            elif applied[number] != digest:
                raise ValueError(f"{name} was changed after it was applied: restore it and add a new migration")
    return wanted_level()


def files() -> list[tuple[int, str, str]]:
    """Every migration in order: number, file name, SQL."""
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
