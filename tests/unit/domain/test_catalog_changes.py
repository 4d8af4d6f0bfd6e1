"""What it takes to get from one catalog to another: every kind of change, and nothing where nothing differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.catalog import Benefit, Feature, PricePolicy
from billing.domain.catalog_changes import (
    CatalogState,
    Change,
    NamedFeature,
    PriceState,
    ProductState,
    difference,
)
from billing.domain.catalog_faults import Use, faults_beside
from billing.domain.prices import Amount, Money, Tier

NINE = Money("eur", Amount(Decimal(900)), "month")
TEN = Money("eur", Amount(Decimal(1000)), "month")
EXPORT = NamedFeature(Feature("export", "boolean"), "Export")
SEATS = NamedFeature(Feature("seats", "limit"), "Seats")
THEME = NamedFeature(Feature("theme", "config"), "")
GIVEN = Benefit("export", value=True)
MONTHLY = PriceState("price_1", "notes_pro", "monthly", NINE)
PRO = ProductState("notes_pro", "Pro", benefits=(GIVEN,), prices=(MONTHLY,))
PRESENT = CatalogState((EXPORT, SEATS, THEME), (PRO,))


def wanted(*prices: PriceState, **members: object) -> CatalogState:
    """The present catalog with these prices, named as a document names them, and other members of the product."""
    named = tuple(replace(price, id=None) if price.lookup_key else price for price in prices or (MONTHLY,))
    return replace(PRESENT, products=(replace(PRO, prices=named, **members),))  # type: ignore[arg-type]


def changes(after: CatalogState, before: CatalogState = PRESENT) -> list[tuple[str, str, str]]:
    return [(change.kind, change.object, change.key) for change in difference(before, after).changes]


def only(after: CatalogState, before: CatalogState = PRESENT) -> Change:
    [change] = difference(before, after).changes
    return change


def faults(after: CatalogState, before: CatalogState = PRESENT, use: Use | None = None) -> dict[str, str]:
    found = faults_beside(before, after, use or Use())
    return {"".join(f"/{step}" for step in path): text for path, text in found}


# --- changes ---------------------------------------------------------------------------------------------------------


def test_nothing_differs_where_the_document_says_what_there_is() -> None:
    found = difference(PRESENT, wanted())

    assert found.changes == ()
    assert found.unchanged == 6
    assert found.archived_prices == found.archived_products == ()


def test_all_of_an_empty_project_is_created() -> None:
    assert changes(wanted(), CatalogState()) == [
        ("create", "feature", "export"),
        ("create", "feature", "seats"),
        ("create", "feature", "theme"),
        ("create", "product", "notes_pro"),
        ("create", "benefit", "notes_pro/export"),
        ("create", "price", "monthly"),
    ]


def test_other_money_is_a_new_price_that_takes_the_key_and_the_old_one_is_archived() -> None:
    found = difference(PRESENT, wanted(replace(MONTHLY, money=TEN)))

    assert [(change.kind, change.id, change.key) for change in found.changes] == [
        ("create", None, "monthly"),
        ("transfer_lookup_key", "price_1", "monthly"),
        ("archive", "price_1", "monthly"),
    ]
    assert found.archived_prices == ("price_1",)
    assert found.matches[0].same is None


@pytest.mark.parametrize(
    "money",
    [
        replace(NINE, currency="usd"),
        replace(NINE, interval="year"),
        replace(NINE, every=2),
        replace(NINE, interval=None),
        replace(NINE, amount=Amount(Decimal("900.5"))),
        replace(NINE, options=(("usd", Amount(Decimal(1000))),)),
        replace(NINE, amount=Amount(tiers=(Tier(None, Decimal(900)),)), tiers_mode="volume"),
    ],
)
def test_whatever_differs_in_money_is_another_price(money: Money) -> None:
    assert ("create", "price", "monthly") in changes(wanted(replace(MONTHLY, money=money)))


def test_a_key_that_moves_to_another_product_is_a_new_price_there() -> None:
    team = ProductState("notes_team", "Team", prices=(replace(MONTHLY, id=None, product_id="notes_team"),))
    after = replace(PRESENT, products=(replace(PRO, prices=()), team))

    assert changes(after) == [
        ("create", "product", "notes_team"),
        ("create", "price", "monthly"),
        ("transfer_lookup_key", "price", "monthly"),
        ("archive", "price", "monthly"),
    ]


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        (replace(MONTHLY, policy=PricePolicy(grace_period=timedelta(days=3))), {"grace_days": 3}),
        (replace(MONTHLY, policy=PricePolicy(on_full_refund="revoke")), {"on_full_refund": "revoke"}),
        (replace(MONTHLY, trial_days=14), {"trial_days": 14}),
    ],
)
def test_a_policy_changes_in_place_and_only_what_differs_is_shown(price: PriceState, shown: dict[str, object]) -> None:
    change = only(wanted(price))

    assert (change.kind, change.object, change.id) == ("update", "price", "price_1")
    assert change.after == shown
    assert change.before is not None
    assert change.before.keys() == shown.keys()


def test_a_product_is_renamed_in_place() -> None:
    assert only(wanted(name="Professional")) == Change(
        "update", "product", "notes_pro", "notes_pro", {"name": "Pro"}, {"name": "Professional"}
    )


def test_benefits_that_the_document_leaves_out_are_removed() -> None:
    assert changes(wanted(benefits=())) == [("remove", "benefit", "notes_pro/export")]


def test_a_benefit_changes_where_it_differs_as_json() -> None:
    def giving(value: object) -> CatalogState:
        benefit = Benefit("theme", {"dark": value})
        return replace(PRESENT, products=(replace(PRO, benefits=(benefit,)),))

    assert changes(giving(1), giving(value=True)) == [("update", "benefit", "notes_pro/theme")]
    assert changes(giving(1), giving(1.0)) == [("update", "benefit", "notes_pro/theme")]
    assert changes(giving(1), giving(1)) == []


def test_a_feature_is_renamed_merged_otherwise_and_removed() -> None:
    others = (replace(EXPORT, name="PDF"), NamedFeature(Feature("seats", "limit", "sum"), "Seats"))

    assert changes(replace(wanted(), features=others)) == [
        ("update", "feature", "export"),
        ("update", "feature", "seats"),
        ("remove", "feature", "theme"),
    ]


def test_a_product_that_is_left_out_is_archived_and_its_prices_stay_for_who_holds_them() -> None:
    found = difference(PRESENT, replace(PRESENT, products=()))

    assert [(change.kind, change.object, change.id) for change in found.changes] == [
        ("archive", "product", "notes_pro")
    ]
    assert found.archived_prices == ()


def test_what_is_archived_already_is_not_archived_again() -> None:
    before = replace(PRESENT, products=(replace(PRO, active=False),))

    assert changes(replace(PRESENT, products=()), before) == []


def test_archived_in_the_document_is_archived_and_stays_so() -> None:
    gone = replace(PRESENT, products=(replace(PRO, active=False, prices=(replace(MONTHLY, active=False),)),))

    assert changes(wanted(replace(MONTHLY, active=False), active=False)) == [
        ("archive", "product", "notes_pro"),
        ("archive", "price", "monthly"),
    ]
    assert changes(wanted(replace(MONTHLY, active=False), active=False), gone) == []


def test_what_was_archived_comes_back_as_itself() -> None:
    before = replace(PRESENT, products=(replace(PRO, active=False, prices=(replace(MONTHLY, active=False),)),))

    assert changes(wanted(), before) == [("update", "product", "notes_pro"), ("update", "price", "monthly")]


def test_a_price_by_id_may_be_given_a_key() -> None:
    keyless = replace(MONTHLY, lookup_key=None)
    before = replace(PRESENT, products=(replace(PRO, prices=(keyless,)),))
    after = replace(PRESENT, products=(replace(PRO, prices=(replace(MONTHLY, money=None),)),))

    change = only(after, before)
    assert (change.kind, change.id, change.after) == ("update", "price_1", {"lookup_key": "monthly"})


# --- faults beside what there is -------------------------------------------------------------------------------------


def test_a_feature_in_use_keeps_its_type() -> None:
    after = replace(wanted(), features=(NamedFeature(Feature("export", "limit"), ""), SEATS, THEME))

    assert faults(after) == {"/features/0/type": "export is boolean and in use: take a new code"}


@pytest.mark.parametrize("use", [Use(granted=frozenset({"seats"})), Use(given_elsewhere=frozenset({"seats"}))])
def test_grants_and_other_projects_products_keep_a_feature_and_its_type(use: Use) -> None:
    changed = replace(wanted(), features=(EXPORT, NamedFeature(Feature("seats", "boolean"), ""), THEME))
    removed = replace(wanted(), features=(EXPORT, THEME))

    assert faults(changed, use=use).keys() == {"/features/1/type"}
    assert faults(removed, use=use).keys() == {"/features"}
    assert faults(changed) == faults(removed) == {}


def test_a_feature_that_archived_products_give_stays_until_they_give_it_no_more() -> None:
    after = CatalogState((SEATS, THEME), ())

    assert faults(after).keys() == {"/features"}
    assert faults(replace(after, products=(replace(PRO, benefits=(), active=False),))) == {}


def test_what_cannot_be_is_pointed_at() -> None:
    stranger = replace(PRO, id="prod_x", imported=True, prices=())
    other_money = replace(MONTHLY, money=TEN, lookup_key=None)
    here = "/products/0/prices/0"

    assert faults(replace(PRESENT, products=(stranger,))).keys() == {"/products/0/id"}
    assert faults(replace(PRESENT, products=(replace(PRO, prices=(other_money,)),))).keys() == {f"{here}/id"}
    assert faults(wanted(replace(MONTHLY, id="price_9", lookup_key=None))).keys() == {f"{here}/id"}
    assert faults(wanted(replace(MONTHLY, lookup_key="new", active=False))).keys() == {f"{here}/archived"}
    assert faults(wanted(), use=Use(foreign_keys=frozenset({"monthly"}))).keys() == {f"{here}/lookup_key"}
    assert faults(wanted(), use=Use(foreign_products=frozenset({"notes_pro"}))).keys() == {"/products/0/key"}
    deleted = replace(PRESENT, products=(replace(PRO, deleted=True),))
    assert faults(wanted(), deleted).keys() == {"/products/0/key"}
    metered = replace(PRESENT, products=(replace(PRO, prices=(replace(MONTHLY, simple=False),)),))
    assert faults(wanted(replace(MONTHLY, money=TEN)), metered).keys() == {f"{here}/lookup_key"}
    assert faults(replace(wanted(), products=(replace(PRO, id="notes_x", prices=(), active=False),))).keys() == {
        "/products/0/archived"
    }


def test_policies_fit_the_price_that_an_id_names() -> None:
    once = replace(MONTHLY, money=replace(NINE, interval=None), lookup_key=None)
    before = replace(PRESENT, products=(replace(PRO, prices=(once,)),))

    trial = replace(PRESENT, products=(replace(PRO, prices=(replace(once, money=None, trial_days=3),)),))
    assert faults(trial, before).keys() == {"/products/0/prices/0/trial_days"}
    keyless = replace(MONTHLY, lookup_key=None, money=None, policy=PricePolicy(access_days=3))
    assert faults(replace(PRESENT, products=(replace(PRO, prices=(keyless,)),))).keys() == {
        "/products/0/prices/0/access_days"
    }


# --- every pair ------------------------------------------------------------------------------------------------------

moneys = st.sampled_from([NINE, TEN, replace(TEN, interval=None)])
benefits = st.lists(
    st.builds(Benefit, st.sampled_from(["export", "seats", "theme"]), st.sampled_from([True, 1, 0, "x"])),
    max_size=3,
    unique_by=lambda benefit: benefit.feature,
).map(tuple)


@st.composite
def catalogs(draw: st.DrawFn) -> CatalogState:
    """As documents want them: prices by key, each key once."""
    keys = iter(draw(st.permutations(["a", "b", "c", "d"])))
    products = []
    for product_id in draw(st.lists(st.sampled_from(["notes_pro", "notes_team"]), unique=True)):
        prices = tuple(
            PriceState(None, product_id, next(keys), draw(moneys), benefits=draw(benefits), active=draw(st.booleans()))
            for _ in range(draw(st.integers(0, 2)))
        )
        products.append(
            ProductState(product_id, draw(st.sampled_from("xy")), draw(st.booleans()), draw(benefits), prices)
        )
    return CatalogState((EXPORT, SEATS, THEME), tuple(products))


def applied(present: CatalogState, after: CatalogState) -> CatalogState:
    """What applying leads to: told here in a second, slower way."""
    found = difference(present, after)
    ids = [match.same.id if match.same else f"new_{n}" for n, match in enumerate(found.matches)]
    named = iter(ids)
    products = {product.id: product for product in present.products}
    taken = {price.lookup_key for price in after.prices()}
    for product in after.products:
        old = [
            replace(
                price,
                active=False,
                lookup_key=None if price.lookup_key in taken else price.lookup_key,
            )
            for price in (products[product.id].prices if product.id in products else ())
            if price.id not in ids
        ]
        new = [replace(price, id=next(named)) for price in product.prices]
        products[product.id] = replace(product, prices=(*new, *old))
    left_out = products.keys() - {product.id for product in after.products}
    for product_id in left_out:
        kept = tuple(replace(p, lookup_key=None) if p.lookup_key in taken else p for p in products[product_id].prices)
        products[product_id] = replace(products[product_id], active=False, prices=kept)
    return CatalogState(after.features, tuple(products.values()))


@given(catalogs(), catalogs())
def test_once_applied_nothing_is_left_to_do(first: CatalogState, second: CatalogState) -> None:
    there = applied(applied(CatalogState(), first), second)

    assert difference(there, second).changes == ()
    assert difference(there, second).archived_prices == ()


@given(catalogs(), catalogs())
def test_what_holders_have_is_never_removed(first: CatalogState, second: CatalogState) -> None:
    before = applied(CatalogState(), first)
    after = applied(before, second)

    assert {price.id for price in before.prices()} <= {price.id for price in after.prices()}
    assert not {"price", "product"} & {
        change.object for change in difference(before, second).changes if change.kind == "remove"
    }
