"""What events never take back, and Stripe contradicts: undone in the transaction that applies what Stripe says.

Facts that absorb stay whatever is told later; so a row that is wrong (damaged, or restored from a backup) would stay
wrong. Only a reconciliation calls these, under the owner's row lock, with Stripe's present answer in hand.
"""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from billing.domain.facts import PriceFact
from billing.domain.prices import options_to_json, tiers_to_json
from billing.store.connection import Connection

_REVIVE_CUSTOMER = """
UPDATE stripe_customers AS k SET deleted_at = NULL, revision = revision + 1
WHERE k.id = %s AND k.deleted_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM stripe_customers AS o WHERE o.customer_id = k.customer_id AND o.deleted_at IS NULL)
"""
_REVIVE_PRODUCT = "UPDATE products SET deleted = false WHERE id = %s AND deleted"
_REPRICE = """
UPDATE prices SET product_id = %(product_id)s, type = %(type)s, currency = %(currency)s, unit_amount = %(unit_amount)s,
  unit_amount_decimal = COALESCE(%(unit_amount_decimal)s, %(unit_amount)s::bigint),
  billing_scheme = %(billing_scheme)s, recurring_interval = %(recurring_interval)s,
  recurring_count = %(recurring_count)s, usage_type = %(usage_type)s, tiers_mode = %(tiers_mode)s, tiers = %(tiers)s,
  currency_options = %(currency_options)s, deleted = %(deleted)s
WHERE id = %(id)s
"""
_FORGET_INVOICE = "DELETE FROM invoices WHERE id = %s AND paid_at IS NOT NULL"
_FORGET_PURCHASE = "DELETE FROM purchases WHERE session_id = %s"
_FORGET_REFUND = "DELETE FROM refunds WHERE id = %s"
_FORGET_DISPUTE = "DELETE FROM disputes WHERE id = %s"


def revive_customer(connection: Connection, stripe_id: str) -> None:
    """Stripe has this customer still. Nothing happens where another has taken its place."""
    connection.execute(_REVIVE_CUSTOMER, (stripe_id,))


def revive_product(connection: Connection, product_id: str) -> None:
    connection.execute(_REVIVE_PRODUCT, (product_id,))


def reprice(connection: Connection, fact: PriceFact) -> None:
    """All that a price asks, as it was fetched whole. Our own policies stay."""
    members: dict[str, Any] = {name: getattr(fact, name) for name in PriceFact.__dataclass_fields__}
    tiers = None if fact.tiers is None else Jsonb(tiers_to_json(fact.tiers))
    options = None if fact.currency_options is None else Jsonb(options_to_json(fact.currency_options))
    connection.execute(_REPRICE, {**members, "tiers": tiers, "currency_options": options})


def forget_payment(connection: Connection, invoice_id: str) -> None:
    """The invoice is not paid."""
    connection.execute(_FORGET_INVOICE, (invoice_id,))


def forget_purchase(connection: Connection, session_id: str) -> None:
    connection.execute(_FORGET_PURCHASE, (session_id,))


def forget_refund(connection: Connection, refund_id: str) -> None:
    connection.execute(_FORGET_REFUND, (refund_id,))


def forget_dispute(connection: Connection, dispute_id: str) -> None:
    connection.execute(_FORGET_DISPUTE, (dispute_id,))
