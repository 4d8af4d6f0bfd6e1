"""The catalog as an operator writes it is taken as a whole or refused with every place to mend (FAILURES F9)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.domain.catalog import Benefit, Feature, PricePolicy
from billing.domain.prices import Amount, Money, Tier
from billing.errors import Refused
from billing.usecases.catalog_document import CatalogDocument, PriceEntry, read_catalog

SEATS = {"code": "seats", "type": "limit"}
EXPORT = {"code": "export", "type": "boolean"}
THEME = {"code": "theme", "type": "config"}
MONTHLY = {"lookup_key": "pro_monthly", "currency": "eur", "unit_amount": 900, "interval": "month"}
ONCE = {"lookup_key": "lifetime", "currency": "eur", "unit_amount": 9900}
TIERS: list[dict[str, Any]] = [{"up_to": 10, "unit_amount": 500}, {"up_to": None, "unit_amount": 0, "flat_amount": 7}]
TIERED = {"lookup_key": "seats", "currency": "eur", "interval": "month", "tiers_mode": "volume", "tiers": TIERS}


def a_document(**product: Any) -> dict[str, Any]:
    features = [SEATS, EXPORT, THEME]
    return {"features": features, "products": [{"key": "pro", "name": "Pro", "prices": [MONTHLY], **product}]}


def refusal(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Refused) as caught:
        read_catalog(document)
    assert caught.value.code == "invalid_catalog"
    return {fault.pointer: fault.detail for fault in caught.value.fields}


def price(**members: Any) -> PriceEntry:
    return read_catalog(a_document(prices=[members])).products[0].prices[0]


# --- what is taken ---------------------------------------------------------------------------------------------------


def test_a_whole_catalog_is_read() -> None:
    given = [{"feature": "export"}, {"feature": "seats", "value": 1, "per_unit": True, "priority": 2}]
    prices = [{**MONTHLY, "benefits": [{"feature": "seats", "value": 9}]}]
    document = read_catalog(a_document(benefits=given, prices=prices))
    (product,) = document.products

    assert [entry.feature() for entry in document.features][:2] == [
        Feature("seats", "limit"),
        Feature("export", "boolean"),
    ]
    assert [entry.benefit() for entry in product.benefits] == [
        Benefit("export", value=True),
        Benefit("seats", 1, per_unit=True, priority=2),
    ]
    assert [entry.benefit() for entry in product.prices[0].benefits] == [Benefit("seats", 9)]


def test_a_feature_may_add_its_limits_up() -> None:
    document = read_catalog({"features": [{**SEATS, "merge": "sum", "name": "Seats"}]})

    assert document.features[0].feature() == Feature("seats", "limit", "sum")


def test_a_price_without_days_has_the_default_policy() -> None:
    assert price(**MONTHLY).policy() == PricePolicy()
    assert price(**ONCE).policy() == PricePolicy()


def test_a_prices_days_become_its_policy() -> None:
    assert price(**MONTHLY, grace_days=3).policy() == PricePolicy(grace_period=timedelta(days=3))
    assert price(**MONTHLY, grace_days=0).policy() == PricePolicy(grace_period=timedelta(0))
    assert price(**ONCE, access_days=30).policy() == PricePolicy(access_days=30)


def test_money_is_exact_whichever_way_it_is_written() -> None:
    assert price(**MONTHLY).money() == Money("eur", Amount(Decimal(900)), "month")
    exact = {**MONTHLY, "unit_amount": None, "unit_amount_decimal": "900.50"}
    assert price(**exact).money() == Money("eur", Amount(Decimal("900.5")), "month")
    tiers = (Tier(10, Decimal(500)), Tier(None, Decimal(0), Decimal(7)))
    assert price(**TIERED).money() == Money("eur", Amount(tiers=tiers), "month", tiers_mode="volume")
    options = {"usd": {"unit_amount": 1000}, "chf": {"unit_amount_decimal": "9.5"}}
    assert price(**ONCE, currency_options=options).money() == Money(
        "eur", Amount(Decimal(9900)), options=(("chf", Amount(Decimal("9.5"))), ("usd", Amount(Decimal(1000))))
    )


def test_a_price_that_stripe_has_may_leave_its_money_out() -> None:
    assert price(id="price_1", trial_days=3, grace_days=1).money() is None


def test_a_price_may_override_its_products_benefit() -> None:
    product = {"benefits": [{"feature": "export"}], "prices": [{**MONTHLY, "benefits": [{"feature": "export"}]}]}

    assert read_catalog(a_document(**product)).products[0].prices[0].benefits


def test_a_document_says_the_same_however_it_is_spaced_and_ordered() -> None:
    one = read_catalog({"products": [], "features": [SEATS]})
    other = read_catalog({"features": [{"type": "limit", "code": "seats"}]})

    assert one.digest() == other.digest()
    assert one.digest() != read_catalog({"features": [EXPORT]}).digest()


# --- names -----------------------------------------------------------------------------------------------------------


def test_each_name_may_appear_once_and_the_second_is_pointed_at() -> None:
    pro = {"key": "pro", "name": "Pro", "prices": [MONTHLY, MONTHLY, {"id": "price_1"}]}
    team = {"key": "pro", "name": "Team", "prices": [MONTHLY, {"id": "price_1"}]}

    assert refusal({"features": [SEATS, EXPORT, SEATS], "products": [pro, team]}).keys() == {
        "/features/2/code",
        "/products/1/key",
        "/products/0/prices/1/lookup_key",
        "/products/1/prices/0/lookup_key",
        "/products/1/prices/1/id",
    }


@pytest.mark.parametrize("place", ["product", "price"])
def test_a_benefit_may_appear_once_in_one_place(place: str) -> None:
    twice = [{"feature": "export"}, {"feature": "export"}]
    document = a_document(benefits=twice) if place == "product" else a_document(prices=[{**MONTHLY, "benefits": twice}])
    giver = "/products/0" if place == "product" else "/products/0/prices/0"

    assert refusal(document).keys() == {f"{giver}/benefits/1/feature"}


@pytest.mark.parametrize("place", ["product", "price"])
def test_a_benefit_of_no_declared_feature_is_refused(place: str) -> None:
    given = [{"feature": "teleport"}]
    document = a_document(benefits=given) if place == "product" else a_document(prices=[{**MONTHLY, "benefits": given}])
    giver = "/products/0" if place == "product" else "/products/0/prices/0"

    assert refusal(document) == {f"{giver}/benefits/0/feature": "teleport is no feature: declare it under features"}


def test_a_product_has_a_key_or_an_id_and_a_price_one_of_both_at_least() -> None:
    for names in ({}, {"key": "pro", "id": "prod_1"}):
        product = {"name": "Pro", "prices": [MONTHLY], **names}
        assert refusal({"features": [], "products": [product]}).keys() == {"/products/0"}
    nameless = {name: value for name, value in MONTHLY.items() if name != "lookup_key"}
    assert refusal(a_document(prices=[nameless])).keys() == {"/products/0/prices/0"}


@pytest.mark.parametrize("code", ["", "1st", "two words", "a" * 64, "ümlaut"])
def test_a_feature_code_is_a_letter_and_up_to_62_letters_digits_and_marks(code: str) -> None:
    assert refusal({"features": [{"code": code, "type": "boolean"}]}).keys() == {"/features/0/code"}
    assert read_catalog({"features": [{"code": "a" * 63, "type": "boolean"}]}).features[0].code == "a" * 63


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("benefit", "member", "fault"),
    [
        ({"feature": "export", "value": False}, "value", "a boolean feature is given as true"),
        ({"feature": "export", "value": 1}, "value", "a boolean feature is given as true"),
        ({"feature": "seats"}, "value", "a limit is a whole number from 0 or 'unlimited'"),
        ({"feature": "seats", "value": True}, "value", "a limit is a whole number from 0 or 'unlimited'"),
        ({"feature": "seats", "value": -1}, "value", "a limit is a whole number from 0 or 'unlimited'"),
        ({"feature": "seats", "value": 1.5}, "value", "a limit is a whole number from 0 or 'unlimited'"),
        ({"feature": "seats", "value": 2**53}, "value", f"a limit is at most {2**53 - 1}: above it give 'unlimited'"),
        ({"feature": "export", "per_unit": True}, "per_unit", "only limits can be multiplied"),
        ({"feature": "theme", "value": {"a": "\0"}}, "value", "text is Unicode without U+0000"),
        ({"feature": "theme", "value": ["\ud800"]}, "value", "text is Unicode without U+0000"),
        ({"feature": "theme", "value": "x" * 8_192}, "value", "a config value is at most 8192 characters of JSON"),
    ],
)
def test_a_value_that_does_not_fit_its_feature_is_refused_with_what_would(
    benefit: dict[str, Any], member: str, fault: str
) -> None:
    assert refusal(a_document(benefits=[benefit])) == {f"/products/0/benefits/0/{member}": fault}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("unit_amount", -1),
        ("unit_amount", 10**12),
        ("unit_amount", 9.5),
        ("unit_amount", True),
        ("unit_amount", "900"),
        ("unit_amount_decimal", "1e3"),
        ("unit_amount_decimal", "0." + "1" * 13),
        ("currency", "EUR"),
        ("currency", "euro"),
        ("interval", "fortnight"),
        ("interval_count", 0),
        ("grace_days", -1),
        ("grace_days", 91),
        ("trial_days", 0),
        ("trial_days", 731),
        ("lookup_key", ""),
        ("lookup_key", "a\nb"),
        ("on_full_refund", "maybe"),
        ("amount", 900),
    ],
)
def test_a_price_member_out_of_its_range_is_refused_by_name(member: str, value: object) -> None:
    assert f"/products/0/prices/0/{member}" in refusal(a_document(prices=[{**MONTHLY, member: value}]))


@pytest.mark.parametrize("days", [0, 36_501])
def test_access_days_out_of_range_are_refused(days: int) -> None:
    assert "/products/0/prices/0/access_days" in refusal(a_document(prices=[{**ONCE, "access_days": days}]))


@pytest.mark.parametrize(
    "members",
    [
        {**MONTHLY, "access_days": 30},
        {**ONCE, "grace_days": 3},
        {**ONCE, "trial_days": 3},
        {**ONCE, "interval_count": 2},
        {**MONTHLY, "interval_count": 37},
        {**MONTHLY, "unit_amount_decimal": "9.5"},
        {**MONTHLY, "tiers": TIERS, "tiers_mode": "volume"},
        {**MONTHLY, "tiers_mode": "volume"},
        {**MONTHLY, "unit_amount": None},
        {**TIERED, "tiers_mode": None},
        {**TIERED, "currency_options": {"usd": {"unit_amount": 1}}},
        {"lookup_key": "pro", "unit_amount": 9},
        {"id": "price_1", "unit_amount": 9},
        {"id": "price_1", "interval": "month"},
    ],
)
def test_members_of_a_price_that_do_not_go_together_are_refused_at_the_price(members: dict[str, Any]) -> None:
    assert refusal(a_document(prices=[members])).keys() == {"/products/0/prices/0"}


def test_a_price_has_its_own_currency_once() -> None:
    several = {**MONTHLY, "currency_options": {"eur": {"unit_amount": 800}, "usd": {"unit_amount": 1000}}}

    assert refusal(a_document(prices=[several])).keys() == {"/products/0/prices/0/currency_options/eur"}


@pytest.mark.parametrize("option", [{}, {"unit_amount": 1, "unit_amount_decimal": "1"}])
def test_another_currency_has_one_amount(option: dict[str, Any]) -> None:
    several = {**MONTHLY, "currency_options": {"usd": option}}

    assert refusal(a_document(prices=[several])).keys() == {"/products/0/prices/0/currency_options/usd"}


@pytest.mark.parametrize("ends", [[10, 20], [None], [None, None], [10, 10, None], [20, 10, None], [None, 10]], ids=str)
def test_tiers_rise_to_an_open_end(ends: list[int | None]) -> None:
    tiers = [{"up_to": end, "unit_amount": 1} for end in ends]
    document = a_document(prices=[{**TIERED, "tiers": tiers}])

    if ends == [None]:
        assert len(read_catalog(document).products) == 1
    else:
        assert refusal(document).keys() == {"/products/0/prices/0/tiers"}


@pytest.mark.parametrize("where", ["document", "feature", "product", "price", "benefit", "tier"])
def test_a_member_nobody_knows_is_refused_wherever_it_stands(where: str) -> None:
    document = a_document(benefits=[{"feature": "export"}], prices=[{**TIERED, "tiers": [{**TIERS[1]}]}])
    document["features"] = [dict(feature) for feature in document["features"]]
    product = document["products"][0]
    places: dict[str, tuple[dict[str, Any], str]] = {
        "document": (document, ""),
        "feature": (document["features"][0], "/features/0"),
        "product": (product, "/products/0"),
        "price": (product["prices"][0], "/products/0/prices/0"),
        "benefit": (product["benefits"][0], "/products/0/benefits/0"),
        "tier": (product["prices"][0]["tiers"][0], "/products/0/prices/0/tiers/0"),
    }
    place, pointer = places[where]
    place["colour"] = "red"

    assert refusal(document) == {f"{pointer}/colour": "no such member: mind the spelling, or leave it out"}


def test_every_fault_is_told_at_once_and_no_value_is_quoted() -> None:
    document = a_document(name="s3cret" * 50, benefits=[{"feature": "9"}], prices=[{**MONTHLY, "currency": "s3cret"}])
    with pytest.raises(Refused) as caught:
        read_catalog(document)

    assert len(caught.value.fields) == 3
    assert "s3cret" not in "".join(f"{fault.pointer}{fault.detail}" for fault in caught.value.fields)


def test_the_document_written_out_reads_the_same() -> None:
    given = [{"feature": "export"}, {"feature": "seats", "value": 1}, {"feature": "theme", "value": None}]
    document = read_catalog(a_document(prices=[MONTHLY, TIERED, {"id": "price_1"}], benefits=given))

    assert CatalogDocument.model_validate(document.model_dump()) == document
    assert read_catalog(document.model_dump(mode="json", exclude_defaults=True)) == document
