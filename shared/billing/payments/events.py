"""What Stripe's events state: the envelope, one reader per object, and the registry of the types we act on.

To act on another type, add it to `READERS`; the endpoint's `enabled_events` and the docs follow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from billing.domain.facts import (
    CheckoutFact,
    CustomerFact,
    EventFact,
    InvoiceFact,
    ItemFact,
    LineFact,
    PriceFact,
    ProductFact,
    SubscriptionFact,
)
from billing.domain.windows import from_seconds
from billing.errors import Permanent
from billing.payments.charges import read_charge, read_dispute, read_refund
from billing.payments.client import API_VERSION
from billing.payments.members import Members
from billing.payments.prices import read_price, read_product

_LATEST = 253402300799  # the last second of the year 9999
_Mode = Literal["payment", "subscription", "setup"]
_Status = Literal["open", "complete", "expired"]
_MODES: Mapping[str, _Mode] = {"payment": "payment", "subscription": "subscription", "setup": "setup"}
_STATUSES: Mapping[str, _Status] = {"open": "open", "complete": "complete", "expired": "expired"}
Word = TypeVar("Word")


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """An `event`. `created` is Stripe's clock in whole seconds; `object` is `data.object`, as it was at that moment."""

    id: str
    type: str
    created: int
    livemode: bool
    api_version: str | None
    object_id: str | None
    object_type: str | None
    object: dict[str, Any]

    @property
    def shape_is_foreign(self) -> bool:
        """Rendered in another API version than our readers': fetch the object instead of trusting its shape."""
        return self.api_version != API_VERSION


