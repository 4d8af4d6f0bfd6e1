"""Applies one fact about a Stripe object to the store, inside one transaction, under the customer's row lock.

Order does not matter: an older observation changes nothing; one of the same second as the row's, or one that cannot be
trusted, raises `Unmet`: the caller fetches the object outside the transaction and comes again. What was fetched is
stored only if the row's revision is still the one from before the fetch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import assert_never, cast

from billing.domain.facts import (
    ChargeFact,
    CheckoutFact,
    CustomerFact,
    DisputeFact,
    Fact,
    InvoiceFact,
    PriceFact,
    ProductFact,
    RefundFact,
    SubscriptionFact,
)
from billing.domain.revenue import basis
from billing.domain.sources import KNOWN_STATUSES
from billing.domain.windows import from_seconds
from billing.errors import Permanent, Transient
from billing.payments.objects import Fetched, Gone
from billing.store import catalog, checkouts, customers, purchases, subscriptions
from billing.store.connection import Connection
from billing.store.discounts import record_discounts, unknown_discounts
from billing.store.holdings import CustomerRows
from billing.store.mrr import record_mrr
from billing.store.subjects import Locked
from billing.store.subscriptions import SubscriptionRow
from billing.usecases.apply_money_back import apply_money_back
from billing.usecases.observation import Effect, Fetches, Need, Observation, Unmet, newest
from billing.usecases.owner import adopt, changed, lock_known, subject_of


def apply_fact(
    connection: Connection, seen: Observation, fetched: Fetches, now: datetime, locked: Locked | None = None
) -> Effect:
    """`locked` is the fact's subject where the caller has locked it already.

    Raises Unmet, Permanent (`unknown_customer`, `unmapped_price`, `unknown_project` …), Transient.
    """
    locked = lock_known(connection, subject_of(seen.fact, fetched), fetched, locked)
    match seen.fact:
        case SubscriptionFact() as fact:
            return _subscription(connection, fact, seen, fetched, locked, now)
        case CheckoutFact() as fact:
            return _checkout(connection, fact, seen, fetched, locked, now)
        case InvoiceFact() as fact:
            return _invoice(connection, fact, seen, fetched, locked, now)
        case ChargeFact() | RefundFact() | DisputeFact() as fact:
            return apply_money_back(connection, fact, seen, fetched, now)
        case CustomerFact() as fact:
            return _customer(connection, fact, seen, now)
        case ProductFact() as fact:
            return _product(connection, fact, seen, fetched)
        case PriceFact() as fact:
            return _price(connection, fact, seen, fetched)
        case _:
            assert_never(seen.fact)


# --- subscriptions -------------------------------------------------------------------------------------------------


def _subscription(
    connection: Connection, fact: SubscriptionFact, seen: Observation, fetched: Fetches, locked: Locked, now: datetime
) -> Effect:
    owners, row = locked.customer_ids, locked.subscription
    latest = newest_subscription(fact, seen, fetched, locked, unknown_discounts(connection, fact.untold_discounts))
    if latest is None:
        return Effect("superseded", owners)
    if isinstance(latest, Gone):
        if row is None:
            return Effect("superseded", owners, reason="gone_from_stripe")
        subscriptions.end_subscription(
            connection, fact.id, at=from_seconds(latest.at), watermark=latest.at, evidence=seen.evidence
        )
        record_mrr(connection, fact.id, from_seconds(max(latest.at, row.watermark)))
        return changed(connection, owners, seen, now)
    stated = cast("SubscriptionFact", latest.fact)
    rows = _store(connection, stated, latest.at, seen, fetched, row, owners)
    return changed(connection, owners, seen, now, unknown_status=unknown_status(stated), rows=rows)


def newest_subscription(
    fact: SubscriptionFact, seen: Observation, fetched: Fetches, locked: Locked, unknown: set[str]
) -> Fetched[Fact] | Gone | None:
    """What to store of it (`newest`); `unknown` has the discounts it names whose terms are not here.

    Raises Unmet, and Transient where it went to another customer between the fetch and the lock.
    """
    row = locked.subscription
    if row is not None and row.stripe_customer_id not in locked.owners:
        raise Transient("raced", "the subscription changed hands meanwhile; try again")
    mirror = None if row is None else (row.watermark, row.revision)
    complete = not fact.truncated and fact.untold_discounts.isdisjoint(unknown)
    return newest(mirror, Need("subscription", fact.id), seen, fetched, complete=complete)


def unknown_status(fact: SubscriptionFact) -> str | None:
    """Its status, where no rule says what that gives."""
    return None if fact.status in KNOWN_STATUSES else fact.status


def revenue_since(fact: SubscriptionFact, watermark: int, row: SubscriptionRow | None) -> datetime | None:
    """From when the ledger must say otherwise what it brings; None where it brings what it did."""
    return None if basis(fact) == (row.revenue_basis if row else "") else from_seconds(watermark)


def _store(
    connection: Connection,
    fact: SubscriptionFact,
    at: int,
    seen: Observation,
    fetched: Fetches,
    row: SubscriptionRow | None,
    owners: tuple[int, ...] = (),
) -> Mapping[int, CustomerRows]:
    """Returns what the owners' rows say then."""
    record_discounts(connection, fact.discounts)
    watermark = max(at, row.watermark) if row else at
    stated = subscriptions.Stated(fact, watermark, seen.evidence)
    stored = subscriptions.store_subscriptions(connection, (stated,), owners, if_known=True)
    if stored.unknown_prices:
        _mirror_prices(connection, stored.unknown_prices, fetched)
        stored = subscriptions.store_subscriptions(connection, (stated,), owners, if_known=False)
    since = revenue_since(fact, watermark, row)
    if since is not None:
        record_mrr(connection, fact.id, since)
    return stored.customers


