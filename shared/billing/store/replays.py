"""Events of the inbox that are settled once more, at an operator's word. Their bodies and ids never change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from billing.store.connection import Connection
from billing.store.inbox import Entry, Status

Replayable = Literal["failed", "superseded", "ignored", "rejected_mode"]
"""What may be replayed in bulk. Events that were applied are replayed one by one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; None leaves a filter out. The window of their arrival is half-open."""

    status: Replayable
    type: str | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """An event in the order of Stripe's clock, in whole seconds; 0 for one that names no time."""

    created: int
    event_id: str


_RETAKE = "SELECT event_id, status, reason, customer_ids FROM inbox WHERE event_id = %s FOR UPDATE"
_RESETTLE = """
UPDATE inbox SET status = %(status)s, reason = %(reason)s, settled_at = %(now)s,
  customer_ids = ARRAY(SELECT DISTINCT unnest(customer_ids || %(customer_ids)s::bigint[]) ORDER BY 1)
WHERE event_id = %(event_id)s
"""
# `status <> 'applied'` is said once more for the partial index.
_SELECT = """
SELECT COALESCE(created, 0) AS created, event_id FROM inbox
WHERE status = %(status)s AND status <> 'applied'
  AND (%(type)s::text IS NULL OR type = %(type)s)
  AND (%(received_from)s::timestamptz IS NULL OR received_at >= %(received_from)s)
  AND (%(received_to)s::timestamptz IS NULL OR received_at < %(received_to)s)
  AND (%(after_id)s::text IS NULL OR (COALESCE(created, 0), event_id) > (%(after_created)s::bigint, %(after_id)s))
ORDER BY COALESCE(created, 0), event_id LIMIT %(limit)s
"""
_CUSTOMERS = "SELECT DISTINCT unnest(customer_ids) AS id FROM inbox WHERE event_id = ANY(%s) ORDER BY id"
_ONLY_PROJECT = """
SELECT min(p.id) FROM customers AS c JOIN projects AS p ON p.identity_namespace = c.namespace
WHERE c.id = ANY(%s) HAVING count(DISTINCT p.id) = 1
"""


def retake(connection: Connection, event_id: str) -> Entry | None:
    """The event as it was settled, locked until the transaction ends: a delivery of it waits. None: not known."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_RETAKE, (event_id,)).fetchone()


def resettle(
    connection: Connection,
    event_id: str,
    *,
    status: Status,
    reason: str | None,
    customer_ids: Sequence[int],
    now: datetime,
) -> None:
    """What became of a retaken event. Customers are added: whom it touched before it may still owe."""
    members = {"event_id": event_id, "status": status, "reason": reason, "customer_ids": list(customer_ids)}
    connection.execute(_RESETTLE, {**members, "now": now})


def events_to_replay(connection: Connection, wanted: Wanted, *, after: Place | None, limit: int) -> list[Place]:
    """In the order of Stripe's clock, those behind `after`."""
    asked = {name: getattr(wanted, name) for name in Wanted.__dataclass_fields__}
    place = {"after_created": after and after.created, "after_id": after and after.event_id}
    with connection.cursor(row_factory=class_row(Place)) as cursor:
        return cursor.execute(_SELECT, {**asked, **place, "limit": limit}).fetchall()


def customers_of(connection: Connection, event_ids: Iterable[str]) -> list[int]:
    """Ours, whose holdings these events may have changed, in the order in which locks are taken."""
    return [row[0] for row in connection.execute(_CUSTOMERS, (list(event_ids),)).fetchall()]


def only_project(connection: Connection, customer_ids: Sequence[int]) -> str | None:
    """The project of these customers where it is one and the same for all; a namespace may serve several."""
    row = connection.execute(_ONLY_PROJECT, (list(customer_ids),)).fetchone()
    return row[0] if row else None
