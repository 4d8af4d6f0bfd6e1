"""Compares a catalog document with what Stripe and the store have, and says what applying it would do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from billing.domain.catalog import Catalog
from billing.domain.catalog_changes import CatalogState, Difference, PriceState, ProductState, difference
from billing.domain.catalog_faults import Use, faults_beside
from billing.domain.catalog_impact import Tally, catalog_after, effects, reach_of
from billing.domain.facts import PriceFact
from billing.domain.holdings import from_json
from billing.errors import FieldFault, Refused
from billing.payments import listings
from billing.payments.client import StripeClient
from billing.payments.listings import ListedProduct
from billing.payments.objects import Fetched, fetch_price
from billing.store import catalog_state as local
from billing.store.catalog_state import is_simple
from billing.store.connection import transaction
from billing.store.projects import Project, find_project
from billing.usecases.catalog_document import CatalogDocument, check, invalid, state_of

SLICE = 1_000
"""Customers read at once when a plan counts whom it reaches."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a document would change. `plan_id` names this document and this present state of affairs.

    `listed` and `prices` are what Stripe said meanwhile, by id; `stored` the products the store has mapped.
    """

    plan_id: str
    project: Project
    present: CatalogState
    wanted: CatalogState
    difference: Difference
    catalog: Catalog
    listed: dict[str, ListedProduct]
    prices: dict[str, Fetched[PriceFact]]
    stored: frozenset[str]


@dataclass(frozen=True, slots=True)
class Impact:
    """Of `customers` looked at, by feature. `complete` is False where the time was up before the last of them."""

    features: dict[str, Tally] = field(default_factory=dict)
    customers: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Store:
    """What the store knows, at one instant."""

    project: Project
    state: CatalogState
    catalog: Catalog
    owners: dict[str, str]
    granted: frozenset[str]
    given_elsewhere: frozenset[str]


def plan_catalog(database_url: str, stripe: StripeClient, project_id: str, document: CatalogDocument) -> Plan:
    """Changes nothing. Raises Refused (`project_not_found`, `invalid_catalog`), Transient, Permanent."""
    check(document)
    wanted = state_of(document, project_id)
    known = _read_store(database_url, project_id, wanted)
    listed = listings.products_by_id(stripe, [product.id for product in wanted.products])
    keys = [price.lookup_key for price in wanted.prices() if price.lookup_key is not None and price.id is None]
    prices = {price.fact.id: price for price in listings.prices_by_lookup_key(stripe, keys).values()}
    for price in wanted.prices():
        answer = fetch_price(stripe, price.id) if price.id is not None else None
        if isinstance(answer, Fetched):
            prices[answer.fact.id] = answer
    present = _overlaid(known.state, wanted, listed, [price.fact for price in prices.values()])
    faults = list(faults_beside(present, wanted, _use(known, wanted, prices.values())))
    if faults:
        raise invalid([FieldFault.at(path, text) for path, text in faults])
    return Plan(
        plan_id=_name(document, present),
        project=known.project,
        present=present,
        wanted=wanted,
        difference=difference(present, wanted),
        catalog=known.catalog,
        listed=listed,
        prices=prices,
        stored=frozenset(product.id for product in known.state.products),
    )


def measure(database_url: str, plan: Plan, at: datetime, left: Callable[[], float]) -> Impact:
    """Who would gain or lose what at `at`: every customer of the namespace, slice by slice, while time is `left`.

    No transaction outlives a slice, and no more than a slice is held.
    """
    before, after = plan.catalog, catalog_after(plan.catalog, plan.present, plan.wanted)
    reach, seen, last = reach_of(before, after), 0, ""
    found: dict[str, Tally] = {}
    while left() > 0:
        with transaction(database_url) as connection:
            rows = local.customers_after(connection, plan.project.namespace, last, SLICE)
        for user_id, documents in rows:
            held = [from_json(document) for document in documents]
            if not reach.touches(held):
                continue
            for code, effect in effects(held, before, after, at).items():
                found.setdefault(code, Tally()).add(effect, user_id)
        seen += len(rows)
        if len(rows) < SLICE:
            return Impact(found, seen)
        last = rows[-1][0]
    return Impact(found, seen, complete=False)


def _read_store(database_url: str, project_id: str, wanted: CatalogState) -> _Store:
    with transaction(database_url) as connection:
        project = find_project(connection, project_id)
        if project is None:
            raise Refused("project_not_found", f"there is no project {project_id}: create it first")
        return _Store(
            project,
            local.state_of(connection, project_id),
            local.catalog_of(connection, project_id),
            local.owners_of(connection, [product.id for product in wanted.products]),
            local.granted_features(connection, project_id),
            local.features_given_elsewhere(connection, project_id),
        )


def _use(known: _Store, wanted: CatalogState, prices: Iterable[Fetched[PriceFact]]) -> Use:
    ours = {product.id for product in (*known.state.products, *wanted.products)}
    return Use(
        known.granted,
        known.given_elsewhere,
        frozenset(str(price.fact.lookup_key) for price in prices if price.fact.product_id not in ours),
        frozenset(product for product, owner in known.owners.items() if owner != known.project.id),
    )


def _overlaid(
    stored: CatalogState, wanted: CatalogState, listed: dict[str, ListedProduct], facts: list[PriceFact]
) -> CatalogState:
    """The store's state, corrected by what Stripe says now of all that the document names."""
    named = {product.id for product in wanted.products}
    keys = {price.lookup_key for price in wanted.prices() if price.id is None}
    there = {product.id: product for product in stored.products}
    there |= {i: ProductState(i, "", made=False) for i in named & listed.keys() - there.keys()}
    ids = {price.id for price in stored.prices()}
    products = []
    for product in there.values():
        prices = [_corrected(price, facts, keys) for price in product.prices]
        prices += [_state(fact) for fact in facts if fact.product_id == product.id and fact.id not in ids]
        whole = replace(product, prices=tuple(prices))
        products.append(_seen(whole, listed.get(product.id), known=product.made) if product.id in named else whole)
    return CatalogState(stored.features, tuple(products))


def _seen(product: ProductState, listed: ListedProduct | None, *, known: bool) -> ProductState:
    if listed is None:
        return replace(product, made=False)
    fact = listed.fetched.fact
    return replace(product, name=fact.name, active=fact.active, made=known)


def _corrected(price: PriceState, facts: list[PriceFact], keys: set[str | None]) -> PriceState:
    for fact in facts:
        if fact.id == price.id:
            seen = _state(fact)
            return replace(seen, policy=price.policy, trial_days=price.trial_days, benefits=price.benefits, stored=True)
    return replace(price, lookup_key=None) if price.lookup_key in keys else price


def _state(fact: PriceFact) -> PriceState:
    money = fact.money
    return PriceState(
        fact.id,
        fact.product_id,
        fact.lookup_key,
        money,
        active=fact.active,
        simple=is_simple(money, fact.usage_type),
        stored=False,
    )


def _name(document: CatalogDocument, present: CatalogState) -> str:
    state = json.dumps(asdict(present), sort_keys=True, default=str)
    return hashlib.sha256(document.digest() + state.encode()).hexdigest()[:32]
