"""How each kind of object is made what Stripe says it is, inside a repair's transaction.

Subscriptions, products and prices are stored by compare-and-set on their row; what only absorbs is forgotten and told
anew. Each step records the change of its owner's holdings, with the run as its cause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from billing.domain.facts import (
    CheckoutFact,
    CustomerFact,
    DisputeFact,
    EventFact,
    InvoiceFact,
    PaidCharge,
    PriceFact,
    ProductFact,
    RefundFact,
    SubscriptionFact,
)
from billing.errors import Permanent, Transient
from billing.payments.mirrored import Mirrored
from billing.payments.objects import Fetched, Gone
from billing.store import catalog, charges, corrections, customers, projects, subscriptions
from billing.store.connection import Connection
from billing.usecases.apply_fact import apply_fact
from billing.usecases.compare_listing import CHARGE, SKEW, fetch, is_gone
from billing.usecases.observation import Effect, Fetches, Known, Need, Observation
from billing.usecases.owner import changed, lock_owner
from billing.usecases.passes import Drift, Means

_POINTER_SECOND = 2**63 - 1
"""Newer than all: what merely points at an object is never the older news, so the object is fetched."""

Attempt = Callable[[Connection, Fetches], Effect]
FactT = TypeVar("FactT", bound=EventFact | PaidCharge)


def step_of(means: Means, drift: Drift) -> tuple[Attempt, dict[Need, Known]]:
    """What is done inside the transaction, and what was asked of Stripe before it."""
    match drift.object_type:
        case "subscription":
            apply = _pointed(means, _subscription_pointer(means, drift))
            return _in_time("subscription", drift.object_id, apply), {}
        case "product" if drift.kind != "missing_local":
            name = str(drift.before.get("name", ""))
            return _product(means, ProductFact(drift.object_id, name, active=False)), {}
        case kind:
            answer: Fetched[Mirrored] | Gone = fetch(means, kind, drift.object_id)
            return _STEPS[kind](_Case(means, drift, answer)), _known(kind, drift, answer)


def _known(kind: str, drift: Drift, answer: Fetched[Any] | Gone) -> dict[Need, Known]:
    """A checkout's lines are fetched with it."""
    return {Need("checkout", drift.object_id): Known(answer, 0)} if kind == "checkout.session" else {}


@dataclass(frozen=True, slots=True)
class _Case:
    means: Means
    drift: Drift
    answer: Fetched[Mirrored] | Gone

    @property
    def id(self) -> str:
        return self.drift.object_id

    @property
    def now(self) -> datetime:
        return self.means.worker.now()

    def seen(self, fact: EventFact, *, trusted: bool = True) -> Observation:
        return _seen(self.means, fact, self.answer.at, trusted=trusted)


def _seen(means: Means, fact: EventFact, at: int, *, trusted: bool) -> Observation:
    return Observation(fact, at, f"run:{means.run_id}", "run", trusted=trusted)


def _pointed(means: Means, pointer: EventFact) -> Attempt:
    """Apply the object as it is now, compare-and-set on its row's revision."""
    seen = _seen(means, pointer, _POINTER_SECOND, trusted=False)
    return lambda connection, fetched: apply_fact(connection, seen, fetched, means.worker.now())


def _in_time(kind: Literal["subscription", "product"], object_id: str, apply: Attempt) -> Attempt:
    """A row that says to be newer than Stripe's answer, though it was there before, is set back to the answer first."""
    need = Need(kind, object_id)

    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        known = fetched.get(need)
        if known is not None:
            corrections.set_back(connection, kind, object_id, known.revision, at=known.answer.at, skew=SKEW)
        return apply(connection, fetched)

    return attempt


def _subscription_pointer(means: Means, drift: Drift) -> SubscriptionFact:
    customer = drift.after.get("customer") or drift.before.get("customer")
    return SubscriptionFact(
        id=drift.object_id,
        stripe_customer_id=str(customer),
        status="",
        start=means.cut,
        trial_end=None,
        cancel_at=None,
        cancel_at_period_end=False,
        canceled_at=None,
        ended_at=None,
        latest_invoice_id=None,
        items=(),
    )


def _product(means: Means, pointer: ProductFact) -> Attempt:
    apply = _in_time("product", pointer.id, _pointed(means, pointer))
    need = Need("product", pointer.id)

    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        known = fetched.get(need)
        if known is not None and not is_gone(known.answer):
            corrections.revive_product(connection, pointer.id)
        return apply(connection, fetched)

    return attempt


def _new_product(case: _Case) -> Attempt:
    """Stripe's metadata `billing_project_id` is what this service wrote when it made the product."""

    def attempt(connection: Connection, _fetched: Fetches) -> Effect:
        fact, project_id = case.answer, case.drift.project_id
        if not isinstance(fact, Fetched) or not isinstance(fact.fact, ProductFact):
            return Effect("superseded", reason="gone_from_stripe")
        if project_id is None or projects.find_project(connection, project_id) is None:
            raise Permanent("unknown_project", f"{case.id} names no project of this store: import it into one")
        catalog.insert_product(connection, project_id, fact.fact, case.answer.at)
        return Effect("applied")

    return attempt


