"""Why a wanted catalog cannot be: in itself, or beside what there is. Each fault says where in the document it lies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from billing.domain.catalog import UNLIMITED, Benefit, Feature, fault_of_value
from billing.domain.catalog_changes import CatalogState, PriceState, ProductState, match

Path = tuple[str | int, ...]
Fault = tuple[Path, str]
"""Where in the document, as the steps of a JSON pointer, and what to mend there."""

LARGEST_LIMIT = 2**53 - 1
"""Beyond it JSON readers lose digits."""

LARGEST_CONFIG = 8_192
"""Characters of a config value as JSON: every snapshot carries it."""


@dataclass(frozen=True, slots=True)
class Use:
    """What holds on to features: codes that grants name, and those that other projects' products give.

    `foreign_keys` are wanted lookup keys that prices outside the project have, `foreign_products` wanted products that
    another project has.
    """

    granted: frozenset[str] = frozenset()
    given_elsewhere: frozenset[str] = frozenset()
    foreign_keys: frozenset[str] = frozenset()
    foreign_products: frozenset[str] = frozenset()


def faults_of(wanted: CatalogState) -> Iterator[Fault]:
    """What is wrong with the catalog whatever there is."""
    codes = [named.feature.code for named in wanted.features]
    yield from _twice(codes, [("features", n, "code") for n in range(len(codes))], "feature")
    yield from _names(wanted)
    features = {named.feature.code: named.feature for named in wanted.features}
    for place, product in enumerate(wanted.products):
        at: Path = ("products", place)
        yield from _benefits(features, product.benefits, at)
        for number, price in enumerate(product.prices):
            yield from _benefits(features, price.benefits, (*at, "prices", number))
            yield from _money(price, (*at, "prices", number))


def _names(wanted: CatalogState) -> Iterator[Fault]:
    products = [(("products", n, "key"), product.id) for n, product in enumerate(wanted.products)]
    yield from _twice([name for _, name in products], [path for path, _ in products], "product")
    for member in ("lookup_key", "id"):
        named = [(path, getattr(price, member)) for path, price in _prices(wanted) if getattr(price, member)]
        yield from _twice([name for _, name in named], [(*path, member) for path, _ in named], member)


def _prices(wanted: CatalogState) -> Iterator[tuple[Path, PriceState]]:
    for place, product in enumerate(wanted.products):
        for number, price in enumerate(product.prices):
            yield ("products", place, "prices", number), price


def _twice(names: list[str], paths: Iterable[Path], what: str) -> Iterator[Fault]:
    count = Counter(names)
    seen: set[str] = set()
    for name, path in zip(names, paths, strict=True):
        if count[name] > 1 and name in seen:
            yield path, f"each {what} may appear once: {name} stands above already"
        seen.add(name)


def _benefits(features: dict[str, Feature], given: tuple[Benefit, ...], at: Path) -> Iterator[Fault]:
    paths: list[Path] = [(*at, "benefits", n, "feature") for n in range(len(given))]
    yield from _twice([benefit.feature for benefit in given], paths, "feature")
    for number, benefit in enumerate(given):
        here: Path = (*at, "benefits", number)
        feature = features.get(benefit.feature)
        if feature is None:
            yield (*here, "feature"), f"{benefit.feature} is no feature: declare it under features"
            continue
        fault = fault_of_value(feature, benefit.value) or unkeepable(feature, benefit.value)
        if fault is not None:
            yield (*here, "value"), fault
        if benefit.per_unit and feature.type != "limit":
            yield (*here, "per_unit"), "only limits can be multiplied"


def unkeepable(feature: Feature, value: object) -> str | None:
    if feature.type == "limit":
        fits = value == UNLIMITED or (isinstance(value, int) and value <= LARGEST_LIMIT)
        return None if fits else f"a limit is at most {LARGEST_LIMIT}: above it give {UNLIMITED!r}"
    text = json.dumps(value)
    if len(text) > LARGEST_CONFIG:
        return f"a config value is at most {LARGEST_CONFIG} characters of JSON"
    if "\\u0000" in text or any(
        "\ud800" <= character <= "\udfff" for character in json.dumps(value, ensure_ascii=False)
    ):
        return "text is Unicode without U+0000"
    return None


def _money(price: PriceState, at: Path) -> Iterator[Fault]:
    if price.money is None:
        return
    if any(currency == price.money.currency for currency, _ in price.money.options):
        yield (
            (*at, "currency_options", price.money.currency),
            "the price's own currency stands in `currency`: drop it here",
        )
    tiers = price.money.amount.tiers
    ends = [tier.up_to for tier in tiers]
    if tiers and (ends[-1] is not None or None in ends[:-1] or not _grow([end for end in ends if end is not None])):
        yield (*at, "tiers"), "each up_to is larger than the one before, and the last is null"


def _grow(ends: list[int]) -> bool:
    return all(one < other for one, other in pairwise(ends))


# --- beside what there is --------------------------------------------------------------------------------------------


def faults_beside(present: CatalogState, wanted: CatalogState, use: Use) -> Iterator[Fault]:
    """What is wrong with the catalog given the one there is. `wanted` has no fault of its own."""
    yield from _features_in_use(present, wanted, use)
    there = {product.id: product for product in present.products}
    for place, product in enumerate(wanted.products):
        yield from _product(there.get(product.id), product, use, ("products", place))
    for path, price in _prices(wanted):
        yield from _price(present, price, use, path)


def _features_in_use(present: CatalogState, wanted: CatalogState, use: Use) -> Iterator[Fault]:
    types = {named.feature.code: (n, named.feature.type) for n, named in enumerate(wanted.features)}
    kept = _still_given(present, wanted)
    given = {benefit.feature for product in present.products for benefit in _all_benefits(product)}
    for named in present.features:
        code = named.feature.code
        place, kind = types.get(code, (None, None))
        if kind is None and code in kept | use.given_elsewhere:
            yield ("features",), f"{code} is missing and archived products or prices give it: name it, or them without"
        elif kind is None and code in use.granted:
            yield ("features",), f"{code} is missing and grants rest on it: keep it"
        elif place is not None and kind != named.feature.type and code in given | use.given_elsewhere | use.granted:
            yield ("features", place, "type"), f"{code} is {named.feature.type} and in use: take a new code"


def _all_benefits(product: ProductState) -> Iterator[Benefit]:
    yield from product.benefits
    for price in product.prices:
        yield from price.benefits


def _still_given(present: CatalogState, wanted: CatalogState) -> set[str]:
    """The features that products and prices give which the document leaves out: archived ones keep their benefits."""
    rewritten = {product.id for product in wanted.products}
    matched = {found.same.id for found in (match(present, price) for price in wanted.prices()) if found.same}
    products = (product for product in present.products if product.id not in rewritten)
    prices = (price for price in present.prices() if price.id not in matched)
    givers: list[ProductState | PriceState] = [*products, *prices]
    return {benefit.feature for giver in givers for benefit in giver.benefits}


def _product(there: ProductState | None, product: ProductState, use: Use, at: Path) -> Iterator[Fault]:
    if product.id in use.foreign_products:
        yield (*at, "key"), "another project has this product: take another key"
    elif there is not None and there.deleted:
        yield (*at, "key"), "Stripe has deleted this product for good: give it another key"
    elif there is None and product.imported:
        yield (*at, "id"), "the project has no such product: import it first"
    elif there is None and not product.active:
        yield (*at, "archived"), "there is no such product to archive"


def _price(present: CatalogState, price: PriceState, use: Use, at: Path) -> Iterator[Fault]:
    found = match(present, price)
    if price.lookup_key in use.foreign_keys:
        yield (*at, "lookup_key"), "a price outside this project has this key: take another, or import its product"
    elif price.id is not None and (found.same is None or found.same.product_id != price.product_id):
        yield (*at, "id"), "the product has no such price"
    elif found.same is None and not price.active:
        yield (*at, "archived"), "there is no such price to archive"
    elif found.same is not None and price.id is not None and price.money not in (None, found.same.money):
        yield (*at, "id"), "this price asks other money for ever: drop it here, and add one with a lookup_key"
    elif found.replaced is not None and not found.replaced.simple:
        yield (
            (*at, "lookup_key"),
            f"this key's price is metered or has no fixed amount: name it by id {found.replaced.id}",
        )
    elif found.same is not None and found.same.money is not None:
        recurring = found.same.money.interval is not None
        if recurring and price.policy.access_days is not None:
            yield (*at, "access_days"), "access_days belongs to one-time prices"
        if not recurring and price.trial_days is not None:
            yield (*at, "trial_days"), "trial_days belongs to recurring prices"
