"""One Stripe object as it is now, at the pinned API version, with Stripe's own clock at the moment of the answer.

A list that Stripe embeds cut short is paged through to its end. Every function raises Transient (Stripe cannot answer
now) and Permanent (`stripe_refused`, `unknown_shape`); an object that is not there is an answer, not an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import stripe
from stripe import StripeClient

from billing.domain.facts import (
    ChargeFact,
    CheckoutFact,
    CustomerFact,
    DisputeFact,
    EventFact,
    Fact,
    InvoiceFact,
    LineFact,
    PaidCharge,
    PaymentFact,
    PriceFact,
    ProductFact,
    RefundFact,
    SubscriptionFact,
)
from billing.errors import Permanent, Transient
from billing.payments.charges import read_charge, read_dispute, read_refund, refund_of
from billing.payments.client import our_errors
from billing.payments.discounts import ITEM_PARTS, SUBSCRIPTION_PARTS, read_discounts
from billing.payments.events import (
    READERS,
    StripeEvent,
    read_checkout,
    read_customer,
    read_invoice,
    read_item,
    read_line,
    read_subscription,
    subscription_of_invoice,
)
from billing.payments.members import Members
from billing.payments.prices import EXPAND, read_price, read_product
from billing.payments.transport import Decode

F_co = TypeVar("F_co", bound=Fact, covariant=True)
_PAGE = 100
CHECKOUT_PARTS = ("line_items", "payment_intent.latest_charge")
"""What must be asked for to know a checkout session whole."""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[F_co]):
    """What Stripe says now. `at` is the answer's `Date` in seconds: the watermark of a row stored from it."""

    fact: F_co
    at: int


@dataclass(frozen=True, slots=True)
class Gone:
    """Stripe has no such object (404), or only the stub of a deleted product or price. Terminal as of `at`."""

    id: str
    at: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list, newest first, at Stripe's second `at`. `last`: the id to go on after, None where that was all."""

    rows: tuple[Members, ...]
    at: int
    last: str | None


@dataclass(frozen=True, slots=True)
class _Answer:
    raw: Members
    at: int


def fetch_subscription(client: StripeClient, subscription_id: str) -> Fetched[SubscriptionFact] | Gone:
    """A `subscription` with all its items and the terms of all discounts."""
    parts = list(SUBSCRIPTION_PARTS)
    answer = _get(client, "subscription", "/v1/subscriptions", subscription_id, expand=parts)
    return answer if isinstance(answer, Gone) else Fetched(_subscription(client, answer.raw), answer.at)


def fetch_customer(client: StripeClient, customer_id: str) -> Fetched[CustomerFact] | Gone:
    """A `customer`; of a deleted one Stripe keeps a stub, which is a fact that says so."""
    return _fetch(client, "customer", "/v1/customers", customer_id, read_customer)


def fetch_product(client: StripeClient, product_id: str) -> Fetched[ProductFact] | Gone:
    return _fetch(client, "product", "/v1/products", product_id, read_product)


def fetch_price(client: StripeClient, price_id: str) -> Fetched[PriceFact] | Gone:
    """A `price` with its tiers and further currencies."""
    return _fetch(client, "price", "/v1/prices", price_id, read_price, expand=list(EXPAND))


def fetch_charge(client: StripeClient, charge_id: str) -> Fetched[ChargeFact] | Gone:
    """A `charge` with all its refunds."""
    answer = _get(client, "charge", "/v1/charges", charge_id)
    if isinstance(answer, Gone):
        return answer
    rows = _pages(client, "/v1/refunds", {"charge": charge_id})
    fact = replace(read_charge(answer.raw), refunds=tuple(refund_of(row) for row in rows))
    return Fetched(fact, answer.at)


def fetch_invoice(client: StripeClient, invoice_id: str) -> Fetched[InvoiceFact] | Gone:
    """An `invoice` that is paid, or that was tried."""
    return _fetch(client, "invoice", "/v1/invoices", invoice_id, read_invoice)


