"""Stripe's lists of what the store mirrors, a page at a time; each object told in the words the store is compared in.

A `state` is JSON: `fact` is what must be equal on both sides (`store/mirrors.py` says the store's), the rest tells
whose the object is. Instants are whole seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from stripe import StripeClient

from billing.domain.facts import (
    ChargeFact,
    CheckoutFact,
    CustomerFact,
    DisputeFact,
    InvoiceFact,
    PaidCharge,
    PaymentFact,
    PriceFact,
    ProductFact,
    RefundFact,
    SubscriptionFact,
)
from billing.domain.policies import DISPUTE_RANK, REFUND_RANK
from billing.domain.prices import options_to_json, tiers_to_json, written
from billing.errors import Permanent
from billing.payments.charges import read_charge, read_dispute, read_refund
from billing.payments.events import read_customer, read_invoice, read_subscription
from billing.payments.members import Members
from billing.payments.objects import CHECKOUT_PARTS, Gone, Page, fetch_subscription, page, read_whole_checkout
from billing.payments.prices import EXPAND, read_price, read_product
from billing.payments.pruned import PRUNED

State = dict[str, Any]
Mirrored = (
    SubscriptionFact
    | CustomerFact
    | ProductFact
    | PriceFact
    | CheckoutFact
    | InvoiceFact
    | RefundFact
    | DisputeFact
    | PaidCharge
)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of a list. `state` None: it is nothing the store would have, or it cannot be read."""

    id: str
    created: int
    state: State | None


@dataclass(frozen=True, slots=True)
class ListedPage:
    """`at`: Stripe's second of the answer. `digest`: the SHA-256 of what the rows say."""

    rows: tuple[Listed, ...]
    at: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Collection:
    path: str
    params: Mapping[str, Any]
    state: Callable[[StripeClient, Members], State | None]


def ask_page(client: StripeClient, kind: str, *, since: int | None, after: str | None) -> Page:
    """A page of a kind's list as it comes, newest first, after the id `after`. `since`: only what was created from then
    on. Raises Transient, Permanent (`stripe_refused`).
    """
    collection = COLLECTIONS[kind]
    window = {} if since is None else {"created": {"gte": since}}
    return page(client, collection.path, {**collection.params, **window}, after, PRUNED.get(kind))


def read_mirrored(client: StripeClient, kind: str, found: Page) -> ListedPage:
    """What the page says. What it embeds cut short is asked for. Raises Transient, Permanent (`stripe_refused`)."""
    collection = COLLECTIONS[kind]
    rows = tuple(_listed(client, collection, row) for row in found.rows)
    said = msgspec.json.encode([[row.id, row.state and row.state["fact"]] for row in rows], order="deterministic")
    return ListedPage(rows, found.at, hashlib.sha256(said).digest())


def last_payment(client: StripeClient, subscription_id: str) -> tuple[Listed | None, int]:
    """The `invoice` of a subscription that was paid last, None if none was; and Stripe's second of the answer.

    Of the hundred that were made last: an older one that is paid late is not seen. Raises Transient, Permanent.
    """
    found = page(client, "/v1/invoices", {"subscription": subscription_id, "status": "paid"}, None)
    paid = [(row, read_invoice(row)) for row in found.rows]
    last = max(((row, fact) for row, fact in paid if fact.outcome == "paid"), key=lambda one: one[1].at, default=None)
    if last is None:
        return None, found.at
    row, fact = last
    return Listed(fact.id, row.whole("created"), state_of(fact)), found.at


def _listed(client: StripeClient, collection: _Collection, row: Members) -> Listed:
    object_id, created = row.reference("id"), row.whole("created")
    try:
        return Listed(object_id, created, collection.state(client, row))
    except Permanent as fault:
        if fault.code != "unknown_shape":
            raise
        return Listed(object_id, created, None)


def state_of(fact: Mirrored) -> State:
    """What a fetched object says, in the same words as its list."""
    match fact:
        case SubscriptionFact():
            return _subscription(fact)
        case CustomerFact():
            return _customer(fact)
        case ProductFact():
            return {"fact": {"name": fact.name, "active": fact.active, "deleted": fact.deleted}, "product": fact.id}
        case PriceFact():
            return _price(fact)
        case CheckoutFact():
            return _checkout(fact)
        case InvoiceFact():
            return {
                "fact": {
                    "subscription": fact.subscription_id,
                    "customer": fact.stripe_customer_id,
                    "paid_at": _second(fact.at) if fact.outcome == "paid" else None,
                    "failed_at": _second(fact.at) if fact.outcome == "failed" else None,
                },
                "customer": fact.stripe_customer_id,
                "attempts": fact.attempts,
            }
        case RefundFact(charge_id=charge_id, refund=refund):
            rank = REFUND_RANK.get(refund.status, 0)
            return {"fact": _money_back(charge_id, refund.amount, refund.status, rank, refund.created)}
        case DisputeFact(charge_id=charge_id, dispute=dispute):
            rank = DISPUTE_RANK[dispute.status]
            return {"fact": _money_back(charge_id, dispute.amount, dispute.status, rank, dispute.opened_at)}
        case PaidCharge():
            return {"fact": _charge(fact.charge) | _paid(fact.paid), "customer": fact.charge.stripe_customer_id}


def _money_back(charge_id: str, amount: int, status: str, rank: int, created: datetime) -> State:
    return {"charge": charge_id, "amount": amount, "status": status, "rank": rank, "created": _second(created)}


