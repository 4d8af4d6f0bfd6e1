"""Reading Stripe's products and prices. Tiers and further currencies come only with `expand`; events carry neither."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, TypeVar

from billing.domain.facts import PriceFact, ProductFact
from billing.domain.prices import Amount, Interval, Options, Tier, TiersMode
from billing.errors import Permanent
from billing.payments.members import Members

EXPAND = ("tiers", "currency_options")
"""What must be asked for to know a price whole."""

_INTERVALS: Mapping[str, Interval] = {"day": "day", "week": "week", "month": "month", "year": "year"}
_ROUNDS: Mapping[str, Literal["up", "down"]] = {"up": "up", "down": "down"}
_TIERS_MODES: Mapping[str, TiersMode] = {"graduated": "graduated", "volume": "volume"}
Word = TypeVar("Word")


def read_product(raw: Members, _at: int = 0) -> ProductFact:
    return ProductFact(raw.reference("id"), raw.text("name"), raw.flag("active"))


def read_price(raw: Members, _at: int = 0) -> PriceFact:
    """A `price`; `incomplete` where it is tiered and comes without its `tiers`."""
    recurring, packages = raw.inner_or_none("recurring"), raw.inner_or_none("transform_quantity")
    currency, scheme = raw.text("currency"), raw.text("billing_scheme")
    tiers_mode, tiers = raw.text_or_none("tiers_mode"), _tiers(raw)
    return PriceFact(
        id=raw.reference("id"),
        product_id=raw.reference("product"),
        lookup_key=raw.text_or_none("lookup_key"),
        type="recurring" if recurring else "one_time",
        currency=currency,
        unit_amount=raw.whole_or_none("unit_amount"),
        billing_scheme=scheme,
        recurring_interval=_one_of(recurring, "interval", _INTERVALS) if recurring else None,
        recurring_count=recurring.whole("interval_count") if recurring else None,
        usage_type=recurring.text("usage_type") if recurring else None,
        active=raw.flag("active"),
        unit_amount_decimal=raw.decimal_or_none("unit_amount_decimal"),
        tiers_mode=None if tiers_mode is None else _one_of(raw, "tiers_mode", _TIERS_MODES),
        tiers=tiers,
        currency_options=_options(raw, currency),
        incomplete=scheme == "tiered" and tiers is None,
        package_size=packages.whole("divide_by") if packages else None,
        package_round=_one_of(packages, "round", _ROUNDS) if packages else None,
    )


def _tiers(raw: Members) -> tuple[Tier, ...] | None:
    rows = raw.entries_or_none("tiers")
    if rows is None:
        return None
    return tuple(map(_tier, rows))


def _tier(row: Members) -> Tier:
    return Tier(row.whole_or_none("up_to"), _exact(row, "unit_amount"), _exact(row, "flat_amount"))


def _options(raw: Members, own: str) -> Options | None:
    """The amounts in other currencies than the price's own, which Stripe lists among them."""
    options = raw.inner_or_none("currency_options")
    if options is None:
        return None
    others = sorted(currency for currency in options.raw if currency != own)
    return tuple((currency, _amount(options.inner(currency))) for currency in others)


def _amount(option: Members) -> Amount:
    return Amount(option.decimal_or_none("unit_amount_decimal"), _tiers(option) or ())


def _exact(row: Members, name: str) -> Decimal:
    exact = row.decimal_or_none(f"{name}_decimal")
    return exact if exact is not None else Decimal(row.whole_or_none(name) or 0)


def _one_of(raw: Members, member: str, words: Mapping[str, Word]) -> Word:
    word = words.get(raw.text(member))
    if word is None:
        raise Permanent("unknown_shape", f"{raw.name}.{member} is none of {', '.join(words)}")
    return word
