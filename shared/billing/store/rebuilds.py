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

    `gated`: the store knew of sales, so it goes through Stripe's lists to give, and once more to take (`step`), where
    somebody would lose something by it: `losers`, our customers.
    """

    id: str
    status: Literal["open", "waiting", "done", "canceled"]
    stage: str
    after: str | None
    counts: dict[str, dict[str, int]]
    left_out: list[dict[str, Any]]
    actor: str
    started_at: datetime
    changed_at: datetime
    finished_at: datetime | None
    step: Literal["give", "take"]
    gated: bool
    losers: list[int]
    max_revocations: int | None
    approved_takes: int | None
    approved_by: str | None
    approved_at: datetime | None


_COLUMNS = ", ".join(Rebuild.__dataclass_fields__)
_LATEST = f"SELECT {_COLUMNS} FROM rebuilds ORDER BY started_at DESC, id DESC LIMIT 1"  # noqa: S608  no value in it
_AT_WORK = f"SELECT {_COLUMNS} FROM rebuilds WHERE status IN ('open', 'waiting')"  # noqa: S608  likewise
_LOCKED = _AT_WORK + " FOR UPDATE"
_BEGIN = """
INSERT INTO rebuilds (id, stage, gated, max_revocations, actor, started_at, changed_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
# Of two that work on one rebuild the slower one's step is not counted: both did the same.
_ADVANCE = """
UPDATE rebuilds SET stage = %(stage)s, after = %(after)s, counts = %(counts)s, left_out = %(left_out)s,
  changed_at = %(now)s, status = %(status)s, finished_at = CASE WHEN %(status)s = 'done' THEN %(now)s END,
  step = %(step)s, losers = %(losers)s
WHERE id = %(id)s AND status = 'open' AND step = %(from_step)s AND stage = %(from_stage)s
  AND after IS NOT DISTINCT FROM %(from_after)s
"""
_APPROVE = """
UPDATE rebuilds SET status = 'open', step = %(step)s, counts = %(counts)s, left_out = %(left_out)s,
  approved_takes = cardinality(losers), approved_by = %(actor)s, approved_at = %(now)s, changed_at = %(now)s
WHERE id = %(id)s
"""
_CANCEL = "UPDATE rebuilds SET status = 'canceled', changed_at = %(now)s, finished_at = %(now)s WHERE id = %(id)s"
_HELD_BEFORE = """
SELECT mine.customer_id, COALESCE(h.holdings, '[]') FROM (
  SELECT customer_id, min(version) AS version FROM holdings_changes
  WHERE customer_id = ANY(%s) AND cause_kind = 'run' AND cause_id = %s GROUP BY customer_id) AS mine
LEFT JOIN holdings_changes AS h ON h.customer_id = mine.customer_id AND h.version = mine.version - 1
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


def rebuild_at_work(connection: Connection) -> Rebuild | None:
    """The one that is open or waits for a person."""
    with connection.cursor(row_factory=class_row(Rebuild)) as cursor:
        return cursor.execute(_AT_WORK).fetchone()


def lock_rebuild(connection: Connection) -> Rebuild | None:
    """As `rebuild_at_work`, its row locked until the transaction ends."""
    with connection.cursor(row_factory=class_row(Rebuild)) as cursor:
        return cursor.execute(_LOCKED).fetchone()


def begin_rebuild(
    connection: Connection,
    rebuild_id: str,
    stage: str,
    actor: str,
    now: datetime,
    *,
    gated: bool,
    max_revocations: int | None,
) -> bool:
    """False: another one is at work."""
    row = (rebuild_id, stage, gated, max_revocations, actor, now, now)
    return connection.execute(_BEGIN, row).rowcount == 1


def approve_rebuild(connection: Connection, anew: Rebuild, actor: str, now: datetime) -> None:
    """It goes on and may take from as many as it told. Its row is locked by this transaction."""
    told = {"step": anew.step, "counts": Jsonb(anew.counts), "left_out": Jsonb(anew.left_out)}
    connection.execute(_APPROVE, {"id": anew.id, "actor": actor, "now": now, **told})


def cancel_rebuild(connection: Connection, rebuild_id: str, now: datetime) -> None:
    """It is over; what it added stays."""
    connection.execute(_CANCEL, {"id": rebuild_id, "now": now})


def held_before_it(
    connection: Connection, customer_ids: Iterable[int], rebuild_id: str
) -> dict[int, list[dict[str, Any]]]:
    """What those customers held before the rebuild first changed it whose holdings it has changed."""
    return dict(connection.execute(_HELD_BEFORE, (sorted(set(customer_ids)), f"run:{rebuild_id}")).fetchall())


def advance_rebuild(connection: Connection, before: Rebuild, now_at: Rebuild, now: datetime) -> bool:
    """False: somebody else took it further meanwhile."""
    row = {
        "id": before.id,
        "from_step": before.step,
        "step": now_at.step,
        "losers": now_at.losers,
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
