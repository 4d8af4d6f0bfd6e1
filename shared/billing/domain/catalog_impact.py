"""Who gains or loses what by a change of the catalog: the rules of access, asked once before and once after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from billing.domain.catalog import Catalog
from billing.domain.catalog_changes import CatalogState, difference, same_json
from billing.domain.entitlements import decide, states_of
from billing.domain.holdings import Grant, Holding

Effect = Literal["gains", "loses", "changes"]
"""`changes`: may both before and after, with another value."""

SAMPLES = 10


@dataclass(slots=True)
class Tally:
    """How many users one feature's effects reach, and some of them."""

    counts: dict[Effect, int] = field(default_factory=lambda: {"gains": 0, "loses": 0, "changes": 0})
    samples: dict[Effect, list[str]] = field(default_factory=lambda: {"gains": [], "loses": [], "changes": []})

    def add(self, effect: Effect, user_id: str) -> None:
        self.counts[effect] += 1
        if len(self.samples[effect]) < SAMPLES:
            self.samples[effect].append(user_id)


def catalog_after(catalog: Catalog, present: CatalogState, wanted: CatalogState) -> Catalog:
    """What the project's customers will be answered by; of new prices nothing, for nobody holds one yet."""
    held = [(found.same.id, found.wanted) for found in difference(present, wanted).matches if found.same is not None]
    by_product = {**catalog.by_product, **{product.id: product.benefits for product in wanted.products}}
    by_price = {**catalog.by_price, **{str(price_id): price.benefits for price_id, price in held}}
    policies = {**catalog.policies, **{str(price_id): price.policy for price_id, price in held}}
    features = {named.feature.code: named.feature for named in wanted.features}
    return replace(catalog, features=features, by_product=by_product, by_price=by_price, policies=policies)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a change can touch at all; a holder of nothing among it need not be looked at."""

    products: frozenset[str]
    prices: frozenset[str]
    features: frozenset[str]

    def touches(self, holdings: Iterable[Holding]) -> bool:
        return any(
            holding.feature in self.features
            if isinstance(holding, Grant)
            else bool(self.features) or holding.product_id in self.products or holding.price_id in self.prices
            for holding in holdings
        )


def reach_of(before: Catalog, after: Catalog) -> Reach:
    """Compared as written: to Python's `==`, true is 1."""

    def differing(one: Mapping[str, object], other: Mapping[str, object]) -> frozenset[str]:
        keys = one.keys() | other.keys()
        return frozenset(key for key in keys if repr(one.get(key) or ()) != repr(other.get(key) or ()))

    return Reach(
        differing(before.by_product, after.by_product),
        differing(before.by_price, after.by_price) | differing(before.policies, after.policies),
        frozenset(code for code, feature in before.features.items() if after.features.get(code) != feature),
    )


def effects(holdings: Iterable[Holding], before: Catalog, after: Catalog, at: datetime) -> dict[str, Effect]:
    """The features whose answer differs at `at` for whoever holds this."""
    held = tuple(holdings)
    then, now = states_of(held, before), states_of(held, after)
    found: dict[str, Effect] = {}
    for code in sorted(then.keys() | now.keys()):
        was, became = (decide(states[code], at) if code in states else None for states in (then, now))
        allowed = was is not None and was.allowed
        if (became is not None and became.allowed) != allowed:
            found[code] = "loses" if allowed else "gains"
        elif allowed and was is not None and became is not None and not same_json(was.value, became.value):
            found[code] = "changes"
    return found
