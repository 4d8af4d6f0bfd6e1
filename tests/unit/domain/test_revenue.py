from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.facts import ItemFact, SubscriptionFact
from billing.domain.revenue import EARNING_STATUSES, Share, basis, minor_units, month_of, monthly

START = datetime(2026, 3, 1, tzinfo=UTC)
ITEM = ItemFact("si_1", "price_1", "prod_1", 2, START, START + timedelta(days=31), ("di_item",))
OTHER = replace(ITEM, id="si_2", price_id="price_2")
EARNING = SubscriptionFact(
    "sub_1",
    "cus_1",
    "active",
    START,
    None,
    None,
    cancel_at_period_end=False,
    canceled_at=None,
    ended_at=None,
    latest_invoice_id="in_1",
    items=(ITEM, OTHER),
    currency="usd",
    discount_ids=("di_1", "di_2"),
)

shares = st.builds(Share, st.decimals(0, 10**9, places=3), st.integers(1, 1000))


@given(st.lists(shares))
def test_a_sum_of_shares_is_exact_in_whatever_order(parts: list[Share]) -> None:
    expected = Fraction(0)
    for part in parts:
        expected += Fraction(part.amount) * Fraction(1, part.divisor)

    assert monthly(parts) == monthly(reversed(parts)) == expected


def test_three_thirds_of_a_unit_are_one() -> None:
    assert monthly([Share(Decimal(4), 12)] * 3) == 1


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [(Fraction(5, 2), 2), (Fraction(7, 2), 4), (Fraction(251, 100), 3), (Fraction(-5, 2), -2), (Fraction(0), 0)],
)
def test_a_half_is_rounded_to_even(exact: Fraction, rounded: int) -> None:
    assert minor_units(exact) == rounded


@pytest.mark.parametrize(
    "change",
    [
        {"stripe_customer_id": "cus_2"},
        {"currency": "eur"},
        {"discount_ids": ("di_2", "di_1")},
        {"discount_ids": ()},
        {"items": (ITEM,)},
        {"items": (replace(ITEM, quantity=3), OTHER)},
        {"items": (replace(ITEM, price_id="price_3"), OTHER)},
        {"items": (replace(ITEM, discount_ids=()), OTHER)},
    ],
)
def test_what_changes_the_revenue_changes_its_basis(change: dict[str, Any]) -> None:
    assert basis(replace(EARNING, **change)) != basis(EARNING)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "past_due"},
        {"cancel_at_period_end": True},
        {"latest_invoice_id": "in_2"},
        {"items": (OTHER, ITEM)},
        {"items": (replace(ITEM, period_end=START + timedelta(days=62)), OTHER)},
    ],
)
def test_what_leaves_the_revenue_leaves_its_basis(change: dict[str, Any]) -> None:
    assert basis(replace(EARNING, **change)) == basis(EARNING)


@pytest.mark.parametrize(
    "status", ["trialing", "unpaid", "paused", "canceled", "incomplete", "incomplete_expired", "?"]
)
def test_who_does_not_pay_has_no_basis(status: str) -> None:
    assert status not in EARNING_STATUSES
    assert basis(replace(EARNING, status=status)) == ""


def test_a_basis_is_short_and_of_hexadecimal_digits() -> None:
    assert len(basis(EARNING)) == 32
    assert int(basis(EARNING), 16) >= 0


def test_a_month_begins_at_its_first_midnight() -> None:
    assert month_of(datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)) == datetime(2028, 2, 1, tzinfo=UTC)
    assert month_of(START) == START
