"""One customer per (namespace, user_id), with exactly one living Stripe customer, whoever races or crashes.

Three things see to it: the unique rows, Stripe's idempotency key (the same for everybody who makes this customer), and
the customer's row lock when it is linked. Stripe's search is not asked: it lags behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing.errors import Transient
from billing.payments import sessions
from billing.payments.client import StripeClient
from billing.store import customers
from billing.store.connection import transaction

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Linked:
    """Our customer and its living Stripe customer."""

    id: int
    stripe_id: str


def ensure_customer(database_url: str, stripe: StripeClient, namespace: str, user_id: str) -> Linked:
    """Finds or makes both. A crash after Stripe's answer is mended by the next call, or by `customer.created`.

    Raises Transient, Rejected.
    """
    for _ in range(_ROUNDS):
        with transaction(database_url) as connection:
            customer = customers.ensure(connection, namespace, user_id)
        if customer.stripe_id is not None:
            return Linked(customer.id, customer.stripe_id)
        made = sessions.create_customer(stripe, namespace, user_id, customer.generation)
        with transaction(database_url) as connection:
            customers.lock(connection, customer.id)
            living = customers.link(connection, customer.id, made)
        if living is not None:
            return Linked(customer.id, living)
        # Stripe gave one again that was deleted meanwhile: the next round is of the next generation.
    raise Transient("contended", "The customer keeps being deleted in Stripe while it is made: try again.")


def forget_stripe_customer(database_url: str, stripe_id: str, now: datetime) -> None:
    """Stripe says it has no such customer: the next `ensure_customer` makes another generation.

    What that means for access is settled by the event `customer.deleted`, as always.
    """
    with transaction(database_url) as connection:
        customers.mark_deleted(connection, stripe_id, now)
