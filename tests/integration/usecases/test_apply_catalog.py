import itertools
import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.errors import BillingError, Refused
from billing.store.catalog_state import state_of
from billing.store.connection import transaction
from billing.store.projects import find_project
from billing.store.snapshots import snapshot_of
from billing.usecases import plan_catalog as planning
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.catalog_document import CatalogDocument, read_catalog
from billing.usecases.catalog_export import document_of
from billing.usecases.manage_projects import create_project
from billing.usecases.plan_catalog import Impact, measure, plan_catalog
from tests.support.documents import documents
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


def epoch(shop: Shop) -> int:
    with transaction(shop.worker.database_url) as connection:
        project = find_project(connection, "notes")
    assert project is not None
    return project.catalog_epoch


def test_an_application_that_changes_nothing_is_no_new_epoch(shop: Shop) -> None:
    before = epoch(shop)

    reapply(shop)

    assert epoch(shop) == before


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


# --- the plan --------------------------------------------------------------------------------------------------------


def edited(edit: Callable[[dict[str, Any]], object]) -> CatalogDocument:
    document = CATALOG.model_dump(mode="json")
    edit(document)
    return read_catalog(document)


def plan(shop: Shop, document: CatalogDocument) -> planning.Plan:
    return plan_catalog(shop.worker.database_url, shop.stripe, "notes", document)


def told(planned: planning.Plan) -> list[str]:
    return [f"{change.kind} {change.object} {change.key}" for change in planned.difference.changes]


def test_a_plan_changes_nothing(shop: Shop) -> None:
    before = (shop.digest(), counts(shop), epoch(shop))

    planned = plan(shop, edited(lambda d: d["products"][0]["prices"][0].update(unit_amount=1100)))

    assert told(planned) == [
        "create price pro_monthly",
        "transfer_lookup_key price pro_monthly",
        "archive price pro_monthly",
    ]
    assert (shop.digest(), counts(shop), epoch(shop)) == before


def test_a_plan_is_named_by_its_document_and_by_what_there_is(shop: Shop) -> None:
    document = edited(lambda d: d["products"][0].update(name="Professional"))
    planned = plan(shop, document)

    assert plan(shop, document).plan_id == planned.plan_id
    assert plan(shop, CATALOG).plan_id != planned.plan_id
    shop.stripe.v1.products.update("notes_pro", {"name": "Renamed by hand"})
    assert plan(shop, document).plan_id != planned.plan_id


def test_what_was_changed_by_hand_in_stripe_is_planned_back(shop: Shop) -> None:
    shop.stripe.v1.products.update("notes_pro", {"name": "By hand"})
    shop.stripe.v1.prices.update(shop.price("pro_yearly"), {"active": False})

    assert told(plan(shop, CATALOG)) == ["update product notes_pro", "update price pro_yearly"]
    reapply(shop)

    assert told(plan(shop, CATALOG)) == []
    assert shop.stripe.v1.products.retrieve("notes_pro").name == "Pro"


def test_a_key_of_a_price_outside_the_project_is_refused_before_stripe_is_changed(shop: Shop) -> None:
    product = shop.stripe.v1.products.create({"name": "Stranger"}).id
    shop.stripe.v1.prices.create({"product": product, "currency": "usd", "unit_amount": 1, "lookup_key": "theirs"})
    changes = sum(entry["method"] == "POST" for entry in shop.double.control.requests())

    with pytest.raises(Refused) as refused:
        reapply(shop, edited(lambda d: d["products"][0]["prices"][0].update(lookup_key="theirs")))

    assert [fault.pointer for fault in refused.value.fields] == ["/products/0/prices/0/lookup_key"]
    assert sum(entry["method"] == "POST" for entry in shop.double.control.requests()) == changes
    with transaction(shop.worker.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM catalog_applies").fetchone()
    assert row == (0,)


def test_what_stripe_refuses_is_told_at_its_place_and_applies_once_it_is_mended(shop: Shop) -> None:
    old = shop.price("badge")
    shop.stripe.v1.products.update("notes_badge", {"default_price": old})

    with pytest.raises(Refused, match="catalog_refused"):
        reapply(shop, edited(lambda d: d["products"][1].update(prices=[])))

    reapply(shop, edited(lambda d: d["products"][1]["prices"][0].update(unit_amount=700)))
    assert not shop.stripe.v1.prices.retrieve(old).active
    assert shop.stripe.v1.products.retrieve("notes_badge").default_price == shop.price("badge")


def test_an_archived_product_cannot_be_bought_and_who_bought_it_keeps_it(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())

    reapply(shop, edited(lambda d: d["products"].pop(0)))

    assert shop.check("ann", "export")["allowed"]
    assert not shop.stripe.v1.products.retrieve("notes_pro").active
    assert shop.rows("SELECT id FROM products WHERE active") == [("notes_badge",)]
    reapply(shop)
    assert shop.stripe.v1.products.retrieve("notes_pro").active
    assert counts(shop) == (2, 3)


def test_holders_of_a_replaced_price_keep_its_own_benefits_and_policy(shop: Shop) -> None:
    own = {"benefits": [{"feature": "badge"}], "grace_days": 3}
    reapply(shop, edited(lambda d: d["products"][0]["prices"][0].update(own)))
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())

    reapply(shop, edited(lambda d: d["products"][0]["prices"][0].update(unit_amount=1100)))

    assert shop.check("ann", "badge")["allowed"]
    shop.buy("bob", "pro_monthly")
    shop.apply(shop.events())
    assert not shop.check("bob", "badge")["allowed"]


