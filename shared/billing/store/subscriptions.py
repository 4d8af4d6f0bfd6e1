"""Subscriptions, their items and invoices as Stripe last stated them. Written only under the customer's row lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing.domain.facts import InvoiceFact, SubscriptionFact
from billing.domain.revenue import basis
from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """How much is known of a subscription. `revenue_basis` is that of its last entries in the ledger (store/mrr.py)."""

    id: str
    stripe_customer_id: str
    status: str
    watermark: int
    revision: int
    revenue_basis: str


# The subscription and exactly its items, in one statement; foreign keys are checked at its end.
_STORE = """
WITH stored AS (
  INSERT INTO subscriptions AS s (id, stripe_customer_id, status, start_at, trial_end, cancel_at, cancel_at_period_end,
                                  canceled_at, ended_at, latest_invoice_id, currency, discount_ids, revenue_basis,
                                  observed_event, watermark)
  VALUES (%(id)s, %(stripe_customer_id)s, %(status)s, %(start)s, %(trial_end)s, %(cancel_at)s,
          %(cancel_at_period_end)s, %(canceled_at)s, %(ended_at)s, %(latest_invoice_id)s, %(currency)s,
          %(discount_ids)s, %(revenue_basis)s, %(observed_event)s, %(watermark)s)
  ON CONFLICT (id) DO UPDATE SET
    stripe_customer_id = EXCLUDED.stripe_customer_id, status = EXCLUDED.status, start_at = EXCLUDED.start_at,
    trial_end = EXCLUDED.trial_end, cancel_at = EXCLUDED.cancel_at,
    cancel_at_period_end = EXCLUDED.cancel_at_period_end, canceled_at = EXCLUDED.canceled_at,
    ended_at = EXCLUDED.ended_at, latest_invoice_id = EXCLUDED.latest_invoice_id, currency = EXCLUDED.currency,
    discount_ids = EXCLUDED.discount_ids, revenue_basis = EXCLUDED.revenue_basis,
    observed_event = EXCLUDED.observed_event, watermark = EXCLUDED.watermark, revision = s.revision + 1
), dropped AS (
  DELETE FROM subscription_items WHERE subscription_id = %(id)s AND id <> ALL(%(item_ids)s)
)
INSERT INTO subscription_items (id, subscription_id, price_id, quantity, period_start, period_end, discount_ids)
SELECT item, %(id)s, price, quantity, starts, ends, string_to_array(discounts, ' ')
FROM unnest(%(item_ids)s::text[], %(prices)s::text[], %(quantities)s::bigint[], %(starts)s::timestamptz[],
            %(ends)s::timestamptz[], %(discounts)s::text[]) AS t (item, price, quantity, starts, ends, discounts)
ON CONFLICT (id) DO UPDATE SET
  subscription_id = EXCLUDED.subscription_id, price_id = EXCLUDED.price_id, quantity = EXCLUDED.quantity,
  period_start = EXCLUDED.period_start, period_end = EXCLUDED.period_end, discount_ids = EXCLUDED.discount_ids
"""
_END = """
UPDATE subscriptions SET status = 'canceled', ended_at = COALESCE(ended_at, %s), observed_event = %s,
                         watermark = GREATEST(watermark, %s), revision = revision + 1, revenue_basis = ''
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


def store_subscription(connection: Connection, fact: SubscriptionFact, *, watermark: int, evidence: str) -> None:
    """Make the rows equal to the fact, items and all. `evidence` is the id of the event or fetch that stated it."""
    stated = {name: getattr(fact, name) for name in SubscriptionFact.__dataclass_fields__ if name != "items"}
    stated |= {"discount_ids": list(fact.discount_ids), "revenue_basis": basis(fact)}
    items = {
        "item_ids": [item.id for item in fact.items],
        "prices": [item.price_id for item in fact.items],
        "quantities": [item.quantity for item in fact.items],
        "starts": [item.period_start for item in fact.items],
        "ends": [item.period_end for item in fact.items],
        "discounts": [" ".join(item.discount_ids) for item in fact.items],  # no id has a space in it
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
