from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from billing.errors import BillingError, Refused
from billing.store.connection import transaction
from billing.store.projects import find_project
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.catalog_document import CatalogDocument
from tests.support.shop import CATALOG, Shop


def now() -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC)


def reapply(shop: Shop, document: CatalogDocument = CATALOG) -> None:
    apply_catalog(shop.worker.publisher, shop.stripe, "notes", document, now)


def counts(shop: Shop) -> tuple[int, int]:
    products = shop.stripe.v1.products.list({"limit": 100}).data
    prices = shop.stripe.v1.prices.list({"limit": 100}).data
    return len(products), len(prices)


def test_applying_again_makes_no_second_product_or_price(shop: Shop) -> None:
    before = counts(shop)

    reapply(shop)

    assert counts(shop) == before == (2, 3)
    assert shop.rows("SELECT count(*) FROM prices") == [(3,)]


def test_every_application_is_a_new_epoch(shop: Shop) -> None:
    with transaction(shop.worker.database_url) as connection:
        before = find_project(connection, "notes")
    reapply(shop)
    with transaction(shop.worker.database_url) as connection:
        after = find_project(connection, "notes")

    assert before is not None
    assert after is not None
    assert after.catalog_epoch == before.catalog_epoch + 1


def test_a_new_benefit_reaches_those_who_hold_the_product_already(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    assert not shop.check("ann", "badge")["allowed"]

    document = CATALOG.model_dump()
    document["products"][0]["benefits"] = [*document["products"][0]["benefits"], {"feature": "badge"}]
    reapply(shop, CatalogDocument.model_validate(document))

    assert shop.check("ann", "badge")["allowed"]


def test_other_money_makes_a_new_price_and_keeps_the_old_ones_holders(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    old = shop.price("pro_monthly")

    document = CATALOG.model_dump()
    document["products"][0]["prices"][0]["unit_amount"] = 1100
    reapply(shop, CatalogDocument.model_validate(document))

    assert shop.price("pro_monthly") != old
    assert shop.check("ann", "export")["allowed"]


def test_its_own_events_find_every_product_and_price_known(shop: Shop) -> None:
    outcomes = shop.apply(shop.events())

    assert [o for o in outcomes if o.status == "failed"] == []


@pytest.mark.parametrize("failing", ["POST /v1/products", "POST /v1/prices"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_half_way_leaves_nothing_doubled_after_the_next_run(
    empty_shop: Callable[[], Shop], failing: str, moment: str
) -> None:
    shop = empty_shop()
    shop.double.control.add_fault("500", match=failing, times=None, apply="after" if moment == "after" else "before")
    with pytest.raises(BillingError):
        reapply(shop)
    shop.double.control.clear_faults()

    reapply(shop)

    assert counts(shop) == (2, 3)


def test_a_catalog_for_no_project_is_refused_before_stripe_hears_of_it(shop: Shop) -> None:
    before = len(shop.double.control.requests())

    with pytest.raises(Refused, match="project_not_found"):
        apply_catalog(shop.worker.publisher, shop.stripe, "nowhere", CATALOG, now)

    assert len(shop.double.control.requests()) == before
