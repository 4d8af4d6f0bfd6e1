"""Every event Stripe ever delivered, once: the event id is the key, the body is kept as it came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from billing.store.connection import Connection
from billing.store.subjects import NOTHING, Locked, Subject, locked_from_row

Status = Literal["applied", "superseded", "ignored", "failed", "rejected_mode"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of an event. `customer_ids` are ours, whose holdings it may have changed."""

    event_id: str
    status: Status
    reason: str | None
    customer_ids: list[int]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to settle an event in this transaction. The inbox calls it `applied` and names these customers so far;
    `locked` is what the event is about.
    """

    event_id: str
    customer_ids: tuple[int, ...]
    locked: Locked


GIVEN_UP = "broke its handling: "
"""How the reason of an event begins that the queue gave up, by no fault of its own: redriven, it is tried again."""

_CLAIM = """
SELECT customer_ids, owners, subscription
FROM claim_event(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_SETTLE = "UPDATE inbox SET status = %s, reason = %s, customer_ids = %s WHERE event_id = %s"
_KNOWN = "SELECT event_id FROM inbox WHERE event_id = ANY(%s)"
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
    subject: Subject = NOTHING,
) -> Claim | None:
    """Make this transaction the one that settles the event, and lock what it is about. None: it is settled already.

    Waits while another transaction holds the same claim, and sees how that ended.
    """
    entry = (event_id, event_type, status, reason, body, created, object_id, now)
    about = (sorted(subject.stripe_ids), subject.subscription_id)
    row = connection.execute(_CLAIM, (*entry, GIVEN_UP, *about)).fetchone()
    if row is None or row[0] is None:
        return None
    customer_ids, *locked = row
    return Claim(event_id, tuple(customer_ids), locked_from_row(*locked))


def settle(
    connection: Connection,
    claimed: Claim,
    *,
    status: Status,
    reason: str | None,
    customer_ids: tuple[int, ...],
) -> None:
    """How it came out. Most events are applied to the customer they name, as the claim says: nothing to write."""
    if (status, reason, customer_ids) != ("applied", None, claimed.customer_ids):
        connection.execute(_SETTLE, (status, reason, list(customer_ids), claimed.event_id))


def find_entry(connection: Connection, event_id: str) -> Entry | None:
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_FIND, (event_id,)).fetchone()


def unknown_events(connection: Connection, event_ids: Iterable[str]) -> set[str]:
    """Those that never came here, or that the inbox has lost."""
    asked = set(event_ids)
    return asked - {row[0] for row in connection.execute(_KNOWN, (sorted(asked),))}
