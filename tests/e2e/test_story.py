"""Selling and checking over HTTP, through real handlers, signatures, SQL and queue."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from billing.payments.client import connect
from infra.local.browser import open_page, press
from infra.local.console import Terminal
from infra.local.double import control
from infra.local.kept import Stack
from infra.local.seed import APP_URL
from infra.local.story import App, play, until

Json = dict[str, Any]


def order(user_id: str, **changes: object) -> Json:
    urls = {"success_url": f"{APP_URL}/thanks?session={{CHECKOUT_SESSION_ID}}", "cancel_url": f"{APP_URL}/pricing"}
    return {"user_id": user_id, "lookup_key": "pro_monthly", **urls, **changes}


@pytest.fixture
def user_id() -> str:
    return f"user-{uuid.uuid4().hex[:10]}"


def allowed(app: App, user_id: str, feature: str = "export") -> bool:
    return bool(app.check(user_id, feature)["allowed"])


def stripe_customers(app: App, user_id: str) -> set[str]:
    """What the double holds, asked by Stripe's own SDK."""
    client = connect("sk_test_of_this_test", app.stack.stripe_url)
    customers = client.v1.customers.list({"limit": 100}).auto_paging_iter()
    return {
        customer.id for customer in customers if customer.metadata and user_id in customer.metadata.to_dict().values()
    }


def test_the_whole_story_denied_bought_allowed_cancelled_denied(stack: Stack) -> None:
    told = play(stack, Terminal())
    assert told.paid_to_allowed_ms > 0


def test_a_declined_card_gives_nothing_and_the_page_stays(app: App, user_id: str) -> None:
    page = press(open_page(app.must("POST", "/api/v1/checkout", order(user_id))["url"]), "declined card")
    assert page.status == 402
    assert page.forms
    assert not allowed(app, user_id)


def test_a_lifetime_purchase_is_held_without_end(app: App, user_id: str) -> None:
    press(open_page(app.must("POST", "/api/v1/checkout", order(user_id, lookup_key="lifetime"))["url"]), "Pay")
    answer, _ = until(lambda: app.check(user_id, "notes"), lambda found: bool(found["allowed"]))
    assert (answer["value"], answer["valid_to"]) == (10_000, None)


def test_seats_follow_the_quantity_bought(app: App, user_id: str) -> None:
    press(open_page(app.must("POST", "/api/v1/checkout", order(user_id, quantity=30))["url"]), "Pay")
    answer, _ = until(lambda: app.check(user_id, "seats"), lambda found: bool(found["allowed"]))
    assert answer["value"] == 30


def test_the_success_page_syncs_while_the_webhook_is_held_up(app: App, user_id: str) -> None:
    control(app.stack.stripe_url, "delivery/hold")
    try:
        checkout = app.must("POST", "/api/v1/checkout", order(user_id))
        press(open_page(checkout["url"]), "Pay")
        assert not allowed(app, user_id)
        app.must("POST", f"/api/v1/checkout/{checkout['session_id']}/sync")
        assert allowed(app, user_id)
    finally:
        control(app.stack.stripe_url, "delivery/release")
    assert allowed(app, user_id)


def test_fifty_parallel_first_checkouts_make_one_customer(app: App, user_id: str) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: app.call("POST", "/api/v1/checkout", order(user_id)), range(50)))
    assert {status for status, _ in answers} == {201}
    assert len({body["session_id"] for _, body in answers}) == 50

    with psycopg.connect(app.stack.database_url) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM customers WHERE namespace = %s AND user_id = %s", [app.stack.project_id, user_id]
        ).fetchall()
    assert rows == [(1,)]
    assert len(stripe_customers(app, user_id)) == 1


def test_stripe_down_is_503_and_the_retry_makes_the_one_customer(app: App, user_id: str) -> None:
    fault = {"match": "POST /v1/customers", "action": "500", "times": None, "apply": "after"}
    control(app.stack.stripe_url, "faults", fault)
    try:
        status, problem = app.call("POST", "/api/v1/checkout", order(user_id))
        assert (status, problem["retryable"]) == (503, True)
    finally:
        control(app.stack.stripe_url, "faults/clear")
    before = stripe_customers(app, user_id)
    app.must("POST", "/api/v1/checkout", order(user_id))
    assert len(before | stripe_customers(app, user_id)) == 1


def test_events_delivered_three_times_and_shuffled_give_the_subscription_once(app: App, user_id: str) -> None:
    stripe_url = app.stack.stripe_url
    control(stripe_url, "delivery", {"mode": "duplicate", "copies": 2})
    control(stripe_url, "delivery/hold")
    try:
        press(open_page(app.must("POST", "/api/v1/checkout", order(user_id))["url"]), "Pay")
    finally:
        control(stripe_url, "delivery/release", {"seed": 7})
        control(stripe_url, "delivery/wait")
        control(stripe_url, "delivery/normal")
    until(lambda: app.check(user_id), lambda found: bool(found["allowed"]))
    snapshot = app.must("GET", f"/api/v1/entitlements?user_id={user_id}")
    assert {len(entry["sources"]) for entry in snapshot["entitlements"]} == {1}
    assert {entry["feature"] for entry in snapshot["entitlements"]} == {"export", "notes", "seats", "theme"}
