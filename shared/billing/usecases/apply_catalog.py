"""Makes Stripe and the store have what a catalog document says. Adds and changes; it removes nothing.

Safe to run again after a crash at any step: ids and lookup keys are of our own making. Products are mapped to the
project before Stripe hears of them, so that not even the first event about one finds it unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from billing.domain.facts import PriceFact, ProductFact
from billing.errors import Refused
from billing.payments import catalog as remote
from billing.payments.client import StripeClient
from billing.payments.objects import Fetched
from billing.store import catalog as local
from billing.store import outbox, projects
from billing.store.connection import Connection, transaction
from billing.usecases.catalog_document import CatalogDocument, PriceEntry, ProductEntry
from billing.usecases.publish_outbox import Publisher, publish_project


def apply_catalog(
    publisher: Publisher,
    stripe: StripeClient,
    project_id: str,
    document: CatalogDocument,
    now: Callable[[], datetime],
) -> None:
    """Effective for every holder when it returns: the new epoch is published. Raises Refused, Transient, Rejected."""
    with transaction(publisher.database_url) as connection:
        if projects.find_project(connection, project_id) is None:
            raise Refused("project_not_found", f"there is no project {project_id}: create it first")
        for product in document.products:
            row = ProductFact(_product_id(project_id, product), product.name, active=True)
            local.insert_product(connection, project_id, row, 0)
    made = {product.key: _make(stripe, project_id, product) for product in document.products}
    with transaction(publisher.database_url) as connection:
        for entry in document.features:
            local.upsert_feature(connection, project_id, entry.feature(), entry.name)
        for product in document.products:
            _record(connection, project_id, product, *made[product.key])
        projects.bump_epoch(connection, project_id, now())
        outbox.owe_project(connection, project_id, cause_kind="catalog", cause_id=project_id)
    publish_project(publisher, project_id, now())


def _product_id(project_id: str, product: ProductEntry) -> str:
    return f"{project_id}_{product.key}"


def _make(
    stripe: StripeClient, project_id: str, product: ProductEntry
) -> tuple[Fetched[ProductFact], dict[str, Fetched[PriceFact]]]:
    there = remote.ensure_product(stripe, project_id, product.key, product.name)
    prices = {
        price.lookup_key: remote.ensure_price(stripe, there.fact.id, price.lookup_key, _money(price))
        for price in product.prices
    }
    return there, prices


def _money(price: PriceEntry) -> remote.Money:
    return remote.Money(price.currency, price.unit_amount, price.interval, price.interval_count)


def _record(
    connection: Connection,
    project_id: str,
    product: ProductEntry,
    there: Fetched[ProductFact],
    prices: dict[str, Fetched[PriceFact]],
) -> None:
    mirror = local.lock_product(connection, there.fact.id)
    if mirror is not None and mirror.watermark <= there.at:
        local.update_product(connection, there.fact, there.at)
    for entry in product.benefits:
        local.upsert_benefit(connection, project_id, entry.benefit(), product_id=there.fact.id, price_id=None)
    for price in product.prices:
        fetched = prices[price.lookup_key]
        known = local.lock_price(connection, fetched.fact.id)
        if known is None or known.watermark <= fetched.at:
            local.upsert_price(connection, fetched.fact, fetched.at)
        local.set_policy(connection, fetched.fact.id, price.policy())
        for entry in price.benefits:
            local.upsert_benefit(connection, project_id, entry.benefit(), product_id=None, price_id=fetched.fact.id)
