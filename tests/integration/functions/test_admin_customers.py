"""All that is known about one user, on one page (SPEC §3): whole, bounded, and found by whatever id they have."""

import json
from typing import Any
from urllib.parse import quote

from billing.store import customers
from billing.store.connection import transaction
from billing.usecases.manage_projects import create_key, create_project
from tests.support.contract import fault_of
from tests.support.gateway import Answer
from tests.support.office import Office
from tests.support.wire import CONTEXT, rest_event

LIST = "/api/v1/admin/customers"
PAGE = LIST + "/{project_id}/{user_id+}"
GRANT = "/api/v1/admin/grant"


def page(office: Office, user_id: str = "ann", project_id: str = "notes", **more: Any) -> Answer:
    """As a REST API sends it: the path still encoded."""
    answer = office.ask("GET " + PAGE, project_id=project_id, user_id=quote(user_id, safe=""), **more)
    assert fault_of(f"GET {LIST}/{{project_id}}/{{user_id}}", answer) is None
    return answer


def known(office: Office, user_id: str) -> None:
    with transaction(office.database_url) as connection:
        customers.ensure(connection, "notes", user_id)


def a_rich_life(office: Office) -> dict[str, str]:
    """Ann subscribes, buys a badge and has it refunded, is granted seats; one checkout stays open. Returns ids."""
    shop = office.shop
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret
    shop.stripe.v1.customers.update(shop.customer("ann"), {"email": "ann.canary@example.com", "name": "Ann Canary"})
    subscription_id = shop.buy("ann", "pro_monthly", quantity=3)
    session_id = shop.buy("ann", "badge")
    intent = str(shop.stripe.v1.checkout.sessions.retrieve(session_id).payment_intent)
    refund = shop.stripe.v1.refunds.create({"payment_intent": intent})
    shop.apply(shop.events())
    grant = {"project_id": "notes", "user_id": "ann", "feature": "seats", "value": 5, "reason": "she asked"}
    granted = office.ask("POST " + GRANT, grant)
    assert granted.status == 201, granted.text
    return {"subscription": subscription_id, "session": session_id, "refund": refund.id, "key": key}


def test_the_page_tells_everything_about_the_user(office: Office) -> None:
    ids = a_rich_life(office)

    told = page(office).body

    assert (told["project_id"], told["user_id"], told["namespace"]) == ("notes", "ann", "notes")
    assert [row["id"] for row in told["stripe_customers"]["data"]] == [office.shop.customer("ann")]
    [subscription] = told["subscriptions"]["data"]
    assert (subscription["id"], subscription["status"]) == (ids["subscription"], "active")
    [item] = subscription["items"]["data"]
    assert (item["product_id"], item["lookup_key"], item["quantity"]) == ("notes_pro", "pro_monthly", 3)
    [purchase] = told["purchases"]["data"]
    assert (purchase["session_id"], purchase["amount"], purchase["currency"]) == (ids["session"], 500, "usd")
    [charge] = told["charges"]["data"]
    assert (charge["session_id"], charge["disputes"]["data"]) == (ids["session"], [])
    assert [(row["id"], row["amount"]) for row in charge["refunds"]["data"]] == [(ids["refund"], 500)]
    [grant] = told["grants"]["data"]
    assert (grant["feature"], grant["value"], grant["valid_to"], grant["actor"]) == (
        "seats",
        5,
        None,
        "ann the operator",
    )
    assert {row["status"] for row in told["events"]["data"]} <= {"applied", "superseded"}
    assert {"invoice.paid", "charge.refunded"} <= {row["type"] for row in told["events"]["data"]}
    [act] = told["audit"]["data"]
    assert (act["action"], act["target"], act["reason"]) == ("grant.create", grant["id"], "she asked")


def test_the_entitlements_are_those_that_the_project_itself_is_answered(office: Office) -> None:
    ids = a_rich_life(office)
    told = page(office).body["entitlements"]
    assert {row["feature"]: row["value"] for row in told["entitlements"]} == {"export": True, "seats": 8}
    for row in told["entitlements"]:
        answer = office.check("ann", row["feature"], ids["key"]).body
        assert (answer["value"], answer["version"]) == (row["value"], told["version"])


