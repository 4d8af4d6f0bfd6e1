"""What events never take back, and Stripe contradicts: undone in the transaction that applies what Stripe says.

Facts that absorb stay whatever is told later; so a row that is wrong (damaged, or restored from a backup) would stay
wrong. Only a reconciliation calls these, under the owner's row lock, with Stripe's present answer in hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, LiteralString

from psycopg.types.json import Jsonb

from billing.domain.facts import PaidCharge, PriceFact
from billing.domain.prices import options_to_json, tiers_to_json
from billing.store.connection import Connection

Dated = Literal["subscription", "product", "price"]
"""Kinds whose rows say of which second of Stripe's they are."""

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
# Constants by kind: a statement is never put together from what a row says.
_SET_BACK: dict[Dated, LiteralString] = {
    "subscription": "UPDATE subscriptions SET watermark = %s WHERE id = %s AND revision = %s AND watermark > %s",
    "product": "UPDATE products SET watermark = %s WHERE id = %s AND revision = %s AND watermark > %s",
    "price": "UPDATE prices SET watermark = %s WHERE id = %s AND revision = %s AND watermark > %s",
}
_FORGET_INVOICE = "DELETE FROM invoices WHERE id = %s"
_TOLD = """
SELECT to_timestamp(min(created)) FROM inbox
WHERE object_id = %s AND type = 'invoice.payment_failed' AND status = 'applied' HAVING count(*) >= %s
"""
_RECHARGE = """
UPDATE charges SET stripe_customer_id = %s, amount = %s, currency = %s, payment_intent_id = %s, invoice_id = %s,
  subscription_id = %s, session_id = %s
WHERE id = %s
"""
_FORGET_MONEY_BACK: tuple[LiteralString, ...] = (
    "DELETE FROM refunds WHERE charge_id = %s",
    "DELETE FROM disputes WHERE charge_id = %s",
)
_FORGET_CHARGE = """
DELETE FROM charges AS h WHERE h.id = %s AND NOT EXISTS (SELECT FROM refunds AS b WHERE b.charge_id = h.id)
  AND NOT EXISTS (SELECT FROM disputes AS d WHERE d.charge_id = h.id)
"""
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


def set_back(connection: Connection, kind: Dated, object_id: str, revision: int, *, at: int, skew: int) -> None:
    """A row of this revision was there before Stripe answered at second `at`: so it is no newer than that, but for what
    clocks differ by (`skew`, seconds).
    """
    connection.execute(_SET_BACK[kind], (at, object_id, revision, at + skew))


def forget_invoice(connection: Connection, invoice_id: str) -> None:
    connection.execute(_FORGET_INVOICE, (invoice_id,))


def first_told_failure(connection: Connection, invoice_id: str, attempts: int) -> datetime | None:
    """When a payment of the invoice first failed, by the events heard of it, if these are as many as it was tried;
    Stripe's object does not say it.
    """
    row = connection.execute(_TOLD, (invoice_id, attempts)).fetchone()
    return row[0] if row else None


def recharge(connection: Connection, fact: PaidCharge) -> None:
    """All that a charge is, and what it paid."""
    charge, paid = fact.charge, fact.paid
    stated = (charge.stripe_customer_id, charge.amount, charge.currency, charge.payment_intent_id)
    connection.execute(_RECHARGE, (*stated, paid.invoice_id, paid.subscription_id, paid.session_id, charge.id))


def forget_charge(connection: Connection, charge_id: str, *, alone: bool = False) -> None:
    """With what went back of it; or only where nothing did (`alone`)."""
    for statement in () if alone else _FORGET_MONEY_BACK:
        connection.execute(statement, (charge_id,))
    connection.execute(_FORGET_CHARGE, (charge_id,))


def forget_purchase(connection: Connection, session_id: str) -> None:
    connection.execute(_FORGET_PURCHASE, (session_id,))


def forget_refund(connection: Connection, refund_id: str) -> None:
    connection.execute(_FORGET_REFUND, (refund_id,))


def forget_dispute(connection: Connection, dispute_id: str) -> None:
    connection.execute(_FORGET_DISPUTE, (dispute_id,))