def _charge(fact: ChargeFact) -> State:
    return {
        "customer": fact.stripe_customer_id,
        "amount": fact.amount,
        "currency": fact.currency,
        "payment_intent": fact.payment_intent_id,
    }


def _paid(fact: PaymentFact) -> State:
    return {"invoice": fact.invoice_id, "subscription": fact.subscription_id, "session": fact.session_id}


def _subscription(fact: SubscriptionFact) -> State:
    items = [
        [
            item.id,
            item.price_id,
            item.quantity,
            _second(item.period_start),
            _second(item.period_end),
            [*item.discount_ids],
        ]
        for item in sorted(fact.items, key=lambda item: item.id)
    ]
    stated = {
        "customer": fact.stripe_customer_id,
        "status": fact.status,
        "start": _second(fact.start),
        "trial_end": _second(fact.trial_end),
        "cancel_at": _second(fact.cancel_at),
        "cancel_at_period_end": fact.cancel_at_period_end,
        "canceled_at": _second(fact.canceled_at),
        "ended_at": _second(fact.ended_at),
        "latest_invoice": fact.latest_invoice_id,
        "currency": fact.currency,
        "discounts": [*fact.discount_ids],
        "items": items,
    }
    products = sorted({item.product_id for item in fact.items})
    return {"fact": stated, "customer": fact.stripe_customer_id, "products": products}


def _customer(fact: CustomerFact) -> State:
    stated: State = {"deleted": fact.deleted}
    if fact.namespace is not None and fact.user_id is not None:
        stated |= {"namespace": fact.namespace, "user_id": fact.user_id}
    return {"fact": stated, "customer": fact.id}


def _price(fact: PriceFact) -> State:
    per_unit = fact.money.amount.per_unit
    stated = {
        "product": fact.product_id,
        "lookup_key": fact.lookup_key,
        "type": fact.type,
        "currency": fact.currency,
        "per_unit": None if per_unit is None else written(per_unit),
        "billing_scheme": fact.billing_scheme,
        "interval": fact.recurring_interval,
        "every": fact.recurring_count,
        "usage_type": fact.usage_type,
        "active": fact.active,
        "deleted": fact.deleted,
        "tiers_mode": fact.tiers_mode,
        "tiers": tiers_to_json(fact.tiers) if fact.tiers else None,
        "options": options_to_json(fact.currency_options or ()),
        "package": [fact.package_size, fact.package_round],
    }
    return {"fact": stated, "products": [fact.product_id]}


def _checkout(fact: CheckoutFact) -> State:
    lines = sorted([line.id, line.price_id, line.quantity, line.amount, line.currency] for line in fact.lines or ())
    stated = {
        "customer": fact.stripe_customer_id,
        "payment_intent": fact.payment_intent_id,
        "paid_at": _second(fact.paid_at),
        "lines": lines,
    }
    products = sorted({line.product_id for line in fact.lines or ()})
    return {"fact": stated, "customer": fact.stripe_customer_id, "products": products}


def _second(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp())


# --- out of the rows of lists ----------------------------------------------------------------------------------------


def _listed_subscription(client: StripeClient, row: Members) -> State | None:
    fact = read_subscription(row)
    if fact.truncated:
        whole = fetch_subscription(client, fact.id)
        return None if isinstance(whole, Gone) else _subscription(whole.fact)
    return _subscription(fact)


def _listed_product(_client: StripeClient, row: Members) -> State:
    metadata = row.inner_or_none("metadata") or Members({}, "metadata")
    return state_of(read_product(row)) | {"project": metadata.text_or_none("billing_project_id")}


def _listed_invoice(_client: StripeClient, row: Members) -> State | None:
    fact = read_invoice(row)
    return state_of(fact) if fact.subscription_id is not None and row.flag("attempted") else None


def _listed_checkout(client: StripeClient, row: Members) -> State | None:
    fact = read_whole_checkout(client, row)
    return _checkout(fact) if fact.mode == "payment" and fact.paid else None


def _of_charge(read: Callable[[Members], RefundFact | DisputeFact]) -> Callable[[StripeClient, Members], State]:
    def state(_client: StripeClient, row: Members) -> State:
        charge = _charge(read_charge(row.inner("charge")))
        return state_of(read(row)) | {"customer": charge["customer"], "of": charge}

    return state


COLLECTIONS: Mapping[str, _Collection] = {
    "customer": _Collection("/v1/customers", {}, lambda _client, row: _customer(read_customer(row))),
    "product": _Collection("/v1/products", {}, _listed_product),
    "price": _Collection(
        "/v1/prices", {"expand": [f"data.{part}" for part in EXPAND]}, lambda _client, row: _price(read_price(row))
    ),
    "subscription": _Collection("/v1/subscriptions", {"status": "all"}, _listed_subscription),
    "invoice": _Collection("/v1/invoices", {"status": "open"}, _listed_invoice),
    "refund": _Collection("/v1/refunds", {"expand": ["data.charge"]}, _of_charge(read_refund)),
    "dispute": _Collection("/v1/disputes", {"expand": ["data.charge"]}, _of_charge(read_dispute)),
    "checkout.session": _Collection(
        "/v1/checkout/sessions",
        {"status": "complete", "expand": [f"data.{part}" for part in CHECKOUT_PARTS]},
        _listed_checkout,
    ),
}
"""Every kind that is compared, in the order in which one may refer to another: who comes first is known by then."""

DATED = frozenset({"refund", "dispute", "checkout.session"})
"""Made anew each time and settled soon: only what is recent is listed. The others change however old they are."""
