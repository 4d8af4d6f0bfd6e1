"""Random catalogs and holdings whose every date lies on a grid of half days, so that all that can happen is listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from billing.domain.catalog import UNLIMITED, Benefit, Catalog, Feature, PricePolicy
from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem
from billing.domain.policies import NOTHING_BACK, MoneyBack
from billing.domain.windows import FOREVER
from tests.unit.domain.making import FEATURES, START, TICK

STEP = timedelta(hours=12)
STEPS = 8
LONGEST = 4
"""No policy lasts longer than so many steps: `every_instant` outlives all windows but the endless."""

PRODUCTS = ("prod_a", "prod_b")
PRICES = {"price_a": "prod_a", "price_a2": "prod_a", "price_b": "prod_b"}
STATUSES = (
    "active",
    "trialing",
    "past_due",
    "canceled",
    "unpaid",
    "paused",
    "incomplete",
    "incomplete_expired",
    "resting",
)


@dataclass(frozen=True)
class World:
    catalog: Catalog
    holdings: list[Holding]


def every_instant() -> list[datetime]:
    """Each grid point, a microsecond before and a microsecond after: between them nothing can change."""
    return [START + n * STEP + tick for n in range(-1, STEPS + LONGEST + 2) for tick in (-TICK, timedelta(0), TICK)]


dates = st.integers(0, STEPS).map(lambda n: START + n * STEP)
lengths = st.integers(0, LONGEST).map(lambda n: n * STEP)
numbers = st.integers(0, 4)
priorities = st.integers(0, 1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "", "dark", "ü\u0000\ud800"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


def values_of(feature: Feature) -> st.SearchStrategy[Any]:
    if feature.type == "boolean":
        return st.just(value=True)
    return numbers | st.just(UNLIMITED) if feature.type == "limit" else json_values


def benefits_of(feature: Feature) -> st.SearchStrategy[Benefit]:
    per_unit = st.booleans() if feature.type == "limit" else st.just(value=False)
    return st.builds(Benefit, st.just(feature.code), values_of(feature), per_unit=per_unit, priority=priorities)


@st.composite
def benefit_sets(draw: st.DrawFn) -> tuple[Benefit, ...]:
    given = draw(st.sets(st.sampled_from(FEATURES)))
    return tuple(draw(benefits_of(feature)) for feature in FEATURES if feature in given)


policies = st.builds(
    PricePolicy,
    grace_period=lengths,
    renewal_leeway=lengths,
    access_days=st.none() | st.integers(1, LONGEST // 2),
    on_full_refund=st.sampled_from([None, "revoke", "keep"]),
    on_partial_refund=st.sampled_from(["keep", "keep", "revoke"]),
)

catalogs = st.builds(
    Catalog,
    project_id=st.just("notes"),
    epoch=st.integers(1, 9),
    features=st.just({feature.code: feature for feature in FEATURES}),
    by_product=st.dictionaries(st.sampled_from(PRODUCTS), benefit_sets(), min_size=1),
    by_price=st.dictionaries(st.sampled_from(sorted(PRICES)), benefit_sets(), max_size=1),
    policies=st.fixed_dictionaries(dict.fromkeys(PRICES, policies)),
)


sometimes = st.none() | st.none() | dates
moneys = st.just(NOTHING_BACK) | st.builds(MoneyBack, sometimes, sometimes, sometimes, sometimes)


@st.composite
def items(draw: st.DrawFn, n: int = 0) -> SubscriptionItem:
    price = draw(st.sampled_from(sorted(PRICES)))
    begin, end = sorted(draw(st.tuples(dates, dates)))
    maybe = st.none() | dates
    return SubscriptionItem(
        id=f"si_{n}",
        subscription_id=f"sub_{n}",
        price_id=price,
        product_id=PRICES[price],
        quantity=draw(st.integers(0, 3)),
        status=draw(st.sampled_from(STATUSES)),
        start=draw(dates),
        period_start=begin,
        period_end=end,
        cancel_at=draw(maybe),
        cancel_at_period_end=draw(st.booleans()),
        ended_at=draw(maybe),
        past_due_since=draw(maybe),
        customer_deleted_at=draw(st.none() | maybe),
        money=draw(moneys),
        event=draw(st.sampled_from([None, "evt_1"])),
    )


@st.composite
def purchases(draw: st.DrawFn, n: int = 0) -> Purchase:
    price = draw(st.sampled_from(sorted(PRICES)))
    quantity, paid_at, money = draw(st.integers(1, 3)), draw(dates), draw(moneys)
    return Purchase(f"cs_{n}/li_1", price, PRICES[price], quantity, paid_at, money, event="evt_2")


@st.composite
def grants(draw: st.DrawFn, n: int = 0, denial: bool | None = None) -> Grant:
    feature = draw(st.sampled_from(FEATURES))
    denies = draw(st.sampled_from([False, False, False, True])) if denial is None else denial
    return Grant(
        id=f"grant_{n}",
        project_id=draw(st.sampled_from(["notes", "notes", "notes", "maps"])),
        feature=feature.code,
        value=None if denies else draw(values_of(feature)),
        denial=denies,
        priority=draw(priorities),
        valid_from=draw(dates),
        valid_to=draw(dates | st.just(FOREVER)),
        created_at=draw(dates),
        revoked_at=draw(st.none() | dates),
    )


@st.composite
def holdings(draw: st.DrawFn) -> list[Holding]:
    kinds = draw(st.lists(st.sampled_from(["item", "item", "purchase", "grant"]), max_size=4))
    made: dict[str, Callable[[int], st.SearchStrategy[Holding]]] = {
        "item": items,
        "purchase": purchases,
        "grant": grants,
    }
    return [draw(made[kind](n)) for n, kind in enumerate(kinds)]


worlds = st.builds(World, catalogs, holdings())