def _know_subscription(
    connection: Connection, subscription_id: str, row: SubscriptionRow | None, seen: Observation, fetched: Fetches
) -> None:
    """Something refers to this subscription: fetch it where no event has brought it yet.

    A sync fetches it always: the caller wants what is true now.
    """
    if row is not None and seen.cause != "sync":
        return
    need = Need("subscription", subscription_id)
    revision = row.revision if row else 0
    known = fetched.get(need)
    if known is None or known.revision != revision:
        raise Unmet(need, revision)
    if isinstance(known.answer, Fetched):
        fact = cast("SubscriptionFact", known.answer.fact)
        _store(connection, fact, known.answer.at, seen, fetched, row)


# --- checkouts and invoices ----------------------------------------------------------------------------------------


def _checkout(
    connection: Connection, fact: CheckoutFact, seen: Observation, fetched: Fetches, locked: Locked, now: datetime
) -> Effect:
    if fact.status == "expired":
        checkouts.close_session(connection, fact.id, "expired")
        return Effect("applied")
    if fact.status == "open":
        return Effect("ignored", reason="still_open")
    if fact.stripe_customer_id is None:
        raise Permanent("unknown_customer", "the checkout session names no customer: it was not opened here")
    owner = locked.owners[fact.stripe_customer_id]
    checkouts.close_session(connection, fact.id, "complete")
    if fact.mode == "subscription" and fact.subscription_id is not None:
        _know_subscription(connection, fact.subscription_id, locked.subscription, seen, fetched)
    if fact.mode == "payment" and fact.paid and not purchases.purchase_recorded(connection, fact.id):
        known = fetched.get(Need("checkout", fact.id))
        if known is None:
            raise Unmet(Need("checkout", fact.id))
        if isinstance(known.answer, Gone):
            raise Permanent("gone_from_stripe", "Stripe no longer knows the checkout session that was paid")
        paid = cast("CheckoutFact", known.answer.fact)
        unknown = catalog.unknown_prices(connection, [line.price_id for line in paid.lines or ()])
        _mirror_prices(connection, unknown, fetched)
        purchases.record_purchase(connection, paid, evidence=seen.evidence)
    return changed(connection, (owner,), seen, now)


