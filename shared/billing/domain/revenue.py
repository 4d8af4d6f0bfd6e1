"""Recurring revenue: what a subscription's share in it rests on, and sums of its exact fractions.

The rule that prices an item is SQL over all rows (store/mrr.py); here is what needs no rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from billing.domain.facts import SubscriptionFact

EARNING_STATUSES = frozenset({"active", "past_due"})
"""Of `subscription.status`: who is in a trial, has stopped paying, paused or gone brings nothing."""

MONTHS_A_YEAR = 12

Movement = Literal["new", "reactivation", "expansion", "contraction", "churn"]
MOVEMENTS: tuple[Movement, ...] = ("new", "reactivation", "expansion", "contraction", "churn")
"""How a customer's revenue from a project in a currency moved between a period's start and its end.

new: from nothing, never having paid before; reactivation: from nothing, having paid once; expansion and contraction:
from something to more or less; churn: to nothing.
"""


@dataclass(frozen=True, slots=True)
class Share:
    """`amount / divisor` minor units a month."""

    amount: Decimal
    divisor: int


def monthly(shares: Iterable[Share]) -> Fraction:
    """Their sum in minor units a month, exactly."""
    return sum((Fraction(share.amount) / share.divisor for share in shares), Fraction())


def minor_units(exact: Fraction) -> int:
    """Rounded once, half to even: 2.5 is 2, 3.5 is 4."""
    return round(exact)


def basis(fact: SubscriptionFact) -> str:
    """A digest of all that the subscription's revenue rests on, prices apart; "" where it brings none.

    As long as it stays the same, so does the ledger: renewals and the like are not worth a look.
    """
    if fact.status not in EARNING_STATUSES:
        return ""
    items = sorted((item.id, item.price_id, item.quantity, *item.discount_ids) for item in fact.items)
    said = repr((fact.stripe_customer_id, fact.currency, fact.discount_ids, items))
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def month_of(instant: datetime) -> datetime:
    """The beginning of its calendar month, UTC."""
    return instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
