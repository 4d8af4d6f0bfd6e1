"""A price as Stripe tells it, whole or in part."""

from decimal import Decimal
from typing import Any

import pytest

from billing.domain.prices import Amount, Tier
from billing.errors import Permanent
from billing.payments.members import Members
from billing.payments.prices import read_price

PRICE: dict[str, Any] = {
    "id": "price_1",
    "product": "prod_1",
    "lookup_key": None,
    "currency": "usd",
    "unit_amount": 900,
    "unit_amount_decimal": "900",
    "billing_scheme": "per_unit",
    "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    "active": True,
}
TIERED = {**PRICE, "billing_scheme": "tiered", "tiers_mode": "volume", "unit_amount": None, "unit_amount_decimal": None}


def read(**members: Any) -> Any:
    return read_price(Members({**PRICE, **members}, "price"))


def test_a_tiered_price_without_its_tiers_is_incomplete() -> None:
    assert read(**TIERED).incomplete
    assert not read(**TIERED, tiers=[{"up_to": None, "unit_amount": 1}]).incomplete
    assert not read().incomplete


def test_tiers_are_exact_and_what_they_do_not_ask_is_zero() -> None:
    tiers = [
        {"up_to": 5, "unit_amount": None, "unit_amount_decimal": "0.5", "flat_amount": None},
        {"up_to": None, "unit_amount": 7, "flat_amount": 3, "flat_amount_decimal": "3"},
    ]

    assert read(**TIERED, tiers=tiers).tiers == (Tier(5, Decimal("0.5")), Tier(None, Decimal(7), Decimal(3)))


def test_further_currencies_are_those_beside_its_own() -> None:
    options = {name: {"unit_amount_decimal": amount} for name, amount in (("usd", "900"), ("jpy", "1"), ("eur", "2"))}

    assert read(currency_options=options).currency_options == (("eur", Amount(Decimal(2))), ("jpy", Amount(Decimal(1))))
    assert read(currency_options={"usd": {"unit_amount_decimal": "900"}}).currency_options == ()
    assert read().currency_options is None


@pytest.mark.parametrize(
    "members",
    [
        {"unit_amount_decimal": "much"},
        {"unit_amount_decimal": "NaN"},
        {"unit_amount_decimal": "1e999999"},
        {"unit_amount_decimal": 9},
        {"tiers": {}},
        {"tiers": [1]},
        {"tiers_mode": "random"},
        {"recurring": {"interval": "fortnight", "interval_count": 1, "usage_type": "licensed"}},
        {"currency_options": []},
        {"currency_options": {"eur": 1}},
    ],
)
def test_a_foreign_shape_is_a_named_fault(members: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="unknown_shape"):
        read(**members)
