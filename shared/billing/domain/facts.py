"""What an event or a fetched object states, freed of Stripe's shapes; and whether it is news (SPEC §4, order)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from billing.domain.policies import Dispute, Refund
from billing.domain.prices import Amount, Interval, Money, Options, Tier, TiersMode


@dataclass(frozen=True, slots=True)
class ItemFact:
    """`subscription.items.data[]`: the period lives here, not on the subscription."""

    id: str
    price_id: str
    product_id: str
    quantity: int
    period_start: datetime
    period_end: datetime
    discount_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscountFact:
    """The terms of a Stripe `discount`, those of its coupon (`source.coupon`): they never change.

    recurs: `forever` or `repeating` (until `ends_at`), not `once`. amounts_off: minor units by currency. product_ids:
    those it is for, None: all. Neither percent nor amounts: Stripe no longer tells the coupon.
    """

    id: str
    recurs: bool
    ends_at: datetime | None = None
    percent_off: Decimal | None = None
    amounts_off: tuple[tuple[str, int], ...] = ()
    product_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionFact:
    """A Stripe `subscription`. `truncated`: its embedded items are only the first page, so it must be fetched.

    Events name discounts by id; `discounts` has their terms, its items' too, once it is fetched.
    """

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
    currency: str | None = None
    discount_ids: tuple[str, ...] = ()
    discounts: tuple[DiscountFact, ...] = ()

    @property
    def untold_discounts(self) -> set[str]:
        """Discounts of it and of its items whose terms it does not tell."""
        named = {*self.discount_ids, *(one for item in self.items for one in item.discount_ids)}
        return named - {discount.id for discount in self.discounts}


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
    """A Stripe `price`. `unit_amount` is in minor units; None for tiers and sub-unit amounts.

    `tiers` and `currency_options` (other currencies than its own) come only when asked for: None is "not told".
    `incomplete`: it is tiered and the tiers were not told, so it must be fetched. `package_size`: it is asked for each
    so many units, a part of them counting as all or nothing.
    """

    id: str
    product_id: str
    lookup_key: str | None
    type: Literal["recurring", "one_time"]
    currency: str
    unit_amount: int | None
    billing_scheme: str
    recurring_interval: Interval | None
    recurring_count: int | None
    usage_type: str | None
    active: bool
    deleted: bool = False
    unit_amount_decimal: Decimal | None = None
    tiers_mode: TiersMode | None = None
    tiers: tuple[Tier, ...] | None = None
    currency_options: Options | None = None
    incomplete: bool = False
    package_size: int | None = None
    package_round: Literal["up", "down"] | None = None

    @property
    def money(self) -> Money:
        """What it asks, as far as it was told."""
        per_unit = self.unit_amount_decimal
        if per_unit is None and self.unit_amount is not None:
            per_unit = Decimal(self.unit_amount)
        amount = Amount(per_unit, self.tiers or ())
        interval, every = self.recurring_interval, self.recurring_count or 1
        return Money(self.currency, amount, interval, every, self.tiers_mode, self.currency_options or ())


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
    """An `invoice` that was paid, or one whose payment failed, at the event's own time. Absorbing: needs no order.

    `attempts`: how often it was tried so far, where Stripe was asked for the invoice; 0: an event, which is about one.
    """

    id: str
    stripe_customer_id: str
    subscription_id: str | None
    outcome: Literal["paid", "failed"]
    at: datetime
    attempts: int = 0


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


@dataclass(frozen=True, slots=True)
class PaidCharge:
    """A `charge` and what it paid."""

    charge: ChargeFact
    paid: PaymentFact


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

Fact = EventFact | PaymentFact | PaidCharge
"""What events state, or a fetch answers."""

News = Literal["newer", "older", "tie"]


def compare(stored_watermark: int | None, observed_at: int) -> News:
    """Whether what was observed at Stripe's second `observed_at` is news to a row of that watermark.

    Stripe's clock has one second: within the same second nobody can tell, and the object must be fetched.
    """
    if stored_watermark is None or observed_at > stored_watermark:
        return "newer"
    return "tie" if observed_at == stored_watermark else "older"
