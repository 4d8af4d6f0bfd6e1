"""What commits still owe to the cache and the bus: deleted only once it is paid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Debt:
    """One row: a customer whose snapshots, or a project whose key records, must be published."""

    id: int
    customer_id: int | None
    project_id: str | None
    cause_kind: str
    cause_id: str

    @property
    def cause(self) -> tuple[str, str]:
        return self.cause_kind, self.cause_id


_COLUMNS = "SELECT id, customer_id, project_id, cause_kind, cause_id FROM outbox "
_OF_CUSTOMER = _COLUMNS + "WHERE customer_id = %s ORDER BY id"
_OF_PROJECT = _COLUMNS + "WHERE project_id = %s ORDER BY id"
_FRESH = _COLUMNS + "WHERE attempts = 0 ORDER BY id LIMIT %s"
_TRIED = _COLUMNS + "WHERE next_try_at <= %s ORDER BY next_try_at, id LIMIT %s"
# 45 s, so that the next minute's sweep tries again, then twice as long each time, to ten minutes.
_DEFER = """
UPDATE outbox SET attempts = attempts + 1,
  next_try_at = %(now)s + make_interval(secs => LEAST(600, 45 * 2 ^ LEAST(attempts, 10)))
WHERE customer_id IS NOT DISTINCT FROM %(customer_id)s AND project_id IS NOT DISTINCT FROM %(project_id)s
"""
_BACKLOG = """
SELECT count(*) AS debts, count(*) FILTER (WHERE attempts > 0) AS tried,
       COALESCE(EXTRACT(epoch FROM clock_timestamp() - min(created_at)), 0)::bigint AS oldest_seconds
FROM (SELECT created_at, attempts FROM outbox ORDER BY id LIMIT %s) AS owed
"""
_PAID = "DELETE FROM outbox WHERE id = ANY(%s)"
_OWE_PROJECT = "INSERT INTO outbox (project_id, cause_kind, cause_id) VALUES (%s, %s, %s)"


def debts_of_customer(connection: Connection, customer_id: int) -> list[Debt]:
    with connection.cursor(row_factory=class_row(Debt)) as cursor:
        return cursor.execute(_OF_CUSTOMER, (customer_id,)).fetchall()


def debts_of_project(connection: Connection, project_id: str) -> list[Debt]:
    with connection.cursor(row_factory=class_row(Debt)) as cursor:
        return cursor.execute(_OF_PROJECT, (project_id,)).fetchall()


def due_debts(connection: Connection, now: datetime, *, fresh: int, tried: int) -> list[Debt]:
    """The oldest that no sweep has tried yet, then the tried ones whose time has come: so many of each at most.

    Each kind has its own share: neither can keep the other waiting.
    """
    with connection.cursor(row_factory=class_row(Debt)) as cursor:
        untried = cursor.execute(_FRESH, (fresh,)).fetchall()
        return [*untried, *cursor.execute(_TRIED, (now, tried)).fetchall()]


def defer(connection: Connection, debt: Debt, now: datetime) -> None:
    """All that is owed to this customer or project could not be paid now: it steps back for a while."""
    connection.execute(_DEFER, {"now": now, "customer_id": debt.customer_id, "project_id": debt.project_id})


def paid(connection: Connection, debts: list[Debt]) -> None:
    """These are in the cache now. Rows must have been read *before* the state that was published."""
    connection.execute(_PAID, ([debt.id for debt in debts],))


def owe_project(connection: Connection, project_id: str, *, cause_kind: str, cause_id: str) -> None:
    connection.execute(_OWE_PROJECT, (project_id, cause_kind, cause_id))


MOST_COUNTED = 10_000
"""Beyond it a backlog is not counted on: it is large enough for an alarm."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is owed now, up to `MOST_COUNTED`; `tried`: in vain, by a sweep; the age of the oldest in seconds."""

    debts: int
    tried: int
    oldest_seconds: int


def backlog(connection: Connection) -> Backlog:
    with connection.cursor(row_factory=class_row(Backlog)) as cursor:
        return cursor.execute(_BACKLOG, (MOST_COUNTED,)).fetchall()[0]
