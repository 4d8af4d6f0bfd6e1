"""Applies refunds and disputes: from a charge, by its payment intent, to what was bought. Absorbing facts, no order."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never, cast

from billing.domain.facts import ChargeFact, DisputeFact, PaymentFact, RefundFact
from billing.errors import Permanent
from billing.payments.objects import Gone
from billing.store import charges
from billing.store.connection import Connection
from billing.usecases.observation import Effect, Fetches, Need, Observation, Unmet
from billing.usecases.owner import changed, lock_owner


def apply_money_back(
    connection: Connection,
    fact: ChargeFact | RefundFact | DisputeFact,
    seen: Observation,
    fetched: Fetches,
    now: datetime,
) -> Effect:
    """Raises Unmet, Permanent (`unknown_customer`, `gone_from_stripe`)."""
    charge_id = fact.id if isinstance(fact, ChargeFact) else fact.charge_id
    stripe_customer_id = charges.owner_of_charge(connection, charge_id)
    if stripe_customer_id is None or isinstance(fact, ChargeFact):
        charge = _charge(charge_id, fetched)
        if charge.stripe_customer_id is None:
            raise Permanent("unknown_customer", f"{charge_id} was paid by no customer of this service")
        stripe_customer_id = charge.stripe_customer_id
        owner = lock_owner(connection, stripe_customer_id, fetched)
        charges.record_charge(connection, charge, _payment(charge, fetched))
        for refund in charge.refunds or ():
            charges.record_refund(connection, charge_id, refund)
    else:
        owner = lock_owner(connection, stripe_customer_id, fetched)
    match fact:
        case RefundFact():
            charges.record_refund(connection, charge_id, fact.refund)
        case DisputeFact():
            charges.record_dispute(connection, charge_id, fact.dispute)
        case ChargeFact():
            pass
        case _:
            assert_never(fact)
    return changed(connection, (owner,), seen, now)


def _charge(charge_id: str, fetched: Fetches) -> ChargeFact:
    """The charge with all its refunds, which no event carries."""
    need = Need("charge", charge_id)
    if need not in fetched:
        raise Unmet(need)
    answer = fetched[need].answer
    if isinstance(answer, Gone):
        raise Permanent("gone_from_stripe", f"Stripe no longer knows {charge_id}")
    return cast("ChargeFact", answer.fact)


def _payment(charge: ChargeFact, fetched: Fetches) -> PaymentFact:
    if charge.payment_intent_id is None:
        return PaymentFact("")
    need = Need("payment", charge.payment_intent_id)
    if need not in fetched:
        raise Unmet(need)
    answer = fetched[need].answer
    return PaymentFact(need.id) if isinstance(answer, Gone) else cast("PaymentFact", answer.fact)
