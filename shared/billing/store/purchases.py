"""One-time purchases: the lines of paid checkout sessions. Absorbing facts, written under the customer's row lock."""

from __future__ import annotations

from billing.domain.facts import CheckoutFact
from billing.store.connection import Connection

_RECORD = """
INSERT INTO purchases AS p (session_id, line_item_id, stripe_customer_id, price_id, quantity, amount, currency,
                            payment_intent_id, paid_at, observed_event)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (session_id, line_item_id) DO UPDATE SET paid_at = LEAST(p.paid_at, EXCLUDED.paid_at)
"""
_FIND = "SELECT 1 FROM purchases WHERE session_id = %s AND paid_at IS NOT NULL LIMIT 1"


def record_purchase(connection: Connection, fact: CheckoutFact, *, evidence: str) -> None:
    """Every line of a paid session, once. The fact must have been fetched with its lines and `paid_at`."""
    for line in fact.lines or ():
        row = (
            fact.id,
            line.id,
            fact.stripe_customer_id,
            line.price_id,
            line.quantity,
            line.amount,
            line.currency,
            fact.payment_intent_id,
            fact.paid_at,
            evidence,
        )
        connection.execute(_RECORD, row)


def purchase_recorded(connection: Connection, session_id: str) -> bool:
    return connection.execute(_FIND, (session_id,)).fetchone() is not None
