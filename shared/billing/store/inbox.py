"""Every event Stripe ever delivered, once: the event id is the key, the body is kept as it came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Literal

import msgspec
from psycopg.rows import class_row

from billing.store.connection import Connection
from billing.store.exchange import numbers
from billing.store.subjects import NOTHING, Locked, Subject, locked_of
from billing.store.subscriptions import SubscriptionRow

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

_CLAIM = "SELECT claimed, owners, subscriptions FROM claim_events($1, $2, $3, $4)"  # a function of migration 0013
_SETTLE = "UPDATE inbox SET status = $1, reason = $2, customer_ids = $3 WHERE event_id = $4"
_CLAIMED = msgspec.json.Decoder(dict[str, tuple[int, ...]])
_OWNERS = msgspec.json.Decoder(dict[str, int])
_SUBSCRIPTIONS = msgspec.json.Decoder(dict[str, SubscriptionRow])
_KNOWN = "SELECT event_id FROM inbox WHERE event_id = ANY(%s)"
_FIND = "SELECT event_id, status, reason, customer_ids FROM inbox WHERE event_id = %s"


@dataclass(frozen=True, slots=True)
class Told:
    """A delivered event, what it comes to so far, and what it is about. `created`: Stripe's clock."""

    event_id: str
    event_type: str
    body: bytes
    created: int | None
    object_id: str | None
    status: Status = "applied"
    reason: str | None = None
    subject: Subject = NOTHING


def claim(connection: Connection, told: Told, now: datetime) -> Claim | None:
    """Make this transaction the one that settles the event, and lock what it is about. None: it is settled already.

    Waits while another transaction holds the same claim, and sees how that ended.
    """
    return claim_all(connection, (told,), now).get(told.event_id)


def claim_all(connection: Connection, events: Iterable[Told], now: datetime) -> dict[str, Claim]:
    """Those of the events, each of another id, that were not settled before; by id.

    Claims are taken in the order of ids, then the locks of all owners in theirs: two that do so never wait for each
    other.
    """
    told = sorted(events, key=lambda one: one.event_id)
    places = accumulate((len(one.body) for one in told), initial=1)
    rows = msgspec.json.encode([_row(one, place) for one, place in zip(told, places, strict=False)]).decode()
    bodies = b"".join(one.body for one in told)
    answer = connection.ask(_CLAIM, rows, bodies, now.isoformat(), GIVEN_UP)
    claimed = _CLAIMED.decode(answer[0] or b"")
    locked = _OWNERS.decode(answer[1] or b""), _SUBSCRIPTIONS.decode(answer[2] or b"")
    return {
        one.event_id: Claim(one.event_id, claimed[one.event_id], locked_of(one.subject, *locked))
        for one in told
        if one.event_id in claimed
    }


def _row(told: Told, place: int) -> dict[str, object]:
    """`place`: of its body's first byte among all of them, from 1."""
    about = (sorted(told.subject.stripe_ids), told.subject.subscription_id)
    return {
        "id": told.event_id,
        "type": told.event_type,
        "status": told.status,
        "reason": told.reason,
        "created": told.created,
        "object": told.object_id,
        "place": place,
        "size": len(told.body),
        "claimants": about[0],
        "subscription": about[1],
    }


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
        connection.tell(_SETTLE, status, reason, numbers(customer_ids), claimed.event_id)


def find_entry(connection: Connection, event_id: str) -> Entry | None:
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_FIND, (event_id,)).fetchone()


def unknown_events(connection: Connection, event_ids: Iterable[str]) -> set[str]:
    """Those that never came here, or that the inbox has lost."""
    asked = set(event_ids)
    return asked - {row[0] for row in connection.execute(_KNOWN, (sorted(asked),))}
