"""Who gains or loses what: the rules of access asked before and after, and nobody overlooked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.domain.catalog import Benefit, Catalog, Feature, PricePolicy
from billing.domain.catalog_changes import CatalogState, NamedFeature, PriceState, ProductState
from billing.domain.catalog_impact import SAMPLES, Tally, catalog_after, effects, reach_of
from billing.domain.entitlements import decide, states_of
from billing.domain.holdings import Holding, SubscriptionItem
from tests.unit.domain.making import START
from tests.unit.domain.worlds import World, worlds

DAY = timedelta(days=1)
ITEM = SubscriptionItem("si_1", "sub_1", "price_1", "prod_1", 2, "active", START, START, START + 30 * DAY)
SEATS = Feature("seats", "limit")
BEFORE = Catalog("notes", 1, {"seats": SEATS, "theme": Feature("theme", "config")}, {"prod_1": (Benefit("seats", 3),)})


def after(*benefits: Benefit, price: tuple[Benefit, ...] = (), **members: object) -> Catalog:
    return replace(BEFORE, by_product={"prod_1": benefits}, by_price={"price_1": price}, **members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("catalog", "found"),
    [
        (after(Benefit("seats", 3)), {}),
        (after(Benefit("seats", 5)), {"seats": "changes"}),
        (after(Benefit("seats", 3, per_unit=True)), {"seats": "changes"}),
        (after(), {"seats": "loses"}),
        (after(Benefit("seats", 3), Benefit("theme", "dark")), {"theme": "gains"}),
        (after(Benefit("seats", 3), price=(Benefit("seats", "unlimited"),)), {"seats": "changes"}),
        (replace(BEFORE, features={"theme": BEFORE.features["theme"]}), {"seats": "loses"}),
    ],
)
def test_a_holder_gains_loses_or_gets_another_value(catalog: Catalog, found: dict[str, str]) -> None:
    assert effects([ITEM], BEFORE, catalog, START + DAY) == found
    assert reach_of(BEFORE, catalog).touches([ITEM]) == bool(found)


def test_a_policy_reaches_whom_it_ends_or_begins_for() -> None:
    late = replace(ITEM, status="past_due", past_due_since=START + DAY)
    strict = replace(BEFORE, policies={"price_1": PricePolicy(grace_period=timedelta(0))})

    assert effects([late], BEFORE, strict, START + 2 * DAY) == {"seats": "loses"}
    assert effects([late], BEFORE, strict, START) == {}
    assert reach_of(BEFORE, strict).touches([late])


def test_values_differ_as_json() -> None:
    def giving(value: object) -> Catalog:
        return after(Benefit("theme", value))

    assert effects([ITEM], giving(1), giving(value=True), START + DAY) == {"theme": "changes"}
    assert reach_of(giving(1), giving(value=True)).touches([ITEM])


def test_what_a_document_wants_is_what_holders_of_known_prices_will_have() -> None:
    price = PriceState("price_1", "prod_1", "monthly", None)
    product = ProductState("prod_1", "Pro", benefits=(Benefit("seats", 3),), prices=(price,))
    present = CatalogState((NamedFeature(SEATS, ""),), (product,))
    strict = PricePolicy(grace_period=DAY)
    wanted_price = replace(price, policy=strict, benefits=(Benefit("seats", 9),))
    new = replace(price, id=None, lookup_key="yearly", benefits=(Benefit("seats", 1),))
    wanted = replace(present, products=(replace(product, benefits=(), prices=(wanted_price, new)),))

    became = catalog_after(BEFORE, present, wanted)

    assert became.features == {"seats": SEATS}
    assert became.by_product == {"prod_1": ()}
    assert became.by_price == {"price_1": (Benefit("seats", 9),)}
    assert became.policies == {"price_1": strict}


def test_a_tally_counts_all_and_shows_some() -> None:
    tally = Tally()
    for number in range(SAMPLES + 5):
        tally.add("gains", f"user_{number}")

    assert tally.counts == {"gains": SAMPLES + 5, "loses": 0, "changes": 0}
    assert tally.samples["gains"] == [f"user_{number}" for number in range(SAMPLES)]


@settings(max_examples=40)
@given(worlds, worlds, st.integers(0, 20))
def test_whoever_is_passed_over_is_not_affected(one: World, other: World, days: int) -> None:
    at = START + days * DAY / 2
    held: list[Holding] = one.holdings
    found = effects(held, one.catalog, other.catalog, at)

    if not reach_of(one.catalog, other.catalog).touches(held):
        assert found == {}
    was = {code for code, state in states_of(held, one.catalog).items() if decide(state, at).allowed}
    became = {code for code, state in states_of(held, other.catalog).items() if decide(state, at).allowed}
    assert {code for code, effect in found.items() if effect == "loses"} == was - became
    assert {code for code, effect in found.items() if effect == "gains"} == became - was
