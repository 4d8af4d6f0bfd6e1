"""What it takes to get from the catalog there is to the catalog that is wanted, and what that does to who holds it.

Both are a `CatalogState`. Whatever the wanted one leaves out goes: benefits and features are removed, products and
prices archived, which takes nothing from their holders. Money never changes: other money is another price.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from billing.domain.catalog import Benefit, Feature, PricePolicy
from billing.domain.prices import Money, options_to_json, tiers_to_json, whole, written

Kind = Literal["create", "update", "archive", "transfer_lookup_key", "remove"]
Subject = Literal["feature", "product", "price", "benefit"]


@dataclass(frozen=True, slots=True)
class NamedFeature:
    feature: Feature
    name: str


@dataclass(frozen=True, slots=True)
class PriceState:
    """A price with what we keep of it. `id` None: wanted, named by its lookup key alone.

    `money` None: wanted as it is in Stripe. `simple` is False where a catalog document cannot say all of its money
    (metered, chosen by the customer, tiers in several currencies). `stored`: the store has it, with its policies.
    """

    id: str | None
    product_id: str
    lookup_key: str | None
    money: Money | None
    policy: PricePolicy = field(default_factory=PricePolicy)
    trial_days: int | None = None
    benefits: tuple[Benefit, ...] = ()
    active: bool = True
    simple: bool = True
    stored: bool = True


@dataclass(frozen=True, slots=True)
class ProductState:
    """A product. `made`: Stripe has it; `deleted` there it never comes back.

    `imported`: wanted by an id of Stripe's own making, so it must be there already.
    """

    id: str
    name: str
    active: bool = True
    benefits: tuple[Benefit, ...] = ()
    prices: tuple[PriceState, ...] = ()
    made: bool = True
    deleted: bool = False
    imported: bool = False


@dataclass(frozen=True, slots=True)
class CatalogState:
    """`features` and `products` in the order of their document, or of the store."""

    features: tuple[NamedFeature, ...] = ()
    products: tuple[ProductState, ...] = ()

    def prices(self) -> Iterator[PriceState]:
        return (price for product in self.products for price in product.prices)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `key` is what the document calls it; `before` and `after` show only what differs."""

    kind: Kind
    object: Subject
    id: str | None
    key: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A wanted price and the one there is: `same` is it already, `replaced` loses its lookup key to a new one."""

    wanted: PriceState
    same: PriceState | None
    replaced: PriceState | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What to do. What is archived is active and in nothing of the wanted catalog.

    `matches` are the wanted prices in the order of the document.
    """

    changes: tuple[Change, ...]
    unchanged: int
    matches: tuple[Match, ...]
    archived_prices: tuple[str, ...]
    archived_products: tuple[str, ...]


def match(present: CatalogState, wanted: PriceState) -> Match:
    """By id, or by the lookup key as long as product and money are the same."""
    if wanted.id is not None:
        return Match(wanted, next((price for price in present.prices() if price.id == wanted.id), None), None)
    holder = next((price for price in present.prices() if price.lookup_key == wanted.lookup_key), None)
    if holder is not None and (holder.product_id, holder.money) == (wanted.product_id, wanted.money):
        return Match(wanted, holder, None)
    return Match(wanted, None, holder)


def difference(present: CatalogState, wanted: CatalogState) -> Difference:
    """Pure, and empty of changes where present is what is wanted."""
    matches = tuple(match(present, price) for price in wanted.prices())
    kept = {found.same.id for found in matches if found.same is not None}
    named = {product.id for product in wanted.products}
    # prices of archived products stay as they are: nothing of such a product can be sold
    gone_prices = [p for p in present.prices() if p.active and p.id not in kept and p.product_id in named]
    gone_products = [product for product in present.products if product.id not in named and product.active]
    found = [
        *_feature_changes(present, wanted),
        *_product_changes(present, wanted),
        *(change for each in matches for change in _price_changes(each)),
        *(_archived("price", price.id, _name(price)) for price in gone_prices),
        *(_archived("product", product.id, product.id) for product in gone_products),
    ]
    changed = {(change.object, change.key) for change in found}
    total = sum(1 for _ in _everything(wanted))
    unchanged = sum(1 for each in _everything(wanted) if each not in changed)
    return Difference(
        tuple(found),
        min(unchanged, total),
        matches,
        tuple(str(price.id) for price in gone_prices),
        tuple(product.id for product in gone_products),
    )


def _everything(state: CatalogState) -> Iterator[tuple[Subject, str]]:
    for named in state.features:
        yield "feature", named.feature.code
    for product in state.products:
        yield "product", product.id
        for benefit in product.benefits:
            yield "benefit", f"{product.id}/{benefit.feature}"
        for price in product.prices:
            yield "price", _name(price)
            for benefit in price.benefits:
                yield "benefit", f"{_name(price)}/{benefit.feature}"


def _name(price: PriceState) -> str:
    return price.lookup_key or str(price.id)


