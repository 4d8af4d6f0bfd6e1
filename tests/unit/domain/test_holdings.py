import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.holdings import Holding, from_json, to_json
from tests.unit.domain.making import a_denial, a_grant, a_purchase, an_item
from tests.unit.domain.worlds import grants, items, purchases


@given(st.one_of(items(), purchases(), grants()))
def test_a_holding_written_as_json_is_read_back_equal(holding: Holding) -> None:
    assert from_json(json.loads(json.dumps(to_json(holding)))) == holding


@pytest.mark.parametrize(
    ("holding", "kind"), [(an_item(), "subscription_item"), (a_purchase(), "purchase"), (a_grant(), "grant")]
)
def test_a_written_holding_says_its_kind(holding: Holding, kind: str) -> None:
    assert to_json(holding)["kind"] == kind


def test_what_is_not_known_is_neither_written_nor_read() -> None:
    unknown = a_purchase(event=None)

    assert from_json(to_json(unknown)) == unknown
    assert to_json(unknown) == {
        "kind": "purchase",
        "id": "cs_1/li_1",
        "price_id": "price_life",
        "product_id": "prod_life",
        "quantity": 1,
        "paid_at": "2026-01-01T00:00:00Z",
    }


def test_a_denial_is_read_back_with_no_value() -> None:
    denial = from_json(to_json(a_denial()))

    assert denial == a_denial()
    assert "value" not in to_json(a_denial())


def test_a_value_that_looks_like_a_date_stays_text() -> None:
    grant = a_grant(feature="theme", value="2026-01-01T00:00:00Z")

    assert from_json(to_json(grant)) == grant


def test_a_member_of_a_later_release_is_passed_over() -> None:
    """So that a rollback can still read what that release wrote."""
    purchase = a_purchase()
    assert from_json({**to_json(purchase), "invented_later": {"x": 1}}) == purchase