def test_an_event_of_a_tiered_price_brings_its_tiers_though_it_lacks_them(shop: Shop) -> None:
    params: Any = {
        "product": "notes_pro",
        "currency": "usd",
        "recurring": {"interval": "month"},
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers": [{"up_to": 5, "unit_amount": 200}, {"up_to": "inf", "unit_amount_decimal": "99.5"}],
    }
    price = shop.stripe.v1.prices.create(params).id
    shop.apply(shop.events())
    shop.stripe.v1.prices.update(price, {"nickname": "By hand"})
    shop.apply(shop.events())

    rows = shop.rows("SELECT tiers_mode, tiers FROM prices WHERE tiers_mode IS NOT NULL")
    assert [(mode, [tier["unit_amount_decimal"] for tier in tiers]) for mode, tiers in rows] == [
        ("graduated", ["200", "99.5"])
    ]


# --- who gains or loses what -----------------------------------------------------------------------------------------


def reached(shop: Shop, planned: planning.Plan, left: Callable[[], float] = lambda: math.inf) -> Impact:
    at = datetime.fromtimestamp(shop.double.control.clock()["now"], UTC)
    return measure(shop.worker.database_url, planned, at, left)


def test_the_plan_counts_whom_it_reaches_as_the_answers_before_and_after_do(shop: Shop) -> None:
    shop.double.control.freeze_clock()
    bought = {"ann": "pro_monthly", "bob": "pro_yearly", "cid": "badge", "dan": "badge", "eve": "pro_monthly"}
    for user, key in bought.items():
        shop.buy(user, key, quantity=len(user))
    shop.customer("nobody")
    shop.apply(shop.events())

    def edit(document: dict[str, Any]) -> None:
        document["products"][0]["benefits"] = [{"feature": "seats", "value": 2, "per_unit": True}, {"feature": "badge"}]
        document["products"][0]["prices"][1]["benefits"] = [{"feature": "export"}]
        document["products"][1]["benefits"] = []

    document = edited(edit)
    impact = reached(shop, plan(shop, document))
    before = everyone(shop)
    reapply(shop, document)
    after = everyone(shop)

    naive: Counter[tuple[str, str]] = Counter()
    for asked, (allowed, value) in before.items():
        if allowed != after[asked][0]:
            naive[asked[1], "loses" if allowed else "gains"] += 1
        elif allowed and value != after[asked][1]:
            naive[asked[1], "changes"] += 1
    counted = {(code, e): n for code, tally in impact.features.items() for e, n in tally.counts.items() if n}
    assert counted == naive
    assert counted == {("badge", "gains"): 3, ("badge", "loses"): 2, ("export", "loses"): 2, ("seats", "changes"): 3}
    assert impact.features["badge"].samples["loses"] == ["cid", "dan"]
    assert (impact.customers, impact.complete) == (6, True)


def everyone(shop: Shop) -> dict[tuple[str, str], tuple[bool, object]]:
    answers = {}
    for (user,), code in itertools.product(shop.rows("SELECT user_id FROM customers"), ("export", "seats", "badge")):
        answer = shop.check(user, code)
        answers[user, code] = (answer["allowed"], answer["value"])
    return answers


def test_more_customers_than_a_slice_are_counted_slice_by_slice(shop: Shop) -> None:
    shop.buy("ann", "badge")
    shop.apply(shop.events())
    many = 2_003
    assert many > 2 * planning.SLICE
    shop.rows(
        "INSERT INTO customers (namespace, user_id, version, changed_at, holdings)"
        " SELECT 'notes', 'user_' || n, 1, now(), (SELECT holdings FROM customers WHERE user_id = 'ann')"
        " FROM generate_series(1, 2003) AS n"
    )
    planned = plan(shop, edited(lambda d: d["products"][1].update(benefits=[])))
    impact = reached(shop, planned)

    assert impact.features["badge"].counts == {"gains": 0, "loses": many + 1, "changes": 0}
    assert len(impact.features["badge"].samples["loses"]) == 10
    times = iter([1.0, 0.0])
    cut_short = reached(shop, planned, lambda: next(times))
    assert (cut_short.customers, cut_short.complete) == (planning.SLICE, False)


def test_the_example_of_the_docs_is_applied_and_sold(empty_shop: Callable[[], Shop]) -> None:
    shop = empty_shop()
    example = read_catalog(yaml.safe_load((Path(__file__).parents[3] / "docs/catalog.example.yaml").read_text()))

    reapply(shop, example)

    assert told(plan(shop, example)) == []
    assert counts(shop) == (3, 5)
    shop.buy("ann", "team_monthly", quantity=30)
    shop.apply(shop.events())
    assert shop.check("ann", "seats")["value"] == 30


# --- any document ----------------------------------------------------------------------------------------------------

PROJECTS = itertools.count()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(documents(), min_size=1, max_size=2))
def test_what_was_applied_needs_nothing_and_is_told_back_as_it_was(shop: Shop, written: list[dict[str, Any]]) -> None:
    project = f"any-{next(PROJECTS)}"
    url = shop.worker.database_url
    create_project(url, project_id=project, name=project, allowed_origins=[])
    for number, document in enumerate(written):
        for price in (price for product in document["products"] for price in product["prices"]):
            price["lookup_key"] = f"{project}_{price['lookup_key']}"
        present = {p["key"] for p in written[number - 1]["products"]} if number else set()
        document["products"] = [p for p in document["products"] if not p["archived"] or p["key"] in present]
        wanted = read_catalog(document)
        apply_catalog(shop.worker.publisher, shop.stripe, project, wanted, shop.worker.now)

        assert plan_catalog(url, shop.stripe, project, wanted).difference.changes == ()
        with transaction(url) as connection:
            back = document_of(state_of(connection, project), project)
            assert snapshot_of(connection, project, "nobody") is not None
        assert plan_catalog(url, shop.stripe, project, back).difference.changes == ()
        again = read_catalog(back.model_dump(mode="json", exclude_defaults=True))
        assert again == back