# --- what differs --------------------------------------------------------------------------------------------------


def _feature_changes(present: CatalogState, wanted: CatalogState) -> Iterator[Change]:
    there = {named.feature.code: named for named in present.features}
    for named in wanted.features:
        before = there.pop(named.feature.code, None)
        yield from _differs("feature", named.feature.code, named.feature.code, _of_feature(before), _of_feature(named))
    for code, named in there.items():
        yield Change("remove", "feature", code, code, before=_of_feature(named))


def _product_changes(present: CatalogState, wanted: CatalogState) -> Iterator[Change]:
    there = {product.id: product for product in present.products}
    for product in wanted.products:
        before = there.get(product.id)
        known = before if before is not None and before.made else None
        if known is not None and known.active and not product.active:
            yield _archived("product", product.id, product.id)
            known = replace(known, active=False)
        yield from _differs("product", product.id, product.id, _of_product(known), _of_product(product))
        yield from _benefit_changes(product.id, before.benefits if before else (), product.benefits)


def _price_changes(found: Match) -> Iterator[Change]:
    wanted, same, name = found.wanted, found.same, _name(found.wanted)
    if same is None:
        yield Change("create", "price", None, name, after=_of_price(wanted))
        if found.replaced is not None:
            old = found.replaced.id
            yield Change("transfer_lookup_key", "price", old, name, before={"price": old}, after={"price": None})
    else:
        if same.active and not wanted.active:
            yield _archived("price", same.id, name)
            same = replace(same, active=False)
        asked = replace(wanted, money=same.money, lookup_key=wanted.lookup_key or same.lookup_key)
        before, after = ({**_of_price(price), "recorded": price.stored} for price in (same, asked))
        yield from _differs("price", same.id, name, before, after)
    yield from _benefit_changes(name, same.benefits if same else (), wanted.benefits)


def _archived(subject: Subject, identity: str | None, key: str) -> Change:
    return Change("archive", subject, identity, key, {"active": True}, {"active": False})


def _benefit_changes(giver: str, present: Iterable[Benefit], wanted: Iterable[Benefit]) -> Iterator[Change]:
    there = {benefit.feature: benefit for benefit in present}
    for benefit in wanted:
        before = there.pop(benefit.feature, None)
        key = f"{giver}/{benefit.feature}"
        yield from _differs("benefit", None, key, _of_benefit(before), _of_benefit(benefit))
    for code, benefit in there.items():
        yield Change("remove", "benefit", None, f"{giver}/{code}", before=_of_benefit(benefit))


def _differs(
    subject: Subject, identity: str | None, key: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> Iterator[Change]:
    if before is None or after is None:
        yield Change("create", subject, None if subject == "price" else identity, key, after=after)
        return
    names = [name for name in after if not same_json(before.get(name), after[name])]
    if names:
        shown = ({name: side.get(name) for name in names} for side in (before, after))
        yield Change("update", subject, identity, key, *shown)


def same_json(one: object, other: object) -> bool:
    """Equal as JSON values: to Python alone, true is 1."""
    return one is other or json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


# --- as the document says it ---------------------------------------------------------------------------------------


def _of_feature(named: NamedFeature | None) -> dict[str, Any] | None:
    if named is None:
        return None
    return {"type": named.feature.type, "merge": named.feature.merge, "name": named.name}


def _of_product(product: ProductState | None) -> dict[str, Any] | None:
    return None if product is None else {"name": product.name, "active": product.active}


def _of_benefit(benefit: Benefit | None) -> dict[str, Any] | None:
    if benefit is None:
        return None
    return {"value": benefit.value, "per_unit": benefit.per_unit, "priority": benefit.priority}


def _of_price(price: PriceState) -> dict[str, Any]:
    return {
        "product": price.product_id,
        "lookup_key": price.lookup_key,
        "active": price.active,
        **({} if price.money is None else money_to_json(price.money)),
        **policy_to_json(price.policy),
        "trial_days": price.trial_days,
    }


def policy_to_json(policy: PricePolicy) -> dict[str, Any]:
    """Times in whole days, as the document has them."""
    days = policy.grace_period / timedelta(days=1)
    return {
        "grace_days": int(days) if days.is_integer() else days,
        "access_days": policy.access_days,
        "on_full_refund": policy.on_full_refund,
        "on_partial_refund": policy.on_partial_refund,
    }


def money_to_json(money: Money) -> dict[str, Any]:
    """Amounts in minor units; with a fraction as decimal strings."""
    amount = money.amount.per_unit
    return {
        "currency": money.currency,
        "unit_amount": whole(amount),
        "unit_amount_decimal": None if amount is None else written(amount),
        "interval": money.interval,
        "interval_count": money.every,
        "tiers_mode": money.tiers_mode,
        "tiers": tiers_to_json(money.amount.tiers) or None,
        "currency_options": options_to_json(money.options) or None,
    }
