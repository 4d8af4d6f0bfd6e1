"""How each kind of object is made what Stripe says it is, inside a repair's transaction.

Subscriptions, products and prices are stored by compare-and-set on their row; what only absorbs is forgotten and told
anew. Each step records the change of its owner's holdings, with the run as its cause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from billing.domain.facts import (
    CheckoutFact,
    CustomerFact,
    DisputeFact,
    EventFact,
    InvoiceFact,
    PriceFact,
    ProductFact,
    RefundFact,
    SubscriptionFact,
)
from billing.errors import Permanent, Transient
from billing.payments.mirrored import Mirrored
from billing.payments.objects import Fetched, Gone
from billing.store import catalog, charges, corrections, customers, projects
from billing.store.connection import Connection
from billing.usecases.apply_fact import apply_fact
from billing.usecases.compare_listing import FETCHES, is_gone
from billing.usecases.observation import Effect, Fetches, Known, Need, Observation
from billing.usecases.owner import changed, lock_owner
from billing.usecases.passes import Drift, Means

_POINTER_SECOND = 2**62
"""Newer than all: what merely points at an object is never the older news, so the object is fetched."""

Attempt = Callable[[Connection, Fetches], Effect]
FactT = TypeVar("FactT", bound=EventFact)


def step_of(means: Means, drift: Drift) -> tuple[Attempt, dict[Need, Known]]:
    """What is done inside the transaction, and what was asked of Stripe before it."""
    match drift.object_type:
        case "subscription":
            return _pointed(means, _subscription_pointer(means, drift)), {}
        case "product" if drift.kind != "missing_local":
            name = str(drift.before.get("name", ""))
            return _product(means, ProductFact(drift.object_id, name, active=False)), {}
        case kind:
            means.spend()
            answer: Fetched[Mirrored] | Gone = FETCHES[kind](means.worker.stripe, drift.object_id)
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
    apply = _pointed(means, pointer)
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
            if mirror.watermark > case.answer.at:
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
        if is_gone(case.answer):
            return Effect("superseded", reason="gone_from_stripe: its subscription tells what became of it")
        fact = _fact(case, InvoiceFact)
        if fact.outcome == "failed":
            corrections.forget_payment(connection, case.id)
        return apply_fact(connection, case.seen(fact), fetched, case.now)

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
            return changed(connection, held, _evidence(case), case.now)
        fact = _fact(case, kind)
        effect = apply_fact(connection, case.seen(fact), fetched, case.now)
        return changed(connection, tuple(sorted({*held, *effect.customer_ids})), case.seen(fact), case.now)

    return attempt


def _checkout(case: _Case) -> Attempt:
    def attempt(connection: Connection, fetched: Fetches) -> Effect:
        stripe_id = case.drift.before.get("customer")
        held = () if stripe_id is None else (lock_owner(connection, str(stripe_id), fetched),)
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
    "checkout.session": _checkout,
}