def parse_event(raw: bytes) -> StripeEvent:
    """The envelope of a delivered body. Raises Permanent (`unreadable`, `unknown_shape`), whatever the bytes."""
    try:
        document = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Permanent("unreadable", f"the body is not JSON in UTF-8 ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise Permanent("unknown_shape", f"an event is a JSON object, not {type(document).__name__}")
    envelope = Members(document, "event")
    if envelope.text_or_none("object") != "event":
        raise Permanent("unknown_shape", "not a v1 snapshot event: send this endpoint no thin (v2) events")
    subject = envelope.inner("data").inner("object")
    created = envelope.whole("created")
    if not 0 <= created <= _LATEST:
        raise Permanent("unknown_shape", "event.created is no time since 1970")
    return StripeEvent(
        id=envelope.reference("id"),
        type=envelope.reference("type"),
        created=created,
        livemode=envelope.flag("livemode"),
        api_version=envelope.text_or_none("api_version"),
        object_id=subject.reference_or_none("id"),
        object_type=subject.text_or_none("object"),
        object=subject.raw,
    )


Reader = Callable[[Members, int], EventFact]
"""From an object and the second it was seen at to what it states; raises `Permanent("unknown_shape")`."""


def read(event: StripeEvent) -> EventFact | None:
    """What the event states, or None where its type is none of ours. Raises Permanent (`unknown_shape`)."""
    reader = READERS.get(event.type)
    if reader is None:
        return None
    return reader(Members(event.object, event.object_type or "object"), event.created)


def read_subscription(raw: Members, _at: int = 0) -> SubscriptionFact:
    rows, more = raw.rows("items")
    return SubscriptionFact(
        id=raw.reference("id"),
        stripe_customer_id=raw.reference("customer"),
        status=raw.text("status"),
        start=raw.instant("start_date"),
        trial_end=raw.instant_or_none("trial_end"),
        cancel_at=raw.instant_or_none("cancel_at"),
        cancel_at_period_end=raw.flag("cancel_at_period_end"),
        canceled_at=raw.instant_or_none("canceled_at"),
        ended_at=raw.instant_or_none("ended_at"),
        latest_invoice_id=raw.reference_or_none("latest_invoice"),
        items=tuple(read_item(row) for row in rows),
        truncated=more,
        currency=raw.text_or_none("currency"),
        discount_ids=raw.references("discounts"),
    )


def read_item(raw: Members) -> ItemFact:
    """A `subscription_item`. Metered items have no quantity: they count as one."""
    quantity = raw.whole_or_none("quantity")
    return ItemFact(
        id=raw.reference("id"),
        price_id=raw.reference("price"),
        product_id=raw.inner("price").reference("product"),
        quantity=1 if quantity is None else quantity,
        period_start=raw.instant("current_period_start"),
        period_end=raw.instant("current_period_end"),
        discount_ids=raw.references("discounts"),
    )


def read_customer(raw: Members, _at: int = 0) -> CustomerFact:
    """A `customer`, or the stub that Stripe answers for a deleted one."""
    metadata = raw.inner_or_none("metadata") or Members({}, "metadata")
    return CustomerFact(
        id=raw.reference("id"),
        deleted=raw.raw.get("deleted") is True,
        namespace=metadata.text_or_none("billing_namespace"),
        user_id=metadata.text_or_none("billing_user_id"),
    )


def read_checkout(raw: Members, _at: int = 0) -> CheckoutFact:
    """A `checkout.session`; `no_payment_required` is as good as paid, `unpaid` is not payment (SPEC §2.5)."""
    return CheckoutFact(
        id=raw.reference("id"),
        stripe_customer_id=raw.reference_or_none("customer"),
        mode=_one_of(raw, "mode", _MODES),
        status=_one_of(raw, "status", _STATUSES),
        paid=raw.text("payment_status") in {"paid", "no_payment_required"},
        subscription_id=raw.reference_or_none("subscription"),
        payment_intent_id=raw.reference_or_none("payment_intent"),
    )


def read_line(raw: Members) -> LineFact:
    """A line of `checkout.session.line_items`."""
    quantity = raw.whole_or_none("quantity")
    return LineFact(
        id=raw.reference("id"),
        price_id=raw.reference("price"),
        product_id=raw.inner("price").reference("product"),
        quantity=1 if quantity is None else quantity,
        amount=raw.whole("amount_total"),
        currency=raw.text("currency"),
    )


def subscription_of_invoice(raw: Members) -> str | None:
    """`invoice.parent.subscription_details.subscription`: None where it bills no subscription."""
    parent = raw.inner_or_none("parent")
    details = parent.inner_or_none("subscription_details") if parent else None
    return details.reference_or_none("subscription") if details else None


def _invoice(outcome: Literal["paid", "failed"]) -> Reader:
    def reader(raw: Members, at: int) -> InvoiceFact:
        moments = raw.inner_or_none("status_transitions")
        paid_at = moments.instant_or_none("paid_at") if moments is not None and outcome == "paid" else None
        subscription = subscription_of_invoice(raw)
        when = paid_at or from_seconds(at)
        return InvoiceFact(raw.reference("id"), raw.reference("customer"), subscription, outcome, when)

    return reader


def read_invoice(raw: Members, _at: int = 0) -> InvoiceFact:
    """An `invoice` as it stands: paid at `status_transitions.paid_at`; else one whose payment failed, at its
    `finalized_at`, when it was first tried: Stripe does not say when a try failed.
    """
    moments = raw.inner("status_transitions")
    paid_at = moments.instant_or_none("paid_at")
    outcome: Literal["paid", "failed"] = "failed" if paid_at is None else "paid"
    at = paid_at or moments.instant_or_none("finalized_at") or raw.instant("created")
    subscription, tries = subscription_of_invoice(raw), raw.whole_or_none("attempt_count") or 0
    return InvoiceFact(raw.reference("id"), raw.reference("customer"), subscription, outcome, at, tries)


def _customer_deleted(raw: Members, at: int) -> CustomerFact:
    return replace(read_customer(raw, at), deleted=True)


def _product_deleted(raw: Members, at: int) -> ProductFact:
    return replace(read_product(raw, at), active=False, deleted=True)


def _price_deleted(raw: Members, at: int) -> PriceFact:
    return replace(read_price(raw, at), active=False, deleted=True)


def _one_of(raw: Members, member: str, words: Mapping[str, Word]) -> Word:
    word = words.get(raw.text(member))
    if word is None:
        raise Permanent("unknown_shape", f"{raw.name}.{member} is none of {', '.join(words)}")
    return word


READERS: Mapping[str, Reader] = {
    "checkout.session.completed": read_checkout,
    "checkout.session.async_payment_succeeded": read_checkout,
    "checkout.session.async_payment_failed": read_checkout,
    "checkout.session.expired": read_checkout,
    "customer.created": read_customer,
    "customer.updated": read_customer,
    "customer.deleted": _customer_deleted,
    "customer.subscription.created": read_subscription,
    "customer.subscription.updated": read_subscription,
    "customer.subscription.deleted": read_subscription,
    "customer.subscription.paused": read_subscription,
    "customer.subscription.resumed": read_subscription,
    "customer.subscription.trial_will_end": read_subscription,
    "invoice.paid": _invoice("paid"),
    "invoice.payment_succeeded": _invoice("paid"),
    "invoice.payment_failed": _invoice("failed"),
    "product.created": read_product,
    "product.updated": read_product,
    "product.deleted": _product_deleted,
    "charge.refunded": read_charge,
    "refund.updated": read_refund,
    "refund.failed": read_refund,
    "charge.dispute.created": read_dispute,
    "charge.dispute.updated": read_dispute,
    "charge.dispute.closed": read_dispute,
    "price.created": read_price,
    "price.updated": read_price,
    "price.deleted": _price_deleted,
}
"""Every event type this service acts on. All others are recorded as `ignored`."""