def _price(case: _Case) -> Attempt:
    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        fact = case.answer.fact if isinstance(case.answer, Fetched) else None
        if not isinstance(fact, PriceFact) or is_gone(case.answer):
            catalog.delete_prices(connection, [case.id])
            return Effect("applied")
        mirror = catalog.lock_price(connection, case.id)
        if mirror is not None:
            corrections.set_back(connection, "price", case.id, mirror.revision, at=case.answer.at, skew=SKEW)
            if case.answer.at < mirror.watermark <= case.answer.at + SKEW:
                raise Transient("raced", "the price was written while it was asked for; try again")
            corrections.reprice(connection, fact)
        need = {Need("price", case.id): Known(case.answer, mirror.revision if mirror else 0)}
        return apply_fact(connection, case.seen(fact, trusted=False), {**fetched, **need}, case.now)

    return attempt


def _customer(case: _Case) -> Attempt:
    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        if is_gone(case.answer):
            return apply_fact(connection, case.seen(CustomerFact(case.id, deleted=True)), fetched, case.now)
        fact = _fact(case, CustomerFact)
        known = customers.find_by_stripe_id(connection, case.id)
        if known is None or known.deleted_at is None:
            effect = apply_fact(connection, case.seen(fact), fetched, case.now)
            differs = known is not None and case.drift.kind == "field_mismatch"
            return Effect("ignored", reason=_OTHER_USER) if differs else effect
        customers.lock(connection, known.customer_id)
        corrections.revive_customer(connection, case.id)
        return changed(connection, (known.customer_id,), case.seen(fact), case.now)

    return attempt


_OTHER_USER = "its metadata names another user than the store: whoever is right, a person must mend the other"


def _invoice(case: _Case) -> Attempt:
    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        held = _held_by(connection, case, fetched)
        corrections.forget_invoice(connection, case.id)
        if is_gone(case.answer):
            return changed(connection, held, _evidence(case), case.now)
        fact = _fact(case, InvoiceFact)
        tries = fact.attempts if fact.outcome == "failed" else 0
        told = corrections.first_told_failure(connection, case.id, tries)
        failed = None if told is None else replace(fact, outcome="failed", at=told)
        if failed is not None and fact.outcome == "paid":
            subscriptions.record_invoice(connection, failed)
        stated = fact if failed is None or fact.outcome == "paid" else failed
        effect = apply_fact(connection, case.seen(stated), fetched, case.now)
        return changed(connection, tuple(sorted({*held, *effect.customer_ids})), case.seen(stated), case.now)

    return attempt


def _refund(case: _Case) -> Attempt:
    return _money_back(case, corrections.forget_refund, RefundFact)


def _dispute(case: _Case) -> Attempt:
    return _money_back(case, corrections.forget_dispute, DisputeFact)


def _money_back(
    case: _Case, forget: Callable[[Connection, str], None], kind: type[RefundFact | DisputeFact]
) -> Attempt:
    """A status only ever moves on by events; here Stripe's present word replaces the row."""

    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        owner = charges.owner_of_charge(connection, str(case.drift.before.get("charge", "")))
        held = () if owner is None else (lock_owner(connection, owner, fetched),)
        forget(connection, case.id)
        if is_gone(case.answer):
            corrections.forget_charge(connection, str(case.drift.before.get("charge", "")), alone=True)
            return changed(connection, held, _evidence(case), case.now)
        fact = _fact(case, kind)
        effect = apply_fact(connection, case.seen(fact), fetched, case.now)
        return changed(connection, tuple(sorted({*held, *effect.customer_ids})), case.seen(fact), case.now)

    return attempt


def _charge(case: _Case) -> Attempt:
    """What a charge was, and what it paid, never changes: a row that says otherwise is made what Stripe says."""

    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        held = _held_by(connection, case, fetched)
        stated = None if isinstance(case.answer, Gone) else _fact(case, PaidCharge)
        payer = None if stated is None else stated.charge.stripe_customer_id
        if stated is None or payer is None or customers.find_by_stripe_id(connection, payer) is None:
            corrections.forget_charge(connection, case.id)
            return changed(connection, held, _evidence(case), case.now)
        held = tuple(sorted({*held, lock_owner(connection, payer, fetched)}))
        corrections.recharge(connection, stated)
        return changed(connection, held, _evidence(case), case.now)

    return attempt


def _held_by(connection: Connection, case: _Case, fetched: Fetches) -> tuple[int, ...]:
    """The customer whose the row says the object is, locked."""
    stripe_id = case.drift.before.get("customer")
    if stripe_id is None or customers.find_by_stripe_id(connection, str(stripe_id)) is None:
        return ()
    return (lock_owner(connection, str(stripe_id), fetched),)


def _checkout(case: _Case) -> Attempt:
    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        held = _held_by(connection, case, fetched)
        corrections.forget_purchase(connection, case.id)
        if is_gone(case.answer):
            return changed(connection, held, _evidence(case), case.now)
        fact = _fact(case, CheckoutFact)
        effect = apply_fact(connection, case.seen(fact), fetched, case.now)
        return changed(connection, tuple(sorted({*held, *effect.customer_ids})), case.seen(fact), case.now)

    return attempt


def _evidence(case: _Case) -> Observation:
    """Of something that Stripe has no more: the run is the cause."""
    return case.seen(CustomerFact(case.id, deleted=False))


def _fact(case: _Case, kind: type[FactT]) -> FactT:
    if isinstance(case.answer, Fetched) and isinstance(case.answer.fact, kind):
        return case.answer.fact
    raise Permanent("unknown_shape", f"Stripe's answer about {case.id} is no {kind.__name__}")


_STEPS: Mapping[str, Callable[[_Case], Attempt]] = {
    "customer": _customer,
    "product": _new_product,
    "price": _price,
    "invoice": _invoice,
    "refund": _refund,
    "dispute": _dispute,
    CHARGE: _charge,
    "checkout.session": _checkout,
}
