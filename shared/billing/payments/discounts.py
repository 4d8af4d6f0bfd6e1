"""Reading Stripe's discounts with the terms of the coupons behind them, which come only when asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billing.domain.facts import DiscountFact
from billing.payments.members import Members

SUBSCRIPTION_PARTS = ("discounts.source.coupon.applies_to", "discounts.source.coupon.currency_options")
"""What must be asked for with a `subscription` to know its discounts whole."""

ITEM_PARTS = ("data.discounts.source.coupon",)
"""Likewise with a list of its items. Stripe expands four levels, so further currencies stay unknown here."""


def read_discounts(raw: Members) -> tuple[DiscountFact, ...]:
    """Those in the `discounts` of a subscription or item that came expanded."""
    given: Any = raw.raw.get("discounts") or []
    return tuple(read_discount(Members(one, f"{raw.name}.discounts")) for one in given if isinstance(one, dict))


def read_discount(raw: Members) -> DiscountFact:
    """A `discount`: its `end`, and of its `source.coupon` duration, percentage or amounts, and products."""
    source = raw.inner("source").raw.get("coupon")
    coupon = Members(source if isinstance(source, dict) else {}, f"{raw.name}.source.coupon")
    products = (coupon.inner_or_none("applies_to") or Members({}, "applies_to")).raw.get("products")
    return DiscountFact(
        id=raw.reference("id"),
        recurs=coupon.text_or_none("duration") != "once",
        ends_at=raw.instant_or_none("end"),
        percent_off=_percent(coupon),
        amounts_off=_amounts(coupon),
        product_ids=tuple(map(str, products)) if isinstance(products, list) else None,
    )


def _percent(coupon: Members) -> Decimal | None:
    """A JSON number such as 12.5, taken as it is written."""
    value = coupon.raw.get("percent_off")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise coupon.fault("percent_off", "a number from 0 to 100")
    return Decimal(str(value))


def _amounts(coupon: Members) -> tuple[tuple[str, int], ...]:
    own = coupon.whole_or_none("amount_off")
    if own is None:
        return ()
    options = coupon.inner_or_none("currency_options") or Members({}, "currency_options")
    others = {currency: options.inner(currency).whole("amount_off") for currency in options.raw}
    return tuple(sorted({**others, coupon.text("currency"): own}.items()))
