"""Whose a Stripe customer is, and the record of what an observation changed for them."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from billing.domain.facts import CustomerFact
from billing.errors import Permanent
from billing.payments.objects import Fetched
from billing.store import customers, holdings, projects
from billing.store.connection import Connection
from billing.usecases.observation import Effect, Fetches, Need, Observation, Unmet


def owner_of(connection: Connection, stripe_customer_id: str, fetched: Fetches) -> int:
    """Our customer behind a Stripe customer; one we have not met is fetched, and adopted if we made it."""
    known = customers.find_by_stripe_id(connection, stripe_customer_id)
    if known is not None:
        return known.customer_id
    need = Need("customer", stripe_customer_id)
    if need not in fetched:
        raise Unmet(need)
    answer = fetched[need].answer
    if isinstance(answer, Fetched) and adopt(connection, cast("CustomerFact", answer.fact)):
        known = customers.find_by_stripe_id(connection, stripe_customer_id)
    if known is None:
        raise Permanent("unknown_customer", f"{stripe_customer_id} was not created by this service: link or ignore it")
    return known.customer_id


def adopt(connection: Connection, fact: CustomerFact) -> bool:
    """Link a Stripe customer by the metadata this service wrote when it made it (a crash kept it from recording it)."""
    if fact.deleted or fact.namespace is None or fact.user_id is None:
        return False
    if not projects.namespace_exists(connection, fact.namespace):
        return False
    customer = customers.ensure(connection, fact.namespace, fact.user_id)
    customers.lock(connection, customer.id)
    return customers.link(connection, customer.id, fact.id) == fact.id


def changed(
    connection: Connection, owners: tuple[int, ...], seen: Observation, now: datetime, unknown_status: str | None = None
) -> Effect:
    for owner in owners:
        holdings.record_change(connection, owner, cause_kind=seen.cause, cause_id=seen.evidence, now=now)
    return Effect("applied", owners, unknown_status=unknown_status)
