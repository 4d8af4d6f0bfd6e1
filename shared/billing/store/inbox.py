"""Every event Stripe ever delivered, once: the event id is the key, the body is kept as it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from billing.store.connection import Connection

Status = Literal["applied", "superseded", "ignored", "failed", "rejected_mode"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of an event. `customer_ids` are ours, whose holdings it may have changed."""

    event_id: str
    status: Status
    reason: str | None
    customer_ids: list[int]


GIVEN_UP = "broke its handling: "
"""How the reason of an event begins that the queue gave up, by no fault of its own: redriven, it is tried again."""

_CLAIM = """
INSERT INTO inbox (event_id, type, status, reason, body, created, object_id, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (event_id) DO UPDATE SET status = EXCLUDED.status, reason = EXCLUDED.reason
WHERE inbox.status = 'failed' AND starts_with(inbox.reason, %s)
"""
_SETTLE = "UPDATE inbox SET status = %s, reason = %s, customer_ids = %s, settled_at = %s WHERE event_id = %s"
_FIND = "SELECT event_id, status, reason, customer_ids FROM inbox WHERE event_id = %s"


def claim(
    connection: Connection,
    *,
    event_id: str,
    event_type: str,
    body: bytes,
    created: int | None,
    object_id: str | None,
    now: datetime,
    status: Status = "applied",
    reason: str | None = None,
) -> bool:
    """Make this transaction the one that settles the event. False: it is settled already.

    Waits while another transaction holds the same claim, and sees how that ended.
    """
    row = (event_id, event_type, status, reason, body, created, object_id, now, GIVEN_UP)
    return connection.execute(_CLAIM, row).rowcount == 1


def settle(
    connection: Connection,
    event_id: str,
    *,
    status: Status,
    now: datetime,
    reason: str | None = None,
    customer_ids: tuple[int, ...] = (),
) -> None:
    connection.execute(_SETTLE, (status, reason, list(customer_ids), now, event_id))


def find_entry(connection: Connection, event_id: str) -> Entry | None:
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_FIND, (event_id,)).fetchone()
