"""Runs and what they found, as operators and Prometheus read them: lists, newest run first, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from billing.domain.drift import DriftKind, DriftStatus, RunStatus
from billing.store.connection import Connection
from billing.store.drifts import DriftRow
from billing.store.runs import Run

_RUN = f"SELECT {', '.join(Run.__dataclass_fields__)} FROM runs "  # noqa: S608  the columns are ours
_RUNS = (
    _RUN
    + """
WHERE (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(at)s::timestamptz IS NULL OR (started_at, id) < (%(at)s, %(id)s))
ORDER BY started_at DESC, id DESC LIMIT %(limit)s
"""
)
_LAST_OVER = _RUN + "WHERE status IN ('done', 'failed') ORDER BY started_at DESC, id DESC LIMIT 1"
_DRIFTS = """
SELECT run_id, n, pass AS doing, kind, object_type, object_id, user_id, project_id, before, after, effect, takes,
       customer_ids, status, reason, found_at, settled_at
FROM drifts
WHERE run_id = %(run_id)s AND n > %(after)s
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(takes)s::boolean IS NULL OR COALESCE(takes, false) = %(takes)s)
ORDER BY n LIMIT %(limit)s
"""
_COUNT_RUNS = "SELECT status, count(*) FROM runs GROUP BY status"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which drifts of a run: each that is given must fit."""

    kind: DriftKind | None = None
    status: DriftStatus | None = None
    takes: bool | None = None


def list_runs(
    connection: Connection, *, status: RunStatus | None = None, after: tuple[datetime, str] | None = None, limit: int
) -> list[Run]:
    """Newest first, those behind `after` (when it started, its id)."""
    at, run_id = (None, None) if after is None else after
    values = {"status": status, "at": at, "id": run_id, "limit": limit}
    return _runs(connection, _RUNS, values)


def last_run_over(connection: Connection) -> Run | None:
    """The latest that ended by itself."""
    return next(iter(_runs(connection, _LAST_OVER, {})), None)


def list_drifts(
    connection: Connection, run_id: str, wanted: Wanted = Wanted(), *, after: int = 0, limit: int
) -> list[DriftRow]:
    """In the order they were found, those behind number `after`."""
    values = {"run_id": run_id, "after": after, "limit": limit}
    filters = {"kind": wanted.kind, "status": wanted.status, "takes": wanted.takes}
    with connection.cursor(row_factory=class_row(DriftRow)) as cursor:
        return cursor.execute(_DRIFTS, {**values, **filters}).fetchall()


def count_runs(connection: Connection) -> dict[str, int]:
    """By status, without zeros: a run a day."""
    return dict(connection.execute(_COUNT_RUNS).fetchall())


def _runs(connection: Connection, statement: str, values: Mapping[str, Any]) -> list[Run]:
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(statement.encode(), values).fetchall()