def fetch_refund(client: StripeClient, refund_id: str) -> Fetched[RefundFact] | Gone:
    return _fetch(client, "refund", "/v1/refunds", refund_id, read_refund)


def fetch_dispute(client: StripeClient, dispute_id: str) -> Fetched[DisputeFact] | Gone:
    """A `dispute`; when it closed only its event tells."""
    return _fetch(client, "dispute", "/v1/disputes", dispute_id, read_dispute)


def fetch_payment(client: StripeClient, intent_id: str) -> Fetched[PaymentFact] | Gone:
    """What a `payment_intent` paid, by its `invoice_payment`, else by the checkout session it belongs to."""
    answer = _get(client, "payment_intent", "/v1/payment_intents", intent_id)
    if isinstance(answer, Gone):
        return answer
    return Fetched(_paid_by(client, intent_id), answer.at)


def fetch_paid_charge(client: StripeClient, charge_id: str) -> Fetched[PaidCharge] | Gone:
    """A `charge` with what its payment intent paid."""
    answer = _get(client, "charge", "/v1/charges", charge_id)
    if isinstance(answer, Gone):
        return answer
    charge = read_charge(answer.raw)
    paid = PaymentFact("") if charge.payment_intent_id is None else _paid_by(client, charge.payment_intent_id)
    return Fetched(PaidCharge(charge, paid), answer.at)


def _paid_by(client: StripeClient, intent_id: str) -> PaymentFact:
    by = {"payment[type]": "payment_intent", "payment[payment_intent]": intent_id}
    for row in _pages(client, "/v1/invoice_payments", by):
        invoice_id = row.reference("invoice")
        return PaymentFact(intent_id, invoice_id, _subscription_of_invoice(client, invoice_id))
    for row in _pages(client, "/v1/checkout/sessions", {"payment_intent": intent_id}):
        return PaymentFact(intent_id, session_id=row.reference("id"))
    return PaymentFact(intent_id)


def fetch_checkout(client: StripeClient, session_id: str) -> Fetched[CheckoutFact] | Gone:
    """A `checkout.session` with all its `line_items`, and `paid_at` from the charge behind it where it is paid."""
    answer = _get(client, "checkout.session", "/v1/checkout/sessions", session_id, expand=list(CHECKOUT_PARTS))
    return answer if isinstance(answer, Gone) else Fetched(read_whole_checkout(client, answer.raw), answer.at)


def fetch_subject(client: StripeClient, event: StripeEvent) -> Fetched[EventFact] | Gone | None:
    """What an event is about, as it is now, for an event in a foreign shape; None where its type is none of ours."""
    if event.type not in READERS:
        return None
    if event.object_id is None:
        raise Permanent("unknown_shape", f"{event.type} names no object to fetch")
    match event.object_type:
        case "subscription":
            return fetch_subscription(client, event.object_id)
        case "checkout.session":
            return fetch_checkout(client, event.object_id)
        case "customer" | "product" | "price" | "invoice" | "charge" | "refund" | "dispute" as kind:
            reader = READERS[event.type]
            whole = {"expand": list(EXPAND)} if kind == "price" else {}
            return _fetch(
                client, kind, f"/v1/{kind}s", event.object_id, lambda raw: reader(raw, event.created), **whole
            )
        case kind:
            raise Permanent("unknown_shape", f"{event.type} is about {kind!r}, which is none of its objects")


def fetch_event(client: StripeClient, event_id: str) -> bytes | Gone:
    """An `event` as Stripe keeps it (30 days), to be read by `events.parse_event`."""
    answer = _get(client, "event", "/v1/events", event_id)
    return answer if isinstance(answer, Gone) else json.dumps(answer.raw.raw).encode()


def _fetch(
    client: StripeClient,
    kind: str,
    collection: str,
    object_id: str,
    reader: Callable[[Members], F_co],
    **params: Any,
) -> Fetched[F_co] | Gone:
    answer = _get(client, kind, collection, object_id, **params)
    if isinstance(answer, Gone):
        return answer
    if answer.raw.raw.get("deleted") is True and kind != "customer":
        return Gone(object_id, answer.at)
    return Fetched(reader(answer.raw), answer.at)


