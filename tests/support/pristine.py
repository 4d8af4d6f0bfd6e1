"""How a migrated database is before its first test, and how one that was used becomes so again.

Emptied, not made anew: some milliseconds instead of a copy of three hundred files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

_OWN = 16384  # the first object id that is not PostgreSQL's own
# A constraint shows in its columns, checks, indexes or triggers; an extension in its functions.
_SHAPE: LiteralString = """
SELECT 'relations', count(*), sum(hashtextextended((relname, relnamespace, relowner, relkind, relnatts, relchecks,
    relhasindex, relhasrules, relhastriggers, relrowsecurity, relreplident, relacl, reloptions)::text, 0))
  FROM pg_class WHERE oid >= %(own)s UNION ALL
SELECT 'columns', count(*), sum(xmin::text::bigint) FROM pg_attribute WHERE attrelid >= %(own)s UNION ALL
SELECT 'triggers', count(*), sum(xmin::text::bigint) FROM pg_trigger WHERE oid >= %(own)s UNION ALL
SELECT 'functions', count(*), sum(xmin::text::bigint) FROM pg_proc WHERE oid >= %(own)s UNION ALL
SELECT 'schemas', count(*), sum(xmin::text::bigint) FROM pg_namespace UNION ALL
SELECT 'default rights', count(*), sum(xmin::text::bigint) FROM pg_default_acl UNION ALL
SELECT 'statistics', count(*), NULL FROM pg_statistic WHERE starelid >= %(own)s UNION ALL
SELECT 'settings', count(*), NULL FROM pg_db_role_setting
  WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_WRITTEN = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND oid >= %(own)s AND pg_relation_size(oid) > 0 ORDER BY relname
"""
_SEQUENCES = "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence"
_FORGET = "SELECT pg_clear_relation_stats('public', relname) FROM unnest(%s::text[]) AS relname"

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Pristine:
    """`shape`: which transactions wrote the catalog's rows, or (where emptying writes them too) what they say.
    `rows`: what migrations put in.
    """

    shape: list[tuple[Any, ...]]
    rows: Mapping[str, bytes]


def pristine(connection: Connection) -> Pristine:
    """What this database, which was just migrated, is like."""
    rows = {table: _dump(connection, table) for table in _written(connection)}
    return Pristine(_shape(connection), rows)


def empty(connection: Connection, before: Pristine) -> bool:
    """Put a database that nobody else uses back. False, and nothing done, where more than rows was changed: a table, a
    trigger, a right, a setting of the database, the planner's statistics.

    Rows are deleted with no trigger in the way, then vacuumed, so that the next test's lie in the order it writes them.
    """
    if _shape(connection) != before.shape:
        return False
    written = _written(connection)
    connection.execute("SET session_replication_role = replica")
    with connection.transaction():
        for table in written:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        connection.execute(_SEQUENCES)
    connection.execute(sql.SQL("VACUUM {}").format(sql.SQL(", ").join(map(sql.Identifier, written))))
    connection.execute(_FORGET, (written,))
    for table, dump in before.rows.items():
        _load(connection, table, dump)
    connection.execute("SELECT pg_stat_reset()")
    return True


def _shape(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(_SHAPE, {"own": _OWN}).fetchall()


def _written(connection: Connection) -> list[str]:
    """The tables that ever had a row since they were last vacuumed empty."""
    return [name for (name,) in connection.execute(_WRITTEN, {"own": _OWN})]


def _dump(connection: Connection, table: str) -> bytes:
    with connection.cursor() as cursor, cursor.copy(_copy("COPY {} TO STDOUT", table)) as out:
        return b"".join(bytes(chunk) for chunk in out)


def _load(connection: Connection, table: str, dump: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(_copy("COPY {} FROM STDIN", table)) as into:
        into.write(dump)


def _copy(statement: LiteralString, table: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(table))
