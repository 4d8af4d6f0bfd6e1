"""The catalog as an operator writes it is taken as a whole or refused with what to mend."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from billing.domain.catalog import Benefit, Feature, PricePolicy
from billing.usecases.catalog_document import CatalogDocument, PriceEntry

SEATS = {"code": "seats", "type": "limit"}
EXPORT = {"code": "export", "type": "boolean"}
MONTHLY = {"lookup_key": "pro_monthly", "currency": "eur", "unit_amount": 900, "interval": "month"}
ONCE = {"lookup_key": "lifetime", "currency": "eur", "unit_amount": 9900}


def a_document(**product: Any) -> dict[str, Any]:
    return {"features": [SEATS, EXPORT], "products": [{"key": "pro", "name": "Pro", "prices": [MONTHLY], **product}]}


def read(document: dict[str, Any]) -> CatalogDocument:
    return CatalogDocument.model_validate(document)


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        read(document)
    return str(caught.value)


def price(**members: Any) -> PriceEntry:
    return read(a_document(prices=[members])).products[0].prices[0]


def test_a_whole_catalog_is_read() -> None:
    given = [{"feature": "export"}, {"feature": "seats", "value": 1, "per_unit": True, "priority": 2}]
    document = read(a_document(benefits=given, prices=[{**MONTHLY, "benefits": [{"feature": "seats", "value": 9}]}]))
    (product,) = document.products

    assert [entry.feature() for entry in document.features] == [Feature("seats", "limit"), Feature("export", "boolean")]
    assert [entry.benefit() for entry in product.benefits] == [
        Benefit("export", value=True),
        Benefit("seats", 1, per_unit=True, priority=2),
    ]
    assert [entry.benefit() for entry in product.prices[0].benefits] == [Benefit("seats", 9)]


def test_a_feature_may_add_its_limits_up() -> None:
    document = read({"features": [{**SEATS, "merge": "sum", "name": "Seats"}]})

    assert document.features[0].feature() == Feature("seats", "limit", "sum")


def test_a_price_without_days_has_the_default_policy() -> None:
    assert price(**MONTHLY).policy() == PricePolicy()
    assert price(**ONCE).policy() == PricePolicy()


def test_a_prices_days_become_its_policy() -> None:
    assert price(**MONTHLY, grace_days=3).policy() == PricePolicy(grace_period=timedelta(days=3))
    assert price(**MONTHLY, grace_days=0).policy() == PricePolicy(grace_period=timedelta(0))
    assert price(**ONCE, access_days=30).policy() == PricePolicy(access_days=30)


def test_access_days_on_a_recurring_price_are_refused() -> None:
    assert "access_days belongs to one-time prices: drop it or the interval" in refusal(
        a_document(prices=[{**MONTHLY, "access_days": 30}])
    )


def test_grace_days_on_a_one_time_price_are_refused() -> None:
    assert "grace_days belongs to recurring prices: drop it or add an interval" in refusal(
        a_document(prices=[{**ONCE, "grace_days": 3}])
    )


def test_a_feature_code_may_appear_once() -> None:
    assert "each feature code may appear once: seats" in refusal({"features": [SEATS, SEATS]})


def test_a_product_key_may_appear_once() -> None:
    product = {"key": "pro", "name": "Pro", "prices": [MONTHLY]}
    other = {**product, "prices": [ONCE]}

    assert "each product key may appear once: pro" in refusal({"features": [], "products": [product, other]})


def test_a_lookup_key_may_appear_once_in_all_products() -> None:
    product = {"key": "pro", "name": "Pro", "prices": [MONTHLY]}
    other = {**product, "key": "team"}

    assert "each lookup_key may appear once: pro_monthly" in refusal({"features": [], "products": [product, other]})


@pytest.mark.parametrize("place", ["product", "price"])
def test_a_benefit_may_appear_once_in_one_place(place: str) -> None:
    twice = [{"feature": "export"}, {"feature": "export"}]
    document = a_document(benefits=twice) if place == "product" else a_document(prices=[{**MONTHLY, "benefits": twice}])

    assert "each benefit of pro may appear once: export" in refusal(document)


def test_a_price_may_override_its_products_benefit() -> None:
    product = {"benefits": [{"feature": "export"}], "prices": [{**MONTHLY, "benefits": [{"feature": "export"}]}]}

    assert read(a_document(**product)).products[0].prices[0].benefits


@pytest.mark.parametrize("place", ["product", "price"])
def test_a_benefit_of_no_declared_feature_is_refused(place: str) -> None:
    given = [{"feature": "teleport"}]
    document = a_document(benefits=given) if place == "product" else a_document(prices=[{**MONTHLY, "benefits": given}])

    assert "pro gives 'teleport', which is no feature: declare it under features" in refusal(document)


@pytest.mark.parametrize(
    ("benefit", "fault"),
    [
        ({"feature": "export", "value": False}, "a boolean feature is given as true"),
        ({"feature": "export", "value": 1}, "a boolean feature is given as true"),
        ({"feature": "seats"}, "a limit is a whole number from 0 or 'unlimited'"),
        ({"feature": "seats", "value": -1}, "a limit is a whole number from 0 or 'unlimited'"),
        ({"feature": "seats", "value": 1.5}, "a limit is a whole number from 0 or 'unlimited'"),
        ({"feature": "export", "per_unit": True}, "only limits can be multiplied"),
    ],
)
def test_a_value_that_does_not_fit_its_feature_is_refused_with_what_would(benefit: dict[str, Any], fault: str) -> None:
    assert fault in refusal(a_document(benefits=[benefit]))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("unit_amount", -1),
        ("unit_amount", 100_000_000),
        ("unit_amount", 9.5),
        ("currency", "EUR"),
        ("currency", "euro"),
        ("interval", "fortnight"),
        ("interval_count", 0),
        ("interval_count", 37),
        ("grace_days", -1),
        ("grace_days", 91),
        ("lookup_key", ""),
        ("amount", 900),
    ],
)
def test_a_price_member_out_of_its_range_is_refused_by_name(member: str, value: object) -> None:
    assert f"products.0.prices.0.{member}" in refusal(a_document(prices=[{**MONTHLY, member: value}]))


@pytest.mark.parametrize("days", [0, 36_501])
def test_access_days_out_of_range_are_refused(days: int) -> None:
    assert "products.0.prices.0.access_days" in refusal(a_document(prices=[{**ONCE, "access_days": days}]))


@pytest.mark.parametrize("code", ["", "1st", "two words", "a" * 64, "ümlaut"])
def test_a_feature_code_is_a_letter_and_up_to_62_letters_digits_and_marks(code: str) -> None:
    assert "features.0.code" in refusal({"features": [{"code": code, "type": "boolean"}]})
    assert read({"features": [{"code": "a" * 63, "type": "boolean"}]}).features[0].code == "a" * 63


def test_a_product_without_a_price_is_refused() -> None:
    assert "products.0.prices" in refusal(a_document(prices=[]))


@pytest.mark.parametrize("where", ["document", "feature", "product", "benefit"])
def test_a_member_nobody_knows_is_refused_wherever_it_stands(where: str) -> None:
    document = a_document(benefits=[{"feature": "export"}])
    place = {
        "document": document,
        "feature": document["features"][0],
        "product": document["products"][0],
        "benefit": document["products"][0]["benefits"][0],
    }[where]
    place = {**place, "colour": "red"}
    spoilt = {
        "document": place,
        "feature": {**document, "features": [place, EXPORT]},
        "product": {**document, "products": [place]},
        "benefit": a_document(benefits=[place]),
    }[where]

    assert "colour" in refusal(spoilt)
