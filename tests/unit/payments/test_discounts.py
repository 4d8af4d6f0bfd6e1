from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.domain.facts import DiscountFact
from billing.errors import Permanent
from billing.payments.discounts import read_discount, read_discounts
from billing.payments.members import Members

PERCENT: dict[str, Any] = {"id": "half", "duration": "forever", "percent_off": 12.5, "amount_off": None}
AMOUNT: dict[str, Any] = {"duration": "once", "percent_off": None, "amount_off": 500, "currency": "usd"}


def discount(coupon: Any, **members: Any) -> Members:
    return Members({"id": "di_1", "end": None, "source": {"type": "coupon", "coupon": coupon}, **members}, "discount")


def test_a_percentage_is_taken_as_it_is_written() -> None:
    assert read_discount(discount(PERCENT)) == DiscountFact("di_1", recurs=True, percent_off=Decimal("12.5"))


def test_an_amount_is_known_in_each_currency_that_was_told() -> None:
    told = {**AMOUNT, "currency_options": {"eur": {"amount_off": 450}, "usd": {"amount_off": 500}}}
    assert read_discount(discount(told)).amounts_off == (("eur", 450), ("usd", 500))
    assert read_discount(discount(AMOUNT)).amounts_off == (("usd", 500),)


def test_once_does_not_recur_and_repeating_ends() -> None:
    assert not read_discount(discount(AMOUNT)).recurs
    repeating = read_discount(discount({**PERCENT, "duration": "repeating"}, end=1_800_000_000))
    assert repeating.recurs
    assert repeating.ends_at == datetime.fromtimestamp(1_800_000_000, UTC)


def test_a_coupon_for_some_products_names_them() -> None:
    assert read_discount(discount({**PERCENT, "applies_to": {"products": ["prod_1"]}})).product_ids == ("prod_1",)
    assert read_discount(discount(PERCENT)).product_ids is None


@pytest.mark.parametrize("coupon", ["half", None])
def test_a_coupon_that_stripe_does_not_tell_has_no_terms(coupon: str | None) -> None:
    assert read_discount(discount(coupon)) == DiscountFact("di_1", recurs=True)


def test_ids_alone_tell_no_terms() -> None:
    assert read_discounts(Members({"discounts": ["di_1", discount(PERCENT).raw]}, "subscription")) == (
        read_discount(discount(PERCENT)),
    )
    assert read_discounts(Members({}, "subscription")) == ()


@pytest.mark.parametrize("percent", ["12.5", True, -1, 101, float("nan")])
def test_a_percentage_that_is_none_is_a_named_fault(percent: Any) -> None:
    with pytest.raises(Permanent) as fault:
        read_discount(discount({**PERCENT, "percent_off": percent}))
    assert "percent_off" in fault.value.detail
