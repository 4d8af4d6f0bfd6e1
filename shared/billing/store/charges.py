"""Charges of which money went back, or may: their refunds and disputes, absorbing, under the customer's row lock."""

from __future__ import annotations

from billing.domain.facts import ChargeFact, PaymentFact
from billing.domain.policies import DISPUTE_RANK, REFUND_RANK, Dispute, Refund
from billing.store.connection import Connection

_OWNER = "SELECT stripe_customer_id FROM charges WHERE id = %s"
_INSERT = """
INSERT INTO charges (id, stripe_customer_id, amount, currency, payment_intent_id, invoice_id, subscription_id,
                     session_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING
"""
_REFUND = """
INSERT INTO refunds AS r (id, charge_id, amount, status, rank, created_at) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, rank = EXCLUDED.rank WHERE EXCLUDED.rank > r.rank
"""
_DISPUTE = """
INSERT INTO disputes AS d (id, charge_id, amount, status, rank, opened_at, closed_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
  status = EXCLUDED.status, rank = EXCLUDED.rank,
  closed_at = CASE WHEN EXCLUDED.rank > d.rank THEN EXCLUDED.closed_at ELSE LEAST(d.closed_at, EXCLUDED.closed_at) END
WHERE EXCLUDED.rank >= d.rank
"""


def owner_of_charge(connection: Connection, charge_id: str) -> str | None:
    """The Stripe customer who paid a known charge."""
    row = connection.execute(_OWNER, (charge_id,)).fetchone()
    return row[0] if row else None


def record_charge(connection: Connection, fact: ChargeFact, paid: PaymentFact) -> None:
    """A charge and what it paid; neither ever changes."""
    origin = (fact.payment_intent_id, paid.invoice_id, paid.subscription_id, paid.session_id)
    connection.execute(_INSERT, (fact.id, fact.stripe_customer_id, fact.amount, fact.currency, *origin))


def record_refund(connection: Connection, charge_id: str, refund: Refund) -> None:
    """A status not known here ranks lowest: money may be on its way back."""
    rank = REFUND_RANK.get(refund.status, 0)
    connection.execute(_REFUND, (refund.id, charge_id, refund.amount, refund.status, rank, refund.created))


def record_dispute(connection: Connection, charge_id: str, dispute: Dispute) -> None:
    rank = DISPUTE_RANK[dispute.status]
    stated = (dispute.id, charge_id, dispute.amount, dispute.status, rank, dispute.opened_at, dispute.closed_at)
    connection.execute(_DISPUTE, stated)
