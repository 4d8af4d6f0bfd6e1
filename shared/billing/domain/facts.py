"""What an event or a fetched object states, freed of Stripe's shapes; and whether it is news (SPEC §4, order)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billing.domain.policies import Dispute, Refund


@dataclass(frozen=True, slots=True)
class ItemFact:
    """`subscription.items.data[]`: the period lives here, not on the subscription."""

    id: str
    price_id: str
    product_id: str
    quantity: int
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionFact:
    """A Stripe `subscription`. `truncated`: its embedded items are only the first page, so it must be fetched."""

    id: str
    stripe_customer_id: str
    status: str
    start: datetime
    trial_end: datetime | None
    cancel_at: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    ended_at: datetime | None
    latest_invoice_id: str | None
    items: tuple[ItemFact, ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class CustomerFact:
    """A Stripe `customer`; namespace and user are the metadata this service wrote when it created it."""

    id: str
    deleted: bool
    namespace: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class ProductFact:
    """A Stripe `product`."""

    id: str
    name: str
    active: bool
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class PriceFact:
    """A Stripe `price`. `unit_amount` is in minor units; None for tiers and sub-unit amounts."""

    id: str
    product_id: str
    lookup_key: str | None
    type: Literal["recurring", "one_time"]
    currency: str
    unit_amount: int | None
    billing_scheme: str
    recurring_interval: str | None
    recurring_count: int | None
    usage_type: str | None
    active: bool
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class LineFact:
    """A line of a checkout session (`checkout.session.line_items.data[]`). `amount` is its total in minor units."""

    id: str
    price_id: str
    product_id: str
    quantity: int
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class CheckoutFact:
    """A `checkout.session`. Events carry no lines: `lines` is None until the session is fetched with them.

    `paid_at` is the payment's own time (`payment_intent.latest_charge.created`, else the session's `created`), None
    while `payment_status` is `unpaid`; known only once fetched.
    """

    id: str
    stripe_customer_id: str | None
    mode: Literal["payment", "subscription", "setup"]
    status: Literal["open", "complete", "expired"]
    paid: bool
    subscription_id: str | None
    payment_intent_id: str | None
    paid_at: datetime | None = None
    lines: tuple[LineFact, ...] | None = None


@dataclass(frozen=True, slots=True)
class InvoiceFact:
    """An `invoice` that was paid, or one whose payment failed, at the event's own time. Absorbing: needs no order."""

    id: str
    stripe_customer_id: str
    subscription_id: str | None
    outcome: Literal["paid", "failed"]
    at: datetime


@dataclass(frozen=True, slots=True)
class ChargeFact:
    """A `charge`. Events carry no refunds: `refunds` is None until the charge is fetched with all of them."""

    id: str
    stripe_customer_id: str | None
    amount: int
    currency: str
    payment_intent_id: str | None
    refunds: tuple[Refund, ...] | None = None


@dataclass(frozen=True, slots=True)
class RefundFact:
    """A `refund` of a charge. Absorbing: a later word of its status beats an earlier one, whenever it is told."""

    charge_id: str
    refund: Refund


@dataclass(frozen=True, slots=True)
class DisputeFact:
    """A `dispute` of a charge. Absorbing likewise."""

    charge_id: str
    dispute: Dispute


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """What a `payment_intent` paid: an invoice (of a subscription, or not), a checkout session, or nothing of ours."""

    id: str
    invoice_id: str | None = None
    subscription_id: str | None = None
    session_id: str | None = None


EventFact = (
    SubscriptionFact
    | CustomerFact
    | ProductFact
    | PriceFact
    | CheckoutFact
    | InvoiceFact
    | ChargeFact
    | RefundFact
    | DisputeFact
)
"""What events state."""

Fact = EventFact | PaymentFact
"""What events state, or a fetch answers."""

News = Literal["newer", "older", "tie"]


def compare(stored_watermark: int | None, observed_at: int) -> News:
    """Whether what was observed at Stripe's second `observed_at` is news to a row of that watermark.

    Stripe's clock has one second: within the same second nobody can tell, and the object must be fetched.
    """
    if stored_watermark is None or observed_at > stored_watermark:
        return "newer"
    return "tie" if observed_at == stored_watermark else "older"