def _subscription(client: StripeClient, raw: Members) -> SubscriptionFact:
    fact = replace(read_subscription(raw), discounts=read_discounts(raw))
    if not fact.truncated and not fact.untold_discounts:
        return fact
    asked = {"subscription": fact.id, "expand": list(ITEM_PARTS)}
    rows = list(_pages(client, "/v1/subscription_items", asked))
    told = {one.id: one for row in (raw, *rows) for one in read_discounts(row)}
    items = tuple(read_item(row) for row in rows)
    return replace(fact, items=items, truncated=False, discounts=tuple(told.values()))


def read_whole_checkout(client: StripeClient, raw: Members) -> CheckoutFact:
    """Of a `checkout.session` that came with `CHECKOUT_PARTS`."""
    fact = read_checkout(raw)
    return replace(fact, lines=_lines(client, fact.id, raw), paid_at=_paid_at(raw) if fact.paid else None)


def _subscription_of_invoice(client: StripeClient, invoice_id: str) -> str | None:
    answer = _get(client, "invoice", "/v1/invoices", invoice_id)
    return None if isinstance(answer, Gone) else subscription_of_invoice(answer.raw)


def _lines(client: StripeClient, session_id: str, raw: Members) -> tuple[LineFact, ...]:
    rows, more = raw.rows("line_items")
    every = _pages(client, f"/v1/checkout/sessions/{quote(session_id, safe='')}/line_items", {}) if more else rows
    return tuple(read_line(row) for row in every)


def _paid_at(raw: Members) -> datetime:
    intent = raw.inner_or_none("payment_intent")
    charge = intent.inner_or_none("latest_charge") if intent else None
    return (charge or raw).instant("created")


def _get(client: StripeClient, kind: str, collection: str, object_id: str, **params: Any) -> _Answer | Gone:
    # An empty id would list the collection.
    if not object_id:
        raise Permanent("unknown_shape", f"an empty id names no {kind}")
    with our_errors():
        try:
            response = client.raw_request("get", f"{collection}/{quote(object_id, safe='')}", **params)
        except stripe.InvalidRequestError as error:
            if error.http_status != 404:
                raise
            return Gone(object_id, clock(error.headers))
    return _Answer(Members(response.data, kind), clock(response.headers))


def pages(client: StripeClient, path: str, params: dict[str, Any]) -> Iterator[tuple[Members, int]]:
    """All rows of a list, from its beginning, each with Stripe's clock at the answer that had it."""
    after: str | None = None
    while True:
        found = page(client, path, params, after)
        yield from ((row, found.at) for row in found.rows)
        if found.last is None:
            return
        after = found.last


def page(
    client: StripeClient, path: str, params: dict[str, Any], after: str | None, decode: Decode | None = None
) -> Page:
    """A page of a list, those after the id `after`. `decode`: from its body to what is read of it, if not all is."""
    start: dict[str, Any] = {} if after is None else {"starting_after": after}
    if decode is not None:
        start["decode"] = decode
    with our_errors():
        response = client.raw_request("get", path, limit=_PAGE, **params, **start)
    rows, more = Members({"list": response.data}, path).rows("list")
    if more and not rows:
        raise Transient("stripe_unavailable", f"{path} has more rows but sends none: try again.")
    return Page(tuple(rows), clock(response.headers), rows[-1].reference("id") if more else None)


def _pages(client: StripeClient, path: str, params: dict[str, Any]) -> Iterator[Members]:
    return (row for row, _ in pages(client, path, params))


def clock(headers: Any) -> int:
    """Stripe's clock at the answer, in whole seconds."""
    date = headers.get("Date") if headers else None
    if date is None:
        raise Transient("stripe_unavailable", "Stripe's answer carries no Date, so its age is unknown: try again.")
    return int(parsedate_to_datetime(date).timestamp())
