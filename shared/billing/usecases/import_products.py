"""Brings products that Stripe has already into a project: mapped, mirrored with their prices, and giving features.

Named by id, or found by their metadata `project_id`. The metadata `feature_codes` (codes with commas between) says
which boolean features a product gives.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from billing.domain.catalog import Benefit
from billing.domain.facts import PriceFact
from billing.errors import FieldFault, Refused, Transient
from billing.payments import listings
from billing.payments.client import StripeClient
from billing.payments.listings import ListedProduct
from billing.payments.objects import Fetched
from billing.store import catalog as local
from billing.store import catalog_applies, outbox, projects
from billing.store.audit import append
from billing.store.catalog_state import owners_of, state_of
from billing.store.connection import Connection, transaction
from billing.usecases.apply_catalog import LEASE, busy
from billing.usecases.operator import Operator

MOST_PRODUCTS = 500
"""In one import. The next one takes the rest: what is imported is passed over by metadata."""


@dataclass(frozen=True, slots=True)
class Found:
    """A product in Stripe with all its prices. `mapped`: it is the project's already. `gives` is what it lacks yet."""

    product: ListedProduct
    prices: tuple[Fetched[PriceFact], ...]
    mapped: bool
    gives: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.product.fetched.fact.id


@dataclass(frozen=True, slots=True)
class Import:
    """What would be brought in, and the store's part of doing it."""

    found: tuple[Found, ...]
    record: Callable[[Connection], None]


def find_products(
    database_url: str,
    stripe: StripeClient,
    project_id: str,
    product_ids: list[str] | None,
    now: Callable[[], datetime],
    operator: Operator,
) -> Import:
    """Asks Stripe and changes nothing: that is `record`'s, in one transaction; publish the project after it.

    Raises Refused (`project_not_found`, `invalid_request` with every fault), Transient, Permanent.
    """
    with transaction(database_url) as connection:
        if projects.find_project(connection, project_id) is None:
            raise Refused("project_not_found", f"there is no project {project_id}: create it first")
        present = state_of(connection, project_id)
    listed = _listed(stripe, project_id, product_ids)
    with transaction(database_url) as connection:
        owners = owners_of(connection, [product.fetched.fact.id for product in listed])
    features = {named.feature.code: named.feature.type for named in present.features}
    faults = list(_faults(listed, project_id, owners, features, product_ids))
    if faults:
        raise Refused("invalid_request", "Nothing was imported.", fields=tuple(faults))
    given = {product.id: {benefit.feature for benefit in product.benefits} for product in present.products}
    found = tuple(
        Found(
            product,
            tuple(listings.prices_of_product(stripe, product.fetched.fact.id)),
            product.fetched.fact.id in owners,
            tuple(code for code in product.feature_codes if code not in given.get(product.fetched.fact.id, ())),
        )
        for product in listed
    )
    return Import(found, lambda connection: _record(connection, project_id, found, now(), operator))


def _listed(stripe: StripeClient, project_id: str, product_ids: list[str] | None) -> list[ListedProduct]:
    if product_ids is not None:
        return list(listings.products_by_id(stripe, product_ids).values())
    listed = []
    for product in listings.products_of_project(stripe, project_id):
        listed.append(product)
        if len(listed) > MOST_PRODUCTS:
            raise Refused(
                "invalid_request", f"More than {MOST_PRODUCTS} products name this project: import them by product_ids."
            )
    return listed


def _faults(
    listed: list[ListedProduct],
    project_id: str,
    owners: dict[str, str],
    features: Mapping[str, str],
    product_ids: list[str] | None,
) -> Iterator[FieldFault]:
    places: dict[str, tuple[str | int, ...]] = {
        product_id: ("product_ids", n) for n, product_id in enumerate(product_ids or [])
    }
    there = {product.fetched.fact.id for product in listed}
    for product_id, path in places.items():
        if product_id not in there:
            yield FieldFault.at(path, "Stripe has no such product")
    for product in listed:
        product_id = product.fetched.fact.id
        path = places.get(product_id, ("product_ids",))
        if owners.get(product_id, project_id) != project_id:
            yield FieldFault.at(path, f"{product_id} belongs to another project")
        for code in product.feature_codes:
            if features.get(code) != "boolean":
                fault = "is no feature of the project" if code not in features else f"is a {features[code]} feature"
                mend = "declare it as boolean in the catalog, or take it out of the product's metadata feature_codes"
                yield FieldFault.at(path, f"{product_id} names {code}, which {fault}: {mend}")


def _record(
    connection: Connection, project_id: str, found: tuple[Found, ...], now: datetime, operator: Operator
) -> None:
    """In the project's turn, so that no catalog is applied meanwhile."""
    holder = secrets.token_hex(16)
    if not catalog_applies.claim(connection, project_id, holder, secrets.token_bytes(32), LEASE):
        raise busy()
    for each in sorted(found, key=lambda one: one.id):
        _map(connection, project_id, each)
        _mirror(connection, each)
        for code in each.gives:
            benefit = Benefit(code, value=True)
            local.upsert_benefit(connection, project_id, benefit, product_id=each.id, price_id=None)
    news = [each for each in found if not each.mapped or each.gives]
    if news:
        projects.bump_epoch(connection, project_id, now)
        outbox.owe_project(connection, project_id, cause_kind="catalog", cause_id=project_id)
        act = operator.act("catalog.import", project_id, project_id=project_id, after=_told(news))
    catalog_applies.end(connection, project_id, holder)
    if news:
        append(connection, act, now)


def _map(connection: Connection, project_id: str, each: Found) -> None:
    local.insert_product(connection, project_id, each.product.fetched.fact, each.product.fetched.at)
    if local.project_of_product(connection, each.id) != project_id:
        raise Transient("raced", "another project imported one of these products meanwhile: try again")


def _mirror(connection: Connection, each: Found) -> None:
    seen = each.product.fetched
    mirror = local.lock_product(connection, each.id)
    if mirror is not None and mirror.watermark < seen.at:
        local.update_product(connection, seen.fact, seen.at)
    for price in sorted(each.prices, key=lambda one: one.fact.id):
        known = local.lock_price(connection, price.fact.id)
        if known is None or known.watermark <= price.at:
            local.upsert_price(connection, price.fact, price.at)


def _told(found: list[Found]) -> dict[str, Any]:
    gives = list(chain.from_iterable((f"{each.id}/{code}" for code in each.gives) for each in found))
    return {"products": [each.id for each in found if not each.mapped], "benefits": gives}
