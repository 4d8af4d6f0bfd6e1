"""Subscriptions, their items and invoices as Stripe last stated them. Written only under the customer's row lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from billing.domain.facts import InvoiceFact, SubscriptionFact
from billing.domain.revenue import basis
from billing.store.connection import Connection
from billing.store.exchange import numbers
from billing.store.holdings import CustomerRows


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """How much is known of a subscription. `revenue_basis` is that of its last entries in the ledger (store/mrr.py)."""

    id: str
    stripe_customer_id: str
    status: str
    watermark: int
    revision: int
    revenue_basis: str


@dataclass(frozen=True, slots=True)
class Stated:
    """A subscription's fact, Stripe's second it holds since, and the id of the event or fetch that stated it."""

    fact: SubscriptionFact
    watermark: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Stored:
    """`unknown_prices` kept it from being stored. `customers`: what the rows of those asked for say now."""

    unknown_prices: list[str]
    customers: dict[int, CustomerRows]


_STATED = tuple(name for name in SubscriptionFact.__dataclass_fields__ if name not in {"truncated", "discounts"})

_ROWS = msgspec.json.Decoder(dict[int, CustomerRows])

# A function of migration 0013.
_STORE = "SELECT to_jsonb(unknown_prices), customers FROM store_subscriptions($1, $2, $3)"
_END = """
UPDATE subscriptions SET status = 'canceled', ended_at = COALESCE(ended_at, %s), observed_event = %s,
                         watermark = GREATEST(watermark, %s), revision = revision + 1, revenue_basis = ''
WHERE id = %s
"""
_INVOICE = """
INSERT INTO invoices AS i (id, stripe_customer_id, subscription_id, first_failed_at, paid_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET
  subscription_id = COALESCE(i.subscription_id, EXCLUDED.subscription_id),
  first_failed_at = LEAST(i.first_failed_at, EXCLUDED.first_failed_at),
  paid_at = LEAST(i.paid_at, EXCLUDED.paid_at)
"""
_LIVE_OF_PRODUCTS = """
SELECT s.id
FROM subscriptions AS s
JOIN stripe_customers AS k ON k.id = s.stripe_customer_id
JOIN subscription_items AS i ON i.subscription_id = s.id
JOIN prices AS r ON r.id = i.price_id
WHERE k.customer_id = %s AND k.deleted_at IS NULL AND r.product_id = ANY(%s)
  AND s.ended_at IS NULL AND s.status IN ('active', 'trialing', 'past_due', 'unpaid', 'paused')
LIMIT 1
"""


def store_subscription(connection: Connection, fact: SubscriptionFact, *, watermark: int, evidence: str) -> None:
    """Make the rows equal to the fact, items and all. Its prices must be mirrored."""
    store_subscriptions(connection, [Stated(fact, watermark, evidence)], (), if_known=False)


def store_subscriptions(
    connection: Connection, stated: Sequence[Stated], customer_ids: Sequence[int], *, if_known: bool
) -> Stored:
    """Make the rows of these subscriptions, each of another id, equal to the facts; all of them or none.

    `if_known`: only if every price is mirrored with all it asks in the subscription's currency. `customer_ids`: whose
    rows to read after it.
    """
    rows = msgspec.json.encode([_row(one) for one in stated]).decode()
    unknown, customers = connection.ask(_STORE, rows, "t" if if_known else "f", numbers(customer_ids))
    return Stored(
        msgspec.json.decode(unknown, type=list[str]) if unknown else [],
        _ROWS.decode(customers) if customers else {},
    )


def _row(stated: Stated) -> dict[str, Any]:
    fact = stated.fact
    members = {name: getattr(fact, name) for name in _STATED}
    return {
        **members,
        "revenue_basis": basis(fact),
        "observed_event": stated.evidence,
        "watermark": stated.watermark,
        "item_ids": [item.id for item in fact.items],
    }


def end_subscription(
    connection: Connection, subscription_id: str, *, at: datetime, watermark: int, evidence: str
) -> None:
    """Stripe does not know it (any more): over at `at`, unless it had ended before."""
    connection.execute(_END, (at, evidence, watermark, subscription_id))


def record_invoice(connection: Connection, fact: InvoiceFact) -> None:
    """Absorbing: the earliest payment and the earliest failure seen stay, whatever order they are told in."""
    failed_at = fact.at if fact.outcome == "failed" else None
    paid_at = fact.at if fact.outcome == "paid" else None
    instants = (None if at is None else at.isoformat() for at in (failed_at, paid_at))
    connection.tell(_INVOICE, fact.id, fact.stripe_customer_id, fact.subscription_id, *instants)


def live_subscription_of(connection: Connection, customer_id: int, product_ids: list[str]) -> str | None:
    """A subscription of the customer to any of these products that has not ended, or None."""
    row = connection.execute(_LIVE_OF_PRODUCTS, (customer_id, product_ids)).fetchone()
    return row[0] if row else None
