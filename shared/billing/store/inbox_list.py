"""The inbox as operators look through it: newest first, by index, bodies left where they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from billing.store.connection import Connection
from billing.store.inbox import Status


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; None leaves a filter out. `customer` is a Stripe customer's id; the window is half-open."""

    status: Status | None = None
    type: str | None = None
    object_id: str | None = None
    customer: str | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An event less its body, which has `size` bytes. `created` is Stripe's clock in whole seconds."""

    event_id: str
    type: str
    status: Status
    reason: str | None
    created: int | None
    object_id: str | None
    received_at: datetime
    settled_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Kept:
    """An event with its body as it came, and whom it touched: (namespace, user id) of our customers."""

    row: Row
    body: bytes
    customers: tuple[tuple[str, str], ...]


# A filter that is not asked for is NULL, and gone before the plan is made: each of the others has its index.
_LIST = """
SELECT event_id, type, status, reason, created, object_id, received_at, settled_at, size
FROM (SELECT *, octet_length(body) AS size FROM inbox) AS kept
WHERE (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(type)s::text IS NULL OR type = %(type)s)
  AND (%(object_id)s::text IS NULL OR object_id = %(object_id)s)
  AND (%(received_from)s::timestamptz IS NULL OR received_at >= %(received_from)s)
  AND (%(received_to)s::timestamptz IS NULL OR received_at < %(received_to)s)
  AND (%(at)s::timestamptz IS NULL OR (received_at, event_id) < (%(at)s, %(after_id)s))
ORDER BY received_at DESC, event_id DESC LIMIT %(limit)s
"""
# One customer's events are few and lie scattered: collected by their own index first, never sought by walking time.
_LIST_OF_CUSTOMER = _LIST.replace(
    "FROM inbox",
    """
FROM stripe_customers AS k JOIN inbox AS i ON i.customer_ids @> ARRAY[k.customer_id]
WHERE k.id = %(customer)s OFFSET 0""",
)
_FIND = """
SELECT event_id, type, status, reason, created, object_id, received_at, settled_at, octet_length(body) AS size, body,
  (SELECT COALESCE(jsonb_agg(jsonb_build_array(c.namespace, c.user_id) ORDER BY c.id), '[]')
     FROM customers AS c WHERE c.id = ANY(inbox.customer_ids)) AS customers
FROM inbox WHERE event_id = %s
"""


def list_events(connection: Connection, wanted: Wanted, *, after: tuple[datetime, str] | None, limit: int) -> list[Row]:
    """Newest received first, those behind `after` (when it was received, its id)."""
    at, after_id = after or (None, None)
    asked = {name: getattr(wanted, name) for name in Wanted.__dataclass_fields__}
    statement = _LIST if wanted.customer is None else _LIST_OF_CUSTOMER
    with connection.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(statement, {**asked, "at": at, "after_id": after_id, "limit": limit}).fetchall()


def find_event(connection: Connection, event_id: str) -> Kept | None:
    row = connection.execute(_FIND, (event_id,)).fetchone()
    return None if row is None else _kept(*row)


def _kept(*columns: Any) -> Kept:
    *members, body, customers = columns
    return Kept(Row(*members), body, tuple((namespace, user_id) for namespace, user_id in customers))
