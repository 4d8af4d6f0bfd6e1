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


def lock_owner(connection: Connection, stripe_customer_id: str, fetched: Fetches) -> int:
    """Our customer behind a Stripe customer, locked until the transaction ends. Raises as `lock_owners`."""
    return lock_owners(connection, {stripe_customer_id}, fetched)[0]


def lock_owners(connection: Connection, stripe_customer_ids: set[str], fetched: Fetches) -> tuple[int, ...]:
    """Our customers behind these Stripe customers, locked in one order; one not met before is fetched, and adopted.

    Raises Unmet, and Permanent (`unknown_customer`) where this service did not make it.
    """
    known = customers.lock_owners(connection, stripe_customer_ids)
    strangers = stripe_customer_ids - known.keys()
    if strangers:
        for stranger in sorted(strangers):
            _adopt_fetched(connection, stranger, fetched)
        known = customers.lock_owners(connection, stripe_customer_ids)
    return tuple(sorted(set(known.values())))


def _adopt_fetched(connection: Connection, stripe_customer_id: str, fetched: Fetches) -> None:
    need = Need("customer", stripe_customer_id)
    if need not in fetched:
        raise Unmet(need)
    answer = fetched[need].answer
    if not isinstance(answer, Fetched) or not adopt(connection, cast("CustomerFact", answer.fact)):
        raise Permanent("unknown_customer", f"{stripe_customer_id} was not created by this service: link or ignore it")


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
