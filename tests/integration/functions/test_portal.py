"""POST /api/v1/portal through literal gateway events, a real PostgreSQL and the Stripe double (FAILURES D)."""

import io
import json
from dataclasses import dataclass
from typing import Any

import pytest

from billing.runtime.entrypoint import Handle
from billing.runtime.log import Log
from billing.runtime.settings import BadSettings
from billing.usecases.ensure_customer import ensure_customer
from billing.usecases.manage_projects import create_key, create_project
from functions.portal import operations
from functions.portal.handler import Desk, build, front
from tests.support.gateway import Answer, post
from tests.support.shop import Shop

OPEN = operations.OPEN.route
BACK = "https://notes.example/account"


@dataclass(frozen=True)
class Door:
    """The function under test, a key of project `notes`, and its log."""

    shop: Shop
    handle: Handle
    key: str
    log: io.StringIO

    def open(
        self, user_id: str = "ann", *, key: str | None = None, idempotency: str | None = None, **body: Any
    ) -> Answer:
        headers = {} if idempotency is None else {"Idempotency-Key": idempotency}
        wanted = {"user_id": user_id, "return_url": BACK, **body}
        return post(self.handle, OPEN, wanted, key=self.key if key is None else key, headers=headers)

    def key_of(self, project_id: str, namespace: str | None = None) -> str:
        url = self.shop.worker.database_url
        origins = ["https://notes.example"]
        create_project(url, project_id=project_id, name="X", allowed_origins=origins, namespace=namespace)
        return create_key(url, project_id=project_id, name="test", mode="test").secret


@pytest.fixture
def door(shop: Shop) -> Door:
    log = io.StringIO()
    desk = Desk(shop.worker.database_url, lambda: shop.stripe, shop.worker.now)
    key = create_key(shop.worker.database_url, project_id="notes", name="test", mode="test").secret
    return Door(shop, front(desk, Log("portal", stream=log)), key, log)


def test_a_customers_portal_is_opened(door: Door) -> None:
    door.shop.customer("ann")
    answer = door.open()
    assert answer.status == 201
    assert set(answer.body) == {"url"}
    assert answer.body["url"].startswith(f"{door.shop.double.url}/p/session/")


def test_the_keys_own_project_may_be_named(door: Door) -> None:
    door.shop.customer("ann")
    assert door.open(project_id="notes").status == 201


@pytest.mark.parametrize("project_id", ["other", "no-such-project", "NOTES", ""])
def test_any_other_project_is_403_whether_it_exists_or_not(door: Door, project_id: str) -> None:
    door.key_of("other")
    answer = door.open(project_id=project_id)
    assert (answer.status, answer.code) == (403, "wrong_project")


def test_an_unknown_user_and_one_of_another_namespace_look_alike(door: Door) -> None:
    ensure_customer(door.shop.worker.database_url, door.shop.stripe, "elsewhere", "bob")
    unknown, foreign = door.open("nobody"), door.open("bob")
    assert (unknown.status, unknown.code) == (404, "customer_not_found")
    assert foreign.text == unknown.text


def test_a_user_who_never_got_to_stripe_is_unknown(door: Door) -> None:
    door.shop.rows("INSERT INTO customers (namespace, user_id) VALUES ('notes', 'ann') RETURNING id")
    assert door.open().code == "customer_not_found"


def test_projects_of_one_namespace_share_the_portal(door: Door) -> None:
    door.shop.customer("ann")
    assert door.open(key=door.key_of("tasks", namespace="notes")).status == 201
    assert door.open(key=door.key_of("tasks-alone")).status == 404


@pytest.mark.parametrize("url", ["https://evil.example/", "https://notes.example@evil.example/", "javascript:alert(1)"])
def test_a_way_back_outside_the_allowed_origins_is_422(door: Door, url: str) -> None:
    door.shop.customer("ann")
    answer = door.open(return_url=url)
    assert (answer.status, answer.code, answer.pointers) == (422, "url_not_allowed", ["/return_url"])


def test_a_plan_and_seats_changed_on_the_portal_are_held_as_of_its_events(door: Door) -> None:
    shop, control = door.shop, door.shop.double.control
    subscription = shop.buy("ann", "pro_monthly", quantity=2)
    shop.apply(shop.events())
    portal = door.open().body["url"].rpartition("/")[2]

    control.act_in_portal(portal, "change_plan", subscription, price=shop.price("pro_yearly"))
    control.act_in_portal(portal, "change_quantity", subscription, quantity=5)
    assert shop.check("ann", "seats")["value"] == 2
    shop.apply(shop.events())

    assert shop.check("ann", "seats")["value"] == 5
    assert shop.rows("SELECT r.lookup_key FROM subscription_items i JOIN prices r ON r.id = i.price_id") == [
        ("pro_yearly",)
    ]


def test_a_customer_deleted_in_stripe_is_409_also_before_its_event(door: Door) -> None:
    door.shop.stripe.v1.customers.delete(door.shop.customer("ann"))
    assert (door.open().status, door.open().code) == (409, "customer_deleted")
    door.shop.apply(door.shop.events())
    assert door.open().code == "customer_deleted"


def test_a_new_checkout_mends_a_deleted_customer(door: Door) -> None:
    door.shop.stripe.v1.customers.delete(door.shop.customer("ann"))
    assert door.open().code == "customer_deleted"
    door.shop.customer("ann")
    assert door.open().status == 201


def test_a_portal_that_was_never_configured_is_503_and_not_retryable(door: Door) -> None:
    door.shop.customer("ann")
    door.shop.double.control.set_portal_missing(missing=True)
    answer = door.open(idempotency="k")
    assert (answer.status, answer.code, answer.body["retryable"]) == (503, "portal_not_configured", False)

    door.shop.double.control.set_portal_missing(missing=False)
    assert door.open(idempotency="k").status == 201


def test_stripe_down_is_503_retryable_and_gives_the_key_back(door: Door) -> None:
    door.shop.customer("ann")
    door.shop.double.control.add_fault("reset", match="billing_portal", times=3)
    answer = door.open(idempotency="k")
    assert (answer.status, answer.code, answer.body["retryable"]) == (503, "stripe_unavailable", True)
    assert door.open(idempotency="k").status == 201


def test_the_same_request_again_gets_the_same_answer(door: Door) -> None:
    door.shop.customer("ann")
    first, second = door.open(idempotency="k"), door.open(idempotency="k")
    assert (second.text, second.headers["idempotent-replayed"]) == (first.text, "true")
    assert door.open(idempotency="k", return_url="https://notes.example/").code == "idempotency_mismatch"
    assert door.open().text != first.text


def test_faults_in_the_body_are_told_with_their_pointers(door: Door) -> None:
    assert door.open("", extra=1).pointers == ["/user_id", "/extra"]
    assert post(door.handle, OPEN, "[]", key=door.key).code == "malformed_request"
    assert post(door.handle, OPEN, {}).code == "invalid_api_key"


def test_each_request_is_one_line_without_urls_or_user_ids(door: Door) -> None:
    door.shop.customer("user-in-the-log")
    answer = door.open("user-in-the-log")
    (line,) = door.log.getvalue().splitlines()
    assert json.loads(line)["status"] == 201
    for secret in (door.key, "user-in-the-log", answer.body["url"], "notes.example"):
        assert secret not in line


def test_a_cold_start_names_every_missing_setting() -> None:
    with pytest.raises(BadSettings, match=r"DATABASE_URL.*STRIPE_API_KEY_SECRET_ID"):
        build({})
