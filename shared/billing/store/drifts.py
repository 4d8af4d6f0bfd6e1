"""What a run found, row by row, and what became of it. Every writer holds its run (`runs.hold`) in the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.domain.drift import DriftKind, DriftStatus, PassName
from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One disagreement: `before` is the object as it was found, `after` as it should be, {} where it is not there.

    `effect` is {before, after} of the access that its repair changes (or would); `takes`: a feature is taken from
    somebody; None: not tried yet. `customer_ids` are ours, whom repairing it touches.
    """

    run_id: str
    n: int
    doing: PassName
    kind: DriftKind
    object_type: str
    object_id: str
    user_id: str | None
    project_id: str | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    found_at: datetime
    reason: str | None = None
    effect: dict[str, Any] | None = None
    takes: bool | None = None
    customer_ids: list[int] = field(default_factory=list)
    status: DriftStatus = "found"
    settled_at: datetime | None = None


_INSERT = """
INSERT INTO drifts (run_id, n, pass, kind, object_type, object_id, user_id, project_id, before, after, reason, found_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def insert_drifts(connection: Connection, rows: Iterable[DriftRow]) -> None:
    """As they were found; their numbers go on from the run's last."""
    values = [
        (
            row.run_id,
            row.n,
            row.doing,
            row.kind,
            row.object_type,
            row.object_id,
            row.user_id,
            row.project_id,
            Jsonb(dict(row.before)),
            Jsonb(dict(row.after)),
            row.reason,
            row.found_at,
        )
        for row in rows
    ]
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, values)


_SELECT = """
SELECT run_id, n, pass AS doing, kind, object_type, object_id, user_id, project_id, before, after, effect, takes,
       customer_ids, status, reason, found_at, settled_at
FROM drifts
"""
_UNSETTLED = _SELECT + "WHERE run_id = %s AND pass = %s AND status = 'found' AND n > %s ORDER BY n LIMIT %s"


def unsettled(connection: Connection, run_id: str, doing: PassName, *, after: int, limit: int) -> list[DriftRow]:
    """Those of a pass that nothing became of yet, behind number `after`, in order."""
    with connection.cursor(row_factory=class_row(DriftRow)) as cursor:
        return cursor.execute(_UNSETTLED, (run_id, doing, after, limit)).fetchall()


_CLAIM = """
UPDATE drifts SET status = 'repaired', settled_at = %(now)s, takes = COALESCE(%(takes)s, takes),
  effect = COALESCE(%(effect)s, effect), customer_ids = COALESCE(%(customer_ids)s, customer_ids)
WHERE run_id = %(run_id)s AND n = %(n)s AND status = 'found'
"""
_NOTE = """
UPDATE drifts SET status = %(status)s, reason = COALESCE(%(reason)s, reason), takes = %(takes)s,
  effect = COALESCE(%(effect)s, effect), customer_ids = %(customer_ids)s,
  settled_at = CASE WHEN %(status)s = 'found' THEN NULL ELSE %(now)s::timestamptz END
WHERE run_id = %(run_id)s AND n = %(n)s
"""


def claim_drift(
    connection: Connection,
    run_id: str,
    n: int,
    *,
    takes: bool | None = None,
    effect: Mapping[str, Any] | None = None,
    customer_ids: Sequence[int] | None = None,
    now: datetime,
) -> bool:
    """It counts as repaired once this transaction, the repair's, is committed, with what its trial told: whoever dies
    then has noted it. None: as it is noted already. False: it was settled before.
    """
    members = {
        "run_id": run_id,
        "n": n,
        "takes": takes,
        "effect": None if effect is None else Jsonb(effect),
        "customer_ids": None if customer_ids is None else list(customer_ids),
        "now": now,
    }
    return connection.execute(_CLAIM, members).rowcount == 1


def note_drift(
    connection: Connection,
    run_id: str,
    n: int,
    *,
    status: DriftStatus,
    takes: bool | None,
    reason: str | None = None,
    effect: Mapping[str, Any] | None = None,
    customer_ids: Sequence[int] = (),
    now: datetime,
) -> None:
    """What a repair, or its trial (`found`: it is still to be repaired), came to."""
    members: dict[str, Any] = {
        "run_id": run_id,
        "n": n,
        "status": status,
        "takes": takes,
        "reason": reason,
        "effect": None if effect is None else Jsonb(effect),
        "customer_ids": list(customer_ids),
        "now": now,
    }
    connection.execute(_NOTE, members)


