import pytest

from billing.domain.catalog import (
    DEFAULT_POLICY,
    UNLIMITED,
    Benefit,
    Catalog,
    Feature,
    PricePolicy,
    Value,
    benefits_of,
    fault_of_value,
    policy_of,
)
from tests.unit.domain.making import CREDITS, EXPORT, GRACE, LEEWAY, SEATS, THEME, a_catalog


def test_a_price_gives_what_its_product_gives() -> None:
    catalog = a_catalog({"prod_pro": (Benefit("seats", 5),)})

    assert benefits_of(catalog, "prod_pro", "price_pro") == (Benefit("seats", 5),)


def test_a_prices_own_benefit_overrides_its_products_feature_by_feature() -> None:
    catalog = a_catalog(
        {"prod_pro": (Benefit("seats", 5), Benefit("export", value=True))}, {"price_pro": (Benefit("seats", 3),)}
    )

    assert set(benefits_of(catalog, "prod_pro", "price_pro")) == {Benefit("seats", 3), Benefit("export", value=True)}


def test_another_prices_benefits_change_nothing() -> None:
    catalog = a_catalog({"prod_pro": (Benefit("seats", 5),)}, {"price_other": (Benefit("seats", 3),)})

    assert benefits_of(catalog, "prod_pro", "price_pro") == (Benefit("seats", 5),)


def test_a_product_nobody_described_gives_nothing() -> None:
    assert benefits_of(a_catalog(), "prod_unknown", "price_unknown") == ()


def test_a_price_without_a_policy_of_its_own_has_the_usual_one() -> None:
    assert policy_of(a_catalog(), "price_pro") == DEFAULT_POLICY


def test_the_usual_policy_is_seven_days_grace_72_hours_leeway_no_end_of_access_and_parts_refunded_keep() -> None:
    assert (
        PricePolicy(
            grace_period=GRACE,
            renewal_leeway=LEEWAY,
            access_days=None,
            on_full_refund=None,
            on_partial_refund="keep",
        )
        == DEFAULT_POLICY
    )


def test_a_catalog_of_nothing_gives_nothing() -> None:
    empty = Catalog("notes", 1, {})

    assert benefits_of(empty, "prod_pro", "price_pro") == ()
    assert policy_of(empty, "price_pro") == DEFAULT_POLICY


def test_a_prices_own_policy_is_found() -> None:
    policy = PricePolicy(access_days=30)

    assert policy_of(a_catalog(policies={"price_pro": policy}), "price_pro") == policy


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        (EXPORT, True),
        (SEATS, 0),
        (SEATS, 10**12),
        (CREDITS, UNLIMITED),
        (THEME, None),
        (THEME, False),
        (THEME, {"colour": "dark", "sizes": [1, 2]}),
    ],
)
def test_a_value_of_its_features_type_has_no_fault(feature: Feature, value: Value) -> None:
    assert fault_of_value(feature, value) is None


@pytest.mark.parametrize("value", [False, 1, "true", None])
def test_a_boolean_feature_takes_true_alone(value: Value) -> None:
    assert fault_of_value(EXPORT, value) == "a boolean feature is given as true"


@pytest.mark.parametrize("value", [-1, True, False, 1.5, "5", "Unlimited", None, [5]])
def test_a_limit_takes_a_whole_number_from_zero_or_unlimited(value: Value) -> None:
    assert fault_of_value(SEATS, value) == "a limit is a whole number from 0 or 'unlimited'"