def test_an_open_checkout_is_on_the_page(office: Office) -> None:
    known(office, "ann")
    office.shop.rows(
        "INSERT INTO checkout_sessions (id, project_id, customer_id, mode, expires_at)"
        " SELECT 'cs_test_1', 'notes', id, 'payment', '2026-12-01Z' FROM customers RETURNING id"
    )
    [session] = page(office).body["checkout_sessions"]["data"]
    assert (session["id"], session["status"], session["expires_at"]) == ("cs_test_1", "open", "2026-12-01T00:00:00Z")


def test_neither_page_nor_log_has_an_e_mail_address(office: Office) -> None:
    a_rich_life(office)
    assert "anary" not in page(office).text + office.log.getvalue()


def test_a_user_of_a_shared_namespace_is_the_same_one_for_each_project(office: Office) -> None:
    a_rich_life(office)
    create_project(office.database_url, project_id="board", name="Board", allowed_origins=[], namespace="notes")
    told = page(office, project_id="board").body
    assert told["subscriptions"] == page(office).body["subscriptions"]
    assert (told["entitlements"]["project_id"], told["entitlements"]["entitlements"]) == ("board", [])


def test_every_list_is_cut_and_says_so(office: Office) -> None:
    known(office, "ann")
    rows = office.shop.rows
    rows(
        "INSERT INTO stripe_customers (id, customer_id, deleted_at)"
        " SELECT 'cus_' || n, id, now() FROM customers, generate_series(1, 51) AS n RETURNING id"
    )
    rows(
        "INSERT INTO inbox (event_id, type, status, body, customer_ids)"
        " SELECT 'evt_' || n, 'x', 'applied', '', ARRAY[id] FROM customers, generate_series(1, 20) AS n"
        " RETURNING event_id"
    )
    told = page(office).body
    assert (len(told["stripe_customers"]["data"]), told["stripe_customers"]["has_more"]) == (50, True)
    assert (len(told["events"]["data"]), told["events"]["has_more"]) == (20, False)


def test_an_unknown_user_and_an_unknown_project_are_404(office: Office) -> None:
    known(office, "ann")
    assert (page(office, "ben").status, page(office, "ben").code) == (404, "customer_not_found")
    assert page(office, project_id="board").code == "project_not_found"
    assert page(office, "a\0b").code == "not_found"
    assert office.ask("GET " + LIST, query={"project_id": "board"}).code == "project_not_found"


STRANGE = ("a/b", "a b", "100%", "a%2Fb", "ü/ñ?#&=+", "../admin", "ann@example.com", "日本", "x" * 255)


def test_a_user_is_found_by_whatever_characters_the_id_has(office: Office) -> None:
    for user_id in STRANGE:
        known(office, user_id)
    for user_id in STRANGE:
        answer = page(office, user_id)
        assert (answer.status, answer.body.get("user_id")) == (200, user_id)


def test_an_http_api_has_decoded_the_path_before(office: Office) -> None:
    headers = {"Authorization": f"Bearer {office.key}"}
    for user_id in STRANGE:
        known(office, user_id)
        event = rest_event("GET", PAGE, headers=headers, path={"project_id": "notes", "user_id": user_id})
        answer = office.handle({**event, "version": "1.0"}, CONTEXT)
        assert json.loads(answer["body"])["user_id"] == user_id


def test_users_are_listed_in_pages_each_once(office: Office) -> None:
    users = sorted(f"user-{number:02}" for number in range(7))
    for user_id in users[::-1]:
        known(office, user_id)
    stripe_id = office.shop.customer("user-03")
    seen: list[dict[str, Any]] = []
    query = {"project_id": "notes", "limit": "3"}
    while True:
        body = office.ask("GET " + LIST, query=query).body
        seen += body["data"]
        if not body["has_more"]:
            break
        query["cursor"] = body["next_cursor"]
    assert [row["user_id"] for row in seen] == users
    assert [row["stripe_customer"] for row in seen if row["stripe_customer"]] == [stripe_id]


def test_a_projects_key_sees_neither_list_nor_page(office: Office) -> None:
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret
    assert page(office, key=key).code == "wrong_role"
    assert office.ask("GET " + LIST, query={"project_id": "notes"}, key=key).code == "wrong_role"
