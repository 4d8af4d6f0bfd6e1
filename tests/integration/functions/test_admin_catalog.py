"""Catalog as code, imports and lists through the operators' function; what a project sees of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from billing.runtime.log import Log
from billing.store.connection import transaction
from billing.usecases.manage_projects import create_key, create_project
from functions.checkout.handler import Counter
from functions.checkout.handler import front as checkout
from tests.support.gateway import Answer, ask
from tests.support.office import Office
from tests.support.shop import CATALOG

CATALOG_ROUTE = "/api/v1/admin/catalog"
IMPORT = CATALOG_ROUTE + "/import"
NOTES = {"project_id": "notes"}


def document(**members: Any) -> dict[str, Any]:
    """The catalog that is applied already, with these members of the first product."""
    whole = CATALOG.model_dump(mode="json", exclude_defaults=True)
    whole["products"][0] |= members
    return json.loads(json.dumps(whole))  # type: ignore[no-any-return]


def put(office: Office, body: object, *, idempotency: str | None = None, headers: Any = None, **query: str) -> Answer:
    sent = {**NOTES, **query}
    return office.ask("PUT " + CATALOG_ROUTE, body, query=sent, idempotency=idempotency, headers=headers)


def acts(office: Office) -> list[tuple[Any, ...]]:
    with transaction(office.database_url) as connection:
        return connection.execute(
            "SELECT actor, action, after FROM audit WHERE chain = 'notes' AND actor <> 'billing' ORDER BY seq"
        ).fetchall()


# --- plan and apply --------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_the_changes_and_whom_they_reach_and_changes_nothing(office: Office) -> None:
    office.shop.buy("ann", "pro_monthly")
    office.shop.apply(office.shop.events())
    wanted = document(name="Professional", benefits=[{"feature": "export"}])

    answer = put(office, wanted, dry_run="true")

    assert answer.status == 200
    assert answer.body["applied"] is False
    assert answer.body["changes"] == [
        {
            "kind": "update",
            "object": "product",
            "id": "notes_pro",
            "key": "notes_pro",
            "from": {"name": "Pro"},
            "to": {"name": "Professional"},
        },
        {
            "kind": "remove",
            "object": "benefit",
            "id": None,
            "key": "notes_pro/seats",
            "from": {"value": 1, "per_unit": True, "priority": 0},
            "to": None,
        },
    ]
    assert answer.body["impact"] == {
        "customers": 1,
        "complete": True,
        "features": [
            {
                "feature": "seats",
                "gains": 0,
                "loses": 1,
                "changes": 0,
                "samples": {"gains": [], "loses": ["ann"], "changes": []},
            }
        ],
    }
    assert put(office, wanted, dry_run="true").body == answer.body
    assert acts(office) == []


def test_a_plan_is_applied_is_in_the_audit_and_holds_at_the_next_check(office: Office) -> None:
    office.shop.buy("ann", "pro_monthly")
    office.shop.apply(office.shop.events())
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret
    assert not office.check("ann", "badge", key).body["allowed"]
    wanted = document(benefits=[{"feature": "badge"}])
    plan = put(office, wanted, dry_run="true").body

    applied = put(office, wanted, plan_id=plan["plan_id"])

    assert applied.status == 200
    assert applied.body == {**plan, "applied": True}
    assert office.check("ann", "badge", key).body["allowed"]
    [(actor, action, after)] = acts(office)
    assert (actor, action, after["plan_id"]) == ("ann the operator", "catalog.apply", plan["plan_id"])
    assert after["changes"] == ["create benefit notes_pro/badge"] + [
        f"remove benefit notes_pro/{code}" for code in ("export", "seats")
    ]
    assert after["impact"]["badge"] == {"gains": 1, "loses": 0, "changes": 0}


def test_a_plan_of_an_earlier_state_is_not_applied(office: Office) -> None:
    wanted = document(name="Professional")
    plan_id = put(office, wanted, dry_run="true").body["plan_id"]
    put(office, document(benefits=[]))

    assert put(office, wanted, plan_id=plan_id).code == "plan_outdated"
    assert put(office, document(name="Other"), plan_id=plan_id).code == "plan_outdated"
    assert put(office, wanted).body["applied"]


def test_the_catalog_is_read_as_the_document_that_would_make_it(office: Office) -> None:
    read = office.ask("GET " + CATALOG_ROUTE, query=NOTES)

    assert read.status == 200
    assert [product["key"] for product in read.body["products"]] == ["badge", "pro"]
    planned = put(office, read.body, dry_run="true").body
    assert (planned["changes"], planned["unchanged"]) == ([], 11)


def test_an_idempotency_key_repeats_the_first_answer(office: Office) -> None:
    first = put(office, document(name="Professional"), idempotency="one")
    put(office, document(name="Third"))
    again = put(office, document(name="Professional"), idempotency="one")

    assert again.text == first.text
    assert again.headers["idempotent-replayed"] == "true"
    assert put(office, document(), idempotency="one").code == "idempotency_mismatch"
    assert office.shop.stripe.v1.products.retrieve("notes_pro").name == "Third"


def test_a_catalog_that_is_not_done_in_time_goes_on_when_it_is_sent_again(office: Office) -> None:
    hasty = replace(office, handle=lambda event, _: office.handle(event, Hurry()))
    wanted = document(name="Professional", prices=[{**CATALOG.products[0].prices[0].model_dump(), "unit_amount": 1}])

    refused = put(hasty, wanted)
    assert (refused.status, refused.code) == (503, "catalog_unfinished")
    assert refused.body["retryable"]
    while (answer := put(hasty, wanted)).status == 503:
        assert answer.code == "catalog_unfinished"
    assert put(office, wanted, dry_run="true").body["changes"] == []


class Hurry:
    """Each invocation has time for one step more than the one before."""

    aws_request_id = "fn-1"
    function_name = "test"
    memory_limit_in_mb = 512
    invocations = 0

    def __init__(self) -> None:
        Hurry.invocations += 1
        self.asked = 0

    def get_remaining_time_in_millis(self) -> int:
        self.asked += 1
        return 10_000 if self.asked <= 1 + Hurry.invocations else 1_000


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code", "pointer"),
    [
        ({"benefits": [{"feature": "nothing"}]}, "invalid_catalog", "/products/0/benefits/0/feature"),
        ({"prices": 2 * document()["products"][0]["prices"][:1]}, "invalid_catalog", "/products/0/prices/1/lookup_key"),
        ({"key": "badge"}, "invalid_catalog", "/products/1/key"),
        ({"colour": "red"}, "invalid_request", "/products/0/colour"),
        ({"name": ""}, "invalid_request", "/products/0/name"),
        ({"key": None, "id": "prod_unknown"}, "invalid_catalog", "/products/0/id"),
    ],
)
def test_a_bad_catalog_is_refused_whole_and_stripe_hears_nothing_of_it(
    office: Office, members: dict[str, Any], code: str, pointer: str
) -> None:
    before = office.shop.double.control.requests()

    for query in ({}, {"dry_run": "true"}):
        answer = put(office, document(**members), **query)
        assert (answer.status, answer.code, answer.pointers) == (422, code, [pointer])

    new = office.shop.double.control.requests()[len(before) :]
    assert [entry["path"] for entry in new if entry["method"] == "POST"] == []


def test_a_type_that_grants_rest_on_cannot_change(office: Office) -> None:
    granted = {"project_id": "notes", "user_id": "ann", "feature": "badge", "reason": "a friend", "value": True}
    assert office.ask("POST /api/v1/admin/grant", granted).status == 201
    wanted = document()
    wanted["features"][2]["type"] = "limit"
    wanted["products"] = wanted["products"][:1]

    assert put(office, wanted).pointers == ["/features/2/type"]
    del wanted["features"][2]
    assert put(office, wanted).pointers == ["/features"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"project_id": "No!"}, "?project_id"),
        ({"dry_run": "perhaps"}, "?dry_run"),
        ({"plan_id": "x"}, "?plan_id"),
        ({"force": "true"}, "?force"),
    ],
)
def test_a_bad_query_is_pointed_at(office: Office, query: dict[str, str], pointer: str) -> None:
    assert put(office, document(), **query).pointers == [pointer]


def test_a_catalog_for_no_project_is_not_found(office: Office) -> None:
    for query in ({}, {"dry_run": "true"}):
        assert put(office, document(), project_id="nowhere", **query).code == "project_not_found"
    assert office.ask("GET " + CATALOG_ROUTE, query={"project_id": "nowhere"}).code == "project_not_found"


def test_a_projects_key_opens_none_of_it(office: Office) -> None:
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret

    for route, body in (
        ("PUT " + CATALOG_ROUTE, document()),
        ("GET " + CATALOG_ROUTE, None),
        ("POST " + IMPORT, NOTES),
    ):
        assert office.ask(route, body, query=None if body is NOTES else NOTES, key=key).code == "wrong_role"


# --- YAML ------------------------------------------------------------------------------------------------------------

YAML = {"Content-Type": "application/yaml; charset=utf-8"}


def test_yaml_says_the_same_as_json(office: Office) -> None:
    wanted = document(name="Professional")
    plan = put(office, wanted, dry_run="true").body

    assert put(office, yaml.safe_dump(wanted), headers=YAML, dry_run="true").body == plan
    assert put(office, yaml.safe_dump(wanted).encode(), headers=YAML, plan_id=plan["plan_id"]).body["applied"]


@pytest.mark.parametrize(
    "text",
    [
        "features: &all []\nproducts: *all\n",
        "features: []\nfeatures: []\n",
        "features: !!python/object/apply:os.system ['true']\n",
        "features: [\n",
        "features: .nan\n",
        "features: 2026-01-01\n",
        "- features\n",
        "features: []\n---\nfeatures: []\n",
        "? [a, b]\n: c\n",
        "{" * 500,
        "[" * 30_000,
        b"\xff\xfe\xfd",
    ],
)
def test_yaml_that_json_cannot_say_is_refused(office: Office, text: str | bytes) -> None:
    answer = put(office, text, headers=YAML)

    assert (answer.status, answer.code) == (400, "malformed_request")


def test_a_body_of_more_than_a_quarter_of_a_mebibyte_is_refused(office: Office) -> None:
    for headers in (YAML, {}):
        assert put(office, "#" * 262_145, headers=headers).code == "request_too_large"


# --- import ----------------------------------------------------------------------------------------------------------


def legacy(office: Office, product_id: str, **metadata: str) -> list[str]:
    """A product of old, made without this service, with its prices: one monthly, one metered to the eye of nobody."""
    stripe = office.shop.stripe
    stripe.v1.products.create({"id": product_id, "name": "Legacy", "metadata": metadata})
    amounts: list[Any] = [
        {"unit_amount": 700, "recurring": {"interval": "month"}},
        {
            "billing_scheme": "tiered",
            "tiers_mode": "volume",
            "tiers": [{"up_to": "inf", "unit_amount_decimal": "0.5"}],
            "recurring": {"interval": "month", "usage_type": "metered"},
        },
        {"unit_amount": 900, "currency_options": {"usd": {"unit_amount": 1000}}},
    ]
    made = []
    for amount in amounts:
        params: Any = {"product": product_id, "currency": "eur", **amount}
        made.append(stripe.v1.prices.create(params).id)
    return made


def imports(office: Office, **members: Any) -> Answer:
    return office.ask("POST " + IMPORT, {**NOTES, **members})


def test_products_are_imported_by_what_their_metadata_says(office: Office) -> None:
    legacy(office, "prod_legacy", project_id="notes", feature_codes="export, badge")
    legacy(office, "prod_other", project_id="tasks")
    told = {"id": "prod_legacy", "name": "Legacy", "imported": True, "prices": 3, "features": ["export", "badge"]}

    assert imports(office, dry_run=True).body == {"applied": False, "products": [told]}
    assert office.shop.rows("SELECT id FROM products WHERE id = 'prod_legacy'") == []
    assert imports(office).body == {"applied": True, "products": [told]}
    again = {**told, "imported": False, "features": []}
    assert imports(office).body == {"applied": True, "products": [again]}
    assert [(actor, action) for actor, action, _ in acts(office)] == [("ann the operator", "catalog.import")]


def test_events_about_an_imported_product_are_understood(office: Office) -> None:
    prices = legacy(office, "prod_legacy")
    outcomes = office.shop.apply(office.shop.events())
    assert {o.reason.partition(":")[0] for o in outcomes if o.status == "failed" and o.reason} == {"unknown_project"}

    imports(office, product_ids=["prod_legacy"])

    office.shop.stripe.v1.products.update("prod_legacy", {"name": "Known"})
    assert office.shop.apply(office.shop.events())[-1].status in {"applied", "superseded"}
    assert office.shop.rows("SELECT name FROM products WHERE id = 'prod_legacy'") == [("Known",)]
    mirrored = office.shop.rows(
        "SELECT id, tiers IS NOT NULL, currency_options FROM prices WHERE product_id = 'prod_legacy' ORDER BY id"
    )
    option = {"usd": {"unit_amount": 1000, "unit_amount_decimal": "1000", "tiers": None}}
    assert mirrored == sorted(zip(prices, (False, True, False), ({}, {}, option), strict=True))


def test_what_was_imported_is_told_as_a_document_that_changes_nothing_and_can_be_edited(office: Office) -> None:
    prices = legacy(office, "prod_legacy", feature_codes="export")
    imports(office, product_ids=["prod_legacy"])
    whole = office.ask("GET " + CATALOG_ROUTE, query=NOTES).body
    [product] = [product for product in whole["products"] if "id" in product]

    assert {price["id"] for price in product["prices"]} == set(prices)
    assert [price["id"] for price in product["prices"] if "currency" not in price] == [prices[1]]
    assert put(office, whole, dry_run="true").body["changes"] == []
    for number, price in enumerate(product["prices"]):
        price["lookup_key"] = f"legacy_{number}"
    assert {c["kind"] for c in put(office, whole).body["changes"]} == {"update"}
    assert office.shop.stripe.v1.prices.retrieve(product["prices"][0]["id"]).lookup_key == "legacy_0"
    again = office.ask("GET " + CATALOG_ROUTE, query=NOTES).body
    assert put(office, again, dry_run="true").body["changes"] == []


def test_what_cannot_be_imported_is_told_all_at_once_and_nothing_is(office: Office) -> None:
    create_project(office.database_url, project_id="tasks", name="Tasks", allowed_origins=[])
    legacy(office, "prod_mine", feature_codes="seats,unheard")
    legacy(office, "prod_theirs", project_id="tasks")
    office.ask("POST " + IMPORT, {"project_id": "tasks"})

    answer = imports(office, product_ids=["prod_mine", "prod_none", "prod_theirs"])

    assert (answer.status, answer.code) == (422, "invalid_request")
    assert sorted(answer.pointers) == ["/product_ids/0", "/product_ids/0", "/product_ids/1", "/product_ids/2"]
    assert office.shop.rows("SELECT id FROM products WHERE id = 'prod_mine'") == []


# --- reads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noun", "names"),
    [
        ("products", ["notes_badge", "notes_pro"]),
        ("features", ["badge", "export", "seats"]),
        ("benefits", ["export", "seats", "badge"]),
        ("prices", ["badge", "pro_monthly", "pro_yearly"]),
    ],
)
def test_lists_go_page_by_page(office: Office, noun: str, names: list[str]) -> None:
    rows: list[Any] = []
    query = {**NOTES, "limit": "1"}
    while True:
        page = office.ask(f"GET /api/v1/admin/{noun}", query=query).body
        rows += page["data"]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]

    name = {"products": "id", "features": "code", "benefits": "feature", "prices": "lookup_key"}[noun]
    found = [row[name] for row in rows]
    assert (sorted(found) if noun == "prices" else found) == names
    unknown = office.ask(f"GET /api/v1/admin/{noun}", query={"project_id": "nowhere"})
    assert (unknown.status, unknown.code) == (404, "project_not_found")


def test_a_project_sees_what_it_sells_now(office: Office) -> None:
    shop, log = office.shop, Log("checkout", stream=io.StringIO())
    front = checkout(Counter(shop.worker.publisher, lambda: shop.stripe, shop.worker.livemode, shop.worker.now), log)
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret
    put(office, document(prices=[document()["products"][0]["prices"][1]]))

    answer = ask(front, "GET /api/v1/catalog", key=key)

    assert answer.status == 200
    pro = next(product for product in answer.body["products"] if product["id"] == "notes_pro")
    assert [(price["lookup_key"], price["unit_amount"], price["interval"]) for price in pro["prices"]] == [
        ("pro_yearly", 9000, "year")
    ]
    assert pro["benefits"] == [
        {"feature": "export", "value": True, "per_unit": False},
        {"feature": "seats", "value": 1, "per_unit": True},
    ]
    assert ask(front, "GET /api/v1/catalog", key=office.key).code == "wrong_role"


def test_a_checkout_gives_the_prices_own_trial_unless_it_says(office: Office) -> None:
    shop, log = office.shop, Log("checkout", stream=io.StringIO())
    front = checkout(Counter(shop.worker.publisher, lambda: shop.stripe, shop.worker.livemode, shop.worker.now), log)
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret
    monthly = document()["products"][0]["prices"][0]
    put(office, document(prices=[{**monthly, "trial_days": 14}, {**monthly, "lookup_key": "plain"}]))

    def trial(**body: Any) -> int | None:
        urls = {"success_url": "https://notes.example/", "cancel_url": "https://notes.example/"}
        asked = {"user_id": "ann", "allow_multiple": True, **urls, **body}
        opened = ask(front, "POST /api/v1/checkout", asked, key=key)
        assert opened.status == 201, opened.text
        shop.double.control.pay_checkout(opened.body["session_id"])
        subscription = shop.stripe.v1.checkout.sessions.retrieve(opened.body["session_id"]).subscription
        found = shop.stripe.v1.subscriptions.retrieve(str(subscription))
        return None if found.trial_end is None else round((found.trial_end - found.start_date) / 86_400)

    assert trial(lookup_key="pro_monthly") == 14
    assert trial(lookup_key="pro_monthly", trial_days=3) == 3
    assert trial(lookup_key="pro_monthly", trial_days=0) is None
    assert trial(lookup_key="plain") is None
    assert trial(line_items=[{"lookup_key": "pro_monthly"}, {"lookup_key": "plain"}]) is None