def _invoice(
    connection: Connection, fact: InvoiceFact, seen: Observation, fetched: Fetches, locked: Locked, now: datetime
) -> Effect:
    if fact.subscription_id is not None:
        _know_subscription(connection, fact.subscription_id, locked.subscription, seen, fetched)
    subscriptions.record_invoice(connection, fact)
    return changed(connection, (locked.owners[fact.stripe_customer_id],), seen, now)


# --- customers -----------------------------------------------------------------------------------------------------


def _customer(connection: Connection, fact: CustomerFact, seen: Observation, now: datetime) -> Effect:
    known = customers.find_by_stripe_id(connection, fact.id)
    if known is None and not adopt(connection, fact):
        return Effect("ignored", reason="not_ours")
    known = customers.find_by_stripe_id(connection, fact.id)
    if known is None:
        raise Transient("raced", "the customer was linked meanwhile; try again")
    if not fact.deleted:
        return Effect("applied", (known.customer_id,))
    customers.lock(connection, known.customer_id)
    customers.mark_deleted(connection, fact.id, from_seconds(seen.at))
    return changed(connection, (known.customer_id,), seen, now)


# --- catalog -------------------------------------------------------------------------------------------------------


def _product(connection: Connection, fact: ProductFact, seen: Observation, fetched: Fetches) -> Effect:
    row = catalog.lock_product(connection, fact.id)
    if row is None:
        raise Permanent("unknown_project", f"{fact.id} belongs to no project: import it into one, then replay")
    latest = newest((row.watermark, row.revision), Need("product", fact.id), seen, fetched)
    if latest is None:
        return Effect("superseded")
    stated = _gone_product(fact) if isinstance(latest, Gone) else cast("ProductFact", latest.fact)
    catalog.update_product(connection, stated, max(latest.at, row.watermark))
    return Effect("applied")


def _price(connection: Connection, fact: PriceFact, seen: Observation, fetched: Fetches) -> Effect:
    row = catalog.lock_price(connection, fact.id)
    if row is None and catalog.project_of_product(connection, fact.product_id) is None:
        raise Permanent("unknown_project", f"{fact.product_id} belongs to no project: import it into one, then replay")
    mirror = None if row is None else (row.watermark, row.revision)
    latest = newest(mirror, Need("price", fact.id), seen, fetched, complete=not fact.incomplete)
    if latest is None:
        return Effect("superseded")
    stated = _gone_price(fact) if isinstance(latest, Gone) else cast("PriceFact", latest.fact)
    catalog.upsert_price(connection, stated, max(latest.at, row.watermark if row else 0))
    return Effect("applied")


def _gone_product(fact: ProductFact) -> ProductFact:
    return ProductFact(fact.id, fact.name, active=False, deleted=True)


def _gone_price(fact: PriceFact) -> PriceFact:
    members = {name: getattr(fact, name) for name in PriceFact.__dataclass_fields__}
    return PriceFact(**{**members, "active": False, "deleted": True})


def _mirror_prices(connection: Connection, price_ids: Iterable[str], fetched: Fetches) -> None:
    """Each must lead, by its product, to a project. Raises Unmet, Permanent (`unmapped_price`)."""
    for price_id in price_ids:
        known = fetched.get(Need("price", price_id))
        if known is None:
            raise Unmet(Need("price", price_id))
        fact = cast("PriceFact", known.answer.fact) if isinstance(known.answer, Fetched) else None
        if fact is None or catalog.project_of_product(connection, fact.product_id) is None:
            raise Permanent("unmapped_price", f"{price_id} leads to no project: import its product, then replay")
        catalog.upsert_price(connection, fact, known.answer.at)
