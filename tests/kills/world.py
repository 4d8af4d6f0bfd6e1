"""Everything that a run may change, as it stands: every row of the store, every item of the cache."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from billing.cache.client import Item
from tests.kills.scene import Scene

Row = dict[str, Any]

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
_ROWS = "SELECT to_jsonb(t) FROM {} AS t ORDER BY t::text"
_EVIDENCE = ("takes", "effect", "customer_ids")
_RIGHT_BY_NOW = "it is right by now"

_CHAINED = ("seq", "hash", "previous_hash")
UNLIKE: dict[str, Collection[str]] = {
    "runs": ("token", "holder", "lease_until"),
    "outbox": ("id", "created_at"),
    "fetch_budget": ("available", "refreshed_at"),
}
"""Columns that tell which worker it was and when by the database's clock, or number what is gone again."""


@dataclass(frozen=True)
class World:
    """`store`: the rows of each table; `cache`: the items by pk."""

    store: Mapping[str, list[Row]]
    cache: Mapping[str, Item]

    @property
    def mended_unsaid(self) -> set[str]:
        """Items that a worker put right, and died before it could say so: the next finds nothing to do (ADR 30)."""
        return {
            row["object_id"]
            for row in self.store["drifts"]
            if (row["pass"], row["status"], row["reason"]) == ("cache", "left", _RIGHT_BY_NOW)
        }

    def beside(self, other: "World") -> list[str]:
        """What is here and not there ("+"), and there and not here ("-"), but for what `mended_unsaid` allows."""
        unsaid = self.mended_unsaid
        told = []
        for table in self.store:
            ours, theirs = (_plain(table, world.store[table], unsaid) for world in (self, other))
            told += [f"+ {table} {row}" for row in ours if row not in theirs or ours.count(row) > theirs.count(row)]
            told += [f"- {table} {row}" for row in theirs if row not in ours]
        for pk in sorted({*self.cache, *other.cache}):
            if self.cache.get(pk) != other.cache.get(pk):
                told += [f"+ {pk} {self.cache.get(pk)}", f"- {pk} {other.cache.get(pk)}"]
        return told


def look(scene: Scene, database_url: str) -> World:
    with psycopg.connect(database_url, autocommit=True) as connection:
        tables = [name for (name,) in connection.execute(_TABLES).fetchall()]
        store = {name: _rows(connection, name) for name in tables}
    return World(store, {item["pk"]["S"]: item for item in scene.cached()})


def _rows(connection: psycopg.Connection[Any], table: str) -> list[Row]:
    rows = [row for (row,) in connection.execute(_ROWS.format(table).encode()).fetchall()]
    return [_without(row, UNLIKE.get(table, ())) for row in rows]


def _plain(table: str, stored: list[Row], unsaid: Collection[str]) -> list[Row]:
    """Rows as they compare where a worker mended these items and died before it could say so."""
    rows = [_told(row) for row in stored] if table == "drifts" else stored
    if not unsaid:
        return rows
    match table:
        case "drifts":
            return [_without(row, ("status", "reason")) if row["object_id"] in unsaid else row for row in rows]
        case "audit":
            return [_without(row, _CHAINED) for row in rows if row["target"] not in unsaid]
        case "audit_heads":
            return []
        case "runs":
            return [_without(row, ["counts"]) for row in rows]
    return rows


def _told(drift: Row) -> Row:
    """The cache's are tried by nobody: whoever dies behind the repair has not noted its effect, which before and after
    tell as well.
    """
    return _without(drift, _EVIDENCE) if drift["pass"] == "cache" else drift


def _without(row: Row, columns: Collection[str]) -> Row:
    return {name: value for name, value in row.items() if name not in columns}