_DISCARD = "DELETE FROM drifts WHERE run_id = %s AND pass = %s AND status = 'found'"
_LOSERS = """
SELECT count(DISTINCT customer_id) FROM drifts AS d CROSS JOIN LATERAL unnest(d.customer_ids) AS customer_id
WHERE d.run_id = %s AND d.takes AND d.status IN ('found', 'repaired')
"""
_COUNTS = "SELECT kind, status, count(*) FROM drifts WHERE run_id = %s GROUP BY kind, status ORDER BY kind, status"


def discard_unsettled(connection: Connection, run_id: str, doing: PassName) -> None:
    """Before a pass looks afresh."""
    connection.execute(_DISCARD, (run_id, doing))


def count_losers(connection: Connection, run_id: str) -> int:
    """Customers from whom the run took something, or would."""
    row = connection.execute(_LOSERS, (run_id,)).fetchone()
    return row[0] if row else 0


def count_drifts(connection: Connection, run_id: str) -> dict[str, dict[str, int]]:
    """{kind: {status: how many}}, without zeros."""
    counts: dict[str, dict[str, int]] = {}
    for kind, status, number in connection.execute(_COUNTS, (run_id,)).fetchall():
        counts.setdefault(kind, {})[status] = number
    return counts


# The row of object type '' tells an emptied table from an empty listing: recovery empties unlogged tables.
_STAGED = "SELECT true FROM run_listing WHERE run_id = %s AND object_type = '' AND object_id = ''"
_MARK = "INSERT INTO run_listing (run_id, object_type, object_id, state, listed_at_second) VALUES (%s, '', '', '{}', 0)"
_CLEAR = """
DELETE FROM run_listing WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM run_listing WHERE (run_id = %(run_id)s) = %(own)s LIMIT %(limit)s))
"""
CLEARED_AT_ONCE = 5_000


def staging_stands(connection: Connection, run_id: str) -> bool:
    """Whether what the run staged is still there."""
    return connection.execute(_STAGED, (run_id,)).fetchone() is not None


def mark_staging(connection: Connection, run_id: str) -> None:
    """The run begins to stage."""
    connection.execute(_MARK, (run_id,))


def clear_staging(connection: Connection, run_id: str, *, own: bool) -> bool:
    """Delete at most `CLEARED_AT_ONCE` staged rows of this run, or (not `own`) of all others. True: maybe not all."""
    values = {"run_id": run_id, "own": own, "limit": CLEARED_AT_ONCE}
    return connection.execute(_CLEAR, values).rowcount == CLEARED_AT_ONCE


# What a person was told of an orphan is told once: later runs ask for it, however long ago it was.
_PRUNE_DRIFTS = """
DELETE FROM drifts WHERE (run_id, n) IN (
  SELECT d.run_id, d.n FROM runs AS r JOIN drifts AS d ON d.run_id = r.id
  WHERE r.started_at < %(before)s AND r.status IN ('done', 'failed', 'canceled')
    AND (r.dry_run OR d.kind <> 'orphan' OR d.status <> 'left')
  LIMIT %(limit)s)
"""
_PRUNE_RUNS = """
DELETE FROM runs WHERE id IN (
  SELECT r.id FROM runs AS r
  WHERE r.started_at < %(before)s AND r.status IN ('done', 'failed', 'canceled')
    AND NOT EXISTS (SELECT FROM drifts AS d WHERE d.run_id = r.id)
  LIMIT %(limit)s)
"""


def prune(connection: Connection, before: datetime) -> bool:
    """Delete runs that started before that and are over, with what they found: at most `CLEARED_AT_ONCE` of either.
    What later runs rely on stays, and its run with it. True: maybe not all.
    """
    values = {"before": before, "limit": CLEARED_AT_ONCE}
    found = connection.execute(_PRUNE_DRIFTS, values).rowcount
    return max(found, connection.execute(_PRUNE_RUNS, values).rowcount) == CLEARED_AT_ONCE
