"""Whose a Stripe customer is, and the record of what an observation changed for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from billing.domain.facts import CheckoutFact, CustomerFact, EventFact, InvoiceFact, SubscriptionFact
from billing.errors import Permanent
from billing.payments.objects import Fetched
from billing.store import customers, holdings, projects, subjects
from billing.store.connection import Connection
from billing.store.holdings import CustomerRows
from billing.store.subjects import NOTHING, Locked, Subject
from billing.usecases.observation import Effect, Fetches, Need, Observation, Unmet


def subject_of(fact: EventFact, fetched: Fetches) -> Subject:
    """What must be locked before the fact is applied. A subscription may have changed hands since the event."""
    match fact:
        case SubscriptionFact(id=subscription_id, stripe_customer_id=stripe_id):
            known = fetched.get(Need("subscription", subscription_id))
            if known is not None and isinstance(known.answer, Fetched):
                now_with = cast("SubscriptionFact", known.answer.fact).stripe_customer_id
                return Subject(frozenset({stripe_id, now_with}), subscription_id)
            return Subject(frozenset({stripe_id}), subscription_id)
        case InvoiceFact(stripe_customer_id=stripe_id, subscription_id=subscription_id):
            return Subject(frozenset({stripe_id}), subscription_id)
        case CheckoutFact(status="complete", stripe_customer_id=str(stripe_id), subscription_id=subscription_id):
            return Subject(frozenset({stripe_id}), subscription_id)
        case _:
            return NOTHING


def lock_known(connection: Connection, subject: Subject, fetched: Fetches, locked: Locked | None = None) -> Locked:
    """The subject with all its owners known: a Stripe customer not met before is fetched, and linked to its user.

    `locked` is what the caller has locked already. Raises Unmet, and Permanent (`unknown_customer`) where this service
    did not make one.
    """
    if subject == NOTHING:
        return Locked({}, None)
    locked = locked or subjects.lock(connection, subject)
    strangers = subject.stripe_ids - locked.owners.keys()
    if not strangers:
        return locked
    for stranger in sorted(strangers):
        _adopt_fetched(connection, stranger, fetched)
    return subjects.lock(connection, subject)


def lock_owner(connection: Connection, stripe_customer_id: str, fetched: Fetches) -> int:
    """Our customer behind a Stripe customer, locked until the transaction ends. Raises as `lock_known`."""
    return lock_known(connection, Subject(frozenset({stripe_customer_id})), fetched).owners[stripe_customer_id]


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
    connection: Connection,
    owners: tuple[int, ...],
    seen: Observation,
    now: datetime,
    unknown_status: str | None = None,
    rows: Mapping[int, CustomerRows] | None = None,
) -> Effect:
    """`rows`: the owners', where the caller has read them since the last write."""
    for owner in owners:
        known = rows[owner] if rows else None
        holdings.record_change(connection, owner, cause_kind=seen.cause, cause_id=seen.evidence, now=now, rows=known)
    return Effect("applied", owners, unknown_status=unknown_status)
