"""Subscriptions, their items and invoices as Stripe last stated them. Written only under the customer's row lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from billing.domain.facts import InvoiceFact, SubscriptionFact
from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """How much is known of a subscription."""

    id: str
    stripe_customer_id: str
    status: str
    watermark: int
    revision: int


_FIND = "SELECT id, stripe_customer_id, status, watermark, revision FROM subscriptions WHERE id = %s FOR UPDATE"
_OWNER = "SELECT stripe_customer_id FROM subscriptions WHERE id = %s"

# The subscription and exactly its items, in one statement; foreign keys are checked at its end.
_STORE = """
WITH stored AS (
  INSERT INTO subscriptions AS s (id, stripe_customer_id, status, start_at, trial_end, cancel_at, cancel_at_period_end,
                                  canceled_at, ended_at, latest_invoice_id, observed_event, watermark)
  VALUES (%(id)s, %(stripe_customer_id)s, %(status)s, %(start)s, %(trial_end)s, %(cancel_at)s,
          %(cancel_at_period_end)s, %(canceled_at)s, %(ended_at)s, %(latest_invoice_id)s, %(observed_event)s,
          %(watermark)s)
  ON CONFLICT (id) DO UPDATE SET
    stripe_customer_id = EXCLUDED.stripe_customer_id, status = EXCLUDED.status, start_at = EXCLUDED.start_at,
    trial_end = EXCLUDED.trial_end, cancel_at = EXCLUDED.cancel_at,
    cancel_at_period_end = EXCLUDED.cancel_at_period_end, canceled_at = EXCLUDED.canceled_at,
    ended_at = EXCLUDED.ended_at, latest_invoice_id = EXCLUDED.latest_invoice_id,
    observed_event = EXCLUDED.observed_event, watermark = EXCLUDED.watermark, revision = s.revision + 1
), dropped AS (
  DELETE FROM subscription_items WHERE subscription_id = %(id)s AND id <> ALL(%(item_ids)s)
)
INSERT INTO subscription_items (id, subscription_id, price_id, quantity, period_start, period_end)
SELECT item, %(id)s, price, quantity, starts, ends
FROM unnest(%(item_ids)s::text[], %(prices)s::text[], %(quantities)s::bigint[], %(starts)s::timestamptz[],
            %(ends)s::timestamptz[]) AS t (item, price, quantity, starts, ends)
ON CONFLICT (id) DO UPDATE SET
  subscription_id = EXCLUDED.subscription_id, price_id = EXCLUDED.price_id, quantity = EXCLUDED.quantity,
  period_start = EXCLUDED.period_start, period_end = EXCLUDED.period_end
"""
_END = """
UPDATE subscriptions SET status = 'canceled', ended_at = COALESCE(ended_at, %s), observed_event = %s,
                         watermark = GREATEST(watermark, %s), revision = revision + 1
WHERE id = %s
"""
_INVOICE = """
INSERT INTO invoices AS i (id, stripe_customer_id, subscription_id, first_failed_at, paid_at)
VALUES (%s, %s, %s, %s, %s)
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


def find_subscription(connection: Connection, subscription_id: str) -> SubscriptionRow | None:
    with connection.cursor(row_factory=class_row(SubscriptionRow)) as cursor:
        return cursor.execute(_FIND, (subscription_id,)).fetchone()


def owner_of(connection: Connection, subscription_id: str) -> str | None:
    """The Stripe customer whose subscription this is, as of now; may change until the owner's lock is held."""
    row = connection.execute(_OWNER, (subscription_id,)).fetchone()
    return row[0] if row else None


def store_subscription(connection: Connection, fact: SubscriptionFact, *, watermark: int, evidence: str) -> None:
    """Make the rows equal to the fact, items and all. `evidence` is the id of the event or fetch that stated it."""
    stated = {name: getattr(fact, name) for name in SubscriptionFact.__dataclass_fields__ if name != "items"}
    items = {
        "item_ids": [item.id for item in fact.items],
        "prices": [item.price_id for item in fact.items],
        "quantities": [item.quantity for item in fact.items],
        "starts": [item.period_start for item in fact.items],
        "ends": [item.period_end for item in fact.items],
    }
    connection.execute(_STORE, {**stated, **items, "observed_event": evidence, "watermark": watermark})


def end_subscription(
    connection: Connection, subscription_id: str, *, at: datetime, watermark: int, evidence: str
) -> None:
    """Stripe does not know it (any more): over at `at`, unless it had ended before."""
    connection.execute(_END, (at, evidence, watermark, subscription_id))


def record_invoice(connection: Connection, fact: InvoiceFact) -> None:
    """Absorbing: the earliest payment and the earliest failure seen stay, whatever order they are told in."""
    failed_at = fact.at if fact.outcome == "failed" else None
    paid_at = fact.at if fact.outcome == "paid" else None
    row = (fact.id, fact.stripe_customer_id, fact.subscription_id, failed_at, paid_at)
    connection.execute(_INVOICE, row)


def live_subscription_of(connection: Connection, customer_id: int, product_ids: list[str]) -> str | None:
    """A subscription of the customer to any of these products that has not ended, or None."""
    row = connection.execute(_LIVE_OF_PRODUCTS, (customer_id, product_ids)).fetchone()
    return row[0] if row else None
