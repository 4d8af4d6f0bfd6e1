"""Rebuilds of the store out of Stripe: how far each got. One is open at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Rebuild:
    """`after`: the last object done in the list of `stage`; None: its beginning. `counts`: by stage, what became of
    how many. `left_out`: the first objects that could not be taken, with why.
    """

    id: str
    status: Literal["open", "done"]
    stage: str
    after: str | None
    counts: dict[str, dict[str, int]]
    left_out: list[dict[str, Any]]
    actor: str
    started_at: datetime
    changed_at: datetime
    finished_at: datetime | None


_COLUMNS = "id, status, stage, after, counts, left_out, actor, started_at, changed_at, finished_at"
_LATEST = f"SELECT {_COLUMNS} FROM rebuilds ORDER BY started_at DESC, id DESC LIMIT 1"  # noqa: S608  no value in it
_OPEN = f"SELECT {_COLUMNS} FROM rebuilds WHERE status = 'open'"  # noqa: S608  likewise
_BEGIN = """
INSERT INTO rebuilds (id, stage, actor, started_at, changed_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
# Of two that work on one rebuild the slower one's step is not counted: both did the same.
_ADVANCE = """
UPDATE rebuilds SET stage = %(stage)s, after = %(after)s, counts = %(counts)s, left_out = %(left_out)s,
  changed_at = %(now)s, status = %(status)s, finished_at = CASE WHEN %(status)s = 'done' THEN %(now)s END
WHERE id = %(id)s AND status = 'open' AND stage = %(from_stage)s AND after IS NOT DISTINCT FROM %(from_after)s
"""
_KEPT = "SELECT EXISTS (SELECT FROM subscriptions) OR EXISTS (SELECT FROM purchases)"
_KNOWN = {
    "products": "SELECT id FROM products WHERE id = ANY(%s)",
    "prices": "SELECT id FROM prices WHERE id = ANY(%s)",
    "customers": "SELECT id FROM stripe_customers WHERE id = ANY(%s)",
    "subscriptions": "SELECT id FROM subscriptions WHERE id = ANY(%s)",
    "checkouts": "SELECT session_id FROM purchases WHERE session_id = ANY(%s) AND paid_at IS NOT NULL",
}


def latest_rebuild(connection: Connection) -> Rebuild | None:
    with connection.cursor(row_factory=class_row(Rebuild)) as cursor:
        return cursor.execute(_LATEST).fetchone()


def open_rebuild(connection: Connection) -> Rebuild | None:
    with connection.cursor(row_factory=class_row(Rebuild)) as cursor:
        return cursor.execute(_OPEN).fetchone()


def begin_rebuild(connection: Connection, rebuild_id: str, stage: str, actor: str, now: datetime) -> bool:
    """False: another one is open."""
    return connection.execute(_BEGIN, (rebuild_id, stage, actor, now, now)).rowcount == 1


def advance_rebuild(connection: Connection, before: Rebuild, now_at: Rebuild, now: datetime) -> bool:
    """False: somebody else took it further meanwhile."""
    row = {
        "id": before.id,
        "from_stage": before.stage,
        "from_after": before.after,
        "stage": now_at.stage,
        "after": now_at.after,
        "counts": Jsonb(now_at.counts),
        "left_out": Jsonb(now_at.left_out),
        "status": now_at.status,
        "now": now,
    }
    return connection.execute(_ADVANCE, row).rowcount == 1


def anything_sold(connection: Connection) -> bool:
    """Whether the store knows of any subscription or purchase."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(_KEPT).fetchone())


def known_ids(connection: Connection, stage: str, ids: Iterable[str]) -> set[str]:
    """Those that the store has; of stages whose facts are absorbing, none."""
    statement = _KNOWN.get(stage)
    if statement is None:
        return set()
    with connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute(statement.encode(), (sorted(set(ids)),)).fetchall())
