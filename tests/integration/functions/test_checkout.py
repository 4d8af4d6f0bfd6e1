"""POST /api/v1/checkout and its sync, through literal gateway events, a real PostgreSQL and the Stripe double."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from billing.runtime.aws import SECRETS_MANAGER, AwsClient
from billing.runtime.entrypoint import Handle
from billing.runtime.log import Log
from billing.runtime.settings import BadSettings
from billing.store import keys as stored_keys
from billing.store.connection import transaction
from billing.usecases.manage_projects import create_key, create_project
from functions.checkout import operations
from functions.checkout.handler import Counter, build, front
from tests.integration.conftest import CREDENTIALS
from tests.support.gateway import Answer, post
from tests.support.shop import Shop

OPEN, SYNC = operations.OPEN.route, operations.SYNC.route
DONE, BACK = "https://notes.example/done?id={CHECKOUT_SESSION_ID}", "https://notes.example/"
ROUTES = {"success_url": DONE, "cancel_url": BACK}


@dataclass(frozen=True)
class Till:
    """The function under test, a key of project `notes`, and its log."""

    shop: Shop
    handle: Handle
    key: str
    log: io.StringIO

    def open(self, *, key: str | None = None, headers: dict[str, str] | None = None, **body: Any) -> Answer:
        wanted = {"user_id": "ann", **ROUTES, **({} if body.keys() & NAMES else {"lookup_key": "pro_monthly"}), **body}
        sent = {name: value for name, value in wanted.items() if value is not ...}
        return post(self.handle, OPEN, sent, key=self.key if key is None else key, headers=headers)

    def sync(self, session_id: str, *, key: str | None = None) -> Answer:
        return post(self.handle, SYNC, key=self.key if key is None else key, path={"session_id": session_id})

    def session(self, answer: Answer) -> Any:
        return self.shop.stripe.v1.checkout.sessions.retrieve(answer.body["session_id"], {"expand": ["line_items"]})


NAMES = {"price", "lookup_key", "line_items"}


@pytest.fixture
def till(shop: Shop) -> Till:
    log = io.StringIO()
    counter = Counter(shop.worker.publisher, lambda: shop.stripe, shop.worker.livemode, shop.worker.now)
    return Till(shop, front(counter, Log("checkout", stream=log)), key_of(shop), log)


def key_of(shop: Shop, project_id: str | None = "notes", **more: Any) -> str:
    url = shop.worker.database_url
    if project_id is not None:
        create_project(url, project_id=project_id, name="X", allowed_origins=["https://notes.example"])
    return create_key(url, project_id=project_id, name="test", mode="test", **more).secret


# --- opening -------------------------------------------------------------------------------------------------------


def test_a_checkout_is_opened(till: Till) -> None:
    answer = till.open(quantity=3)

    assert answer.status == 201
    assert set(answer.body) == {"session_id", "url", "expires_at"}
    assert answer.body["url"].startswith(till.shop.double.url)
    session = till.session(answer)
    assert (session.mode, session.status, session.client_reference_id) == ("subscription", "open", "ann")
    assert (session.success_url, session.cancel_url) == (DONE, BACK)
    assert [(line.price.id, line.quantity) for line in session.line_items.data] == [(till.shop.price("pro_monthly"), 3)]


def test_the_mode_follows_the_prices_type(till: Till) -> None:
    assert till.session(till.open(lookup_key="badge")).mode == "payment"
    assert till.session(till.open(price=till.shop.price("pro_yearly"))).mode == "subscription"


def test_several_lines_are_sold_together(till: Till) -> None:
    lines = [{"lookup_key": "pro_monthly", "quantity": 2}, {"price": till.shop.price("pro_yearly")}]
    session = till.session(till.open(line_items=lines))
    assert [line.quantity for line in session.line_items.data] == [2, 1]


def test_a_trial_and_promotion_codes_are_passed_on(till: Till) -> None:
    session_id = till.open(trial_days=14, allow_promotion_codes=True).body["session_id"]
    assert till.shop.stripe.v1.checkout.sessions.retrieve(session_id).allow_promotion_codes
    till.shop.double.control.pay_checkout(session_id)
    assert till.sync(session_id).body["status"] == "complete"
    assert till.shop.rows("SELECT status FROM subscriptions") == [("trialing",)]


def test_an_email_is_set_at_stripe_and_kept_nowhere_else(till: Till) -> None:
    assert till.open(email="ann@example.com").status == 201
    assert till.shop.stripe.v1.customers.list().data[0].email == "ann@example.com"
    assert "ann@example.com" not in till.log.getvalue()


def test_a_long_user_id_is_sold_to_as_well(till: Till) -> None:
    assert till.open(user_id="ü" * 255).status == 201


# --- who asks ------------------------------------------------------------------------------------------------------


def test_a_missing_or_wrong_key_is_401(till: Till) -> None:
    stranger = key_of(till.shop, "stranger")
    for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer bk_test_x"}):
        assert post(till.handle, OPEN, {}, headers=headers).status == 401
    tampered = stranger[:-9] + ("a" if stranger[-9] != "a" else "b") + stranger[-8:]
    assert till.open(key=tampered).code == "invalid_api_key"
    assert till.shop.double.control.requests()[-1]["path"] != "/v1/checkout/sessions"


def test_an_expired_key_is_401_from_its_very_instant(till: Till) -> None:
    now = till.shop.worker.now()
    assert till.open(key=key_of(till.shop, expires_at=now + timedelta(hours=1))).status == 201
    assert till.open(key=key_of(till.shop, expires_at=now)).code == "invalid_api_key"


def test_a_revoked_key_is_401_at_once(till: Till) -> None:
    with transaction(till.shop.worker.database_url) as connection:
        for key in stored_keys.keys_of_project(connection, "notes"):
            stored_keys.revoke_key(connection, key.id, till.shop.worker.now())
    assert till.open().code == "invalid_api_key"


def test_an_admin_key_and_a_suspended_project_are_403(till: Till) -> None:
    assert till.open(key=key_of(till.shop, None)).code == "wrong_role"
    till.shop.rows("UPDATE projects SET status = 'suspended' RETURNING id")
    assert (till.open().status, till.open().code) == (403, "project_suspended")


# --- what is wrong with a request ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "{", "nonsense", "[]", "null", "1", b"\xff\xfe", "[" * 5000, '{"user_id": NaN}'])
def test_what_is_no_json_object_is_400(till: Till, body: str | bytes) -> None:
    answer = post(till.handle, OPEN, body, key=till.key)
    assert (answer.status, answer.code) == (400, "malformed_request")


def test_too_large_a_body_is_413(till: Till) -> None:
    assert till.open(user_id="x" * 70_000).status == 413


def test_a_base64_body_is_read(till: Till) -> None:
    body = json.dumps({"user_id": "ann", "lookup_key": "pro_monthly", **ROUTES}).encode()
    assert post(till.handle, OPEN, body, key=till.key).status == 201


def test_every_fault_is_told_with_its_pointer(till: Till) -> None:
    answer = till.open(user_id="", quantity=0, metadata={})
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert set(answer.pointers) == {"/user_id", "/quantity", "/metadata"}


def test_urls_outside_the_allowed_origins_are_422(till: Till) -> None:
    answer = till.open(
        success_url="https://notes.example.evil.example/", cancel_url="https://notes.example@evil.example"
    )
    assert (answer.status, answer.code) == (422, "url_not_allowed")
    assert answer.pointers == ["/success_url", "/cancel_url"]


def test_unknown_archived_and_other_projects_prices_look_alike(till: Till) -> None:
    archived = till.shop.price("pro_yearly")
    till.shop.stripe.v1.prices.update(archived, {"active": False})
    till.shop.apply(till.shop.events())
    stranger = key_of(till.shop, "stranger")

    answers = [
        till.open(price="price_unknown"),
        till.open(price=archived),
        till.open(price=till.shop.price("pro_monthly"), key=stranger),
        till.open(lookup_key="pro_monthly", key=stranger),
        till.open(lookup_key="nothing"),
    ]

    assert {(answer.status, answer.code) for answer in answers} == {(422, "price_not_found")}
    assert [answer.pointers for answer in answers] == [["/price"]] * 3 + [["/lookup_key"]] * 2
    assert len({answer.body["detail"] for answer in answers}) == 1


def test_each_bad_line_is_pointed_at(till: Till) -> None:
    lines = [{"lookup_key": "pro_monthly"}, {"lookup_key": "nothing"}, {"price": "price_unknown"}]
    assert till.open(line_items=lines).pointers == ["/line_items/1/lookup_key", "/line_items/2/price"]


def test_recurring_and_one_time_prices_are_not_mixed(till: Till) -> None:
    answer = till.open(line_items=[{"lookup_key": "pro_monthly"}, {"lookup_key": "badge"}])
    assert (answer.status, answer.code, answer.pointers) == (422, "mixed_prices", ["/line_items"])


def test_currencies_are_not_mixed(till: Till) -> None:
    till.shop.rows("UPDATE prices SET currency = 'eur' WHERE lookup_key = 'pro_yearly' RETURNING id")
    answer = till.open(line_items=[{"lookup_key": "pro_monthly"}, {"lookup_key": "pro_yearly"}])
    assert (answer.status, answer.code, answer.pointers) == (422, "mixed_prices", ["/line_items"])


def test_a_one_time_price_has_no_trial(till: Till) -> None:
    assert till.open(lookup_key="badge", trial_days=7).pointers == ["/trial_days"]


def test_an_unknown_promotion_code_is_422(till: Till) -> None:
    answer = till.open(promotion_code="promo_unknown")
    assert (answer.status, answer.code, answer.pointers) == (422, "promotion_code_not_found", ["/promotion_code"])


def test_an_unknown_route_is_404_and_another_method_405(till: Till) -> None:
    assert post(till.handle, "POST /api/v1/elsewhere", {}, key=till.key).code == "not_found"
    assert post(till.handle, OPEN.replace("POST", "GET"), key=till.key).code == "method_not_allowed"


# --- a subscription that lives -------------------------------------------------------------------------------------


def test_a_second_subscription_to_the_product_is_409_with_the_way_to_the_portal(till: Till) -> None:
    till.shop.buy("ann", "pro_monthly")
    till.shop.apply(till.shop.events())

    answer = till.open(lookup_key="pro_yearly")

    assert (answer.status, answer.code) == (409, "already_subscribed")
    assert answer.body["portal"] == "/api/v1/portal"
    assert till.open(lookup_key="pro_yearly", allow_multiple=True).status == 201
    assert till.open(lookup_key="badge").status == 201
    assert till.open(user_id="bob").status == 201


def test_an_ended_subscription_is_no_obstacle(till: Till) -> None:
    subscription = till.shop.buy("ann", "pro_monthly")
    till.shop.stripe.v1.subscriptions.cancel(subscription)
    till.shop.apply(till.shop.events())
    assert till.open().status == 201


# --- sent again ----------------------------------------------------------------------------------------------------


def test_the_same_request_again_gets_the_same_answer(till: Till) -> None:
    key = {"Idempotency-Key": "order-1"}
    first, second = till.open(headers=key), till.open(headers=key)
    assert (first.status, second.status, first.text == second.text) == (201, 201, True)
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert len(till.shop.stripe.v1.checkout.sessions.list().data) == 1


def test_the_same_members_in_another_order_are_the_same_request(till: Till) -> None:
    body = {"user_id": "ann", "lookup_key": "badge", **ROUTES}
    turned = json.dumps(dict(reversed(body.items())), indent=2)
    headers = {"Idempotency-Key": "order-1"}
    first = post(till.handle, OPEN, body, key=till.key, headers=headers)
    assert post(till.handle, OPEN, turned, key=till.key, headers=headers).text == first.text


def test_another_request_under_the_key_is_422(till: Till) -> None:
    till.open(headers={"Idempotency-Key": "order-1"})
    answer = till.open(headers={"Idempotency-Key": "order-1"}, quantity=2)
    assert (answer.status, answer.code) == (422, "idempotency_mismatch")


def test_without_a_key_each_request_opens_a_session(till: Till) -> None:
    assert till.open().body["session_id"] != till.open().body["session_id"]


def test_a_refused_request_may_be_mended_under_its_key(till: Till) -> None:
    key = {"Idempotency-Key": "order-1"}
    assert till.open(headers=key, lookup_key="nothing").status == 422
    assert till.open(headers=key).status == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "ü"])
def test_what_is_no_idempotency_key_is_400(till: Till, key: str) -> None:
    assert till.open(headers={"Idempotency-Key": key}).code == "malformed_request"


def test_two_idempotency_keys_are_400(till: Till) -> None:
    body = {"user_id": "ann", "lookup_key": "badge", **ROUTES}
    answer = post(till.handle, OPEN, body, key=till.key, headers={"Idempotency-Key": ["a", "b"]})
    assert answer.code == "malformed_request"


def test_stripe_down_is_503_and_the_retry_makes_one_customer(till: Till) -> None:
    till.shop.double.control.add_fault("503", times=3)
    answer = till.open(headers={"Idempotency-Key": "order-1"})
    assert (answer.status, answer.code, answer.body["retryable"]) == (503, "stripe_unavailable", True)

    assert till.open(headers={"Idempotency-Key": "order-1"}).status == 201
    assert len(till.shop.stripe.v1.customers.list().data) == 1


# --- sync ----------------------------------------------------------------------------------------------------------


def test_sync_gives_access_without_waiting_for_the_webhook(till: Till) -> None:
    session_id = till.open(quantity=4).body["session_id"]
    till.shop.double.control.pay_checkout(session_id)

    answer = till.sync(session_id)

    assert answer.status == 200
    version = till.shop.check("ann", "seats")["version"]
    assert answer.body == {
        "session_id": session_id,
        "status": "complete",
        "payment_status": "paid",
        "entitlements_version": version,
    }
    assert till.shop.check("ann", "seats")["value"] == 4
    assert till.shop.rows("SELECT status FROM checkout_sessions") == [("complete",)]


@pytest.mark.parametrize("lookup_key", ["pro_monthly", "badge"])
@pytest.mark.parametrize("sync_first", [True, False])
def test_sync_and_webhook_have_one_effect_whichever_is_first(till: Till, lookup_key: str, sync_first: bool) -> None:
    session_id = till.open(lookup_key=lookup_key).body["session_id"]
    till.shop.double.control.pay_checkout(session_id)
    steps: list[Callable[[], object]] = [
        lambda: till.sync(session_id),
        lambda: till.shop.apply(till.shop.events()),
        lambda: till.sync(session_id),
    ]

    for settle in steps if sync_first else steps[::-1]:
        settle()

    assert till.shop.rows("SELECT version FROM customers") == [(1,)]
    assert till.shop.check("ann", "export" if lookup_key == "pro_monthly" else "badge")["allowed"]


def test_sync_of_an_open_session_gives_nothing(till: Till) -> None:
    session_id = till.open().body["session_id"]
    answer = till.sync(session_id)
    assert (answer.status, answer.body["status"], answer.body["payment_status"]) == (200, "open", "unpaid")
    assert not till.shop.check("ann", "export")["allowed"]


def test_sync_of_a_delayed_payment_gives_nothing_until_it_succeeds(till: Till) -> None:
    session_id = till.open(lookup_key="badge").body["session_id"]
    till.shop.double.control.pay_checkout_later(session_id)
    assert till.sync(session_id).body["payment_status"] == "unpaid"
    assert not till.shop.check("ann", "badge")["allowed"]

    till.shop.double.control.settle_checkout(session_id, paid=True)
    assert till.sync(session_id).body["payment_status"] == "paid"
    assert till.shop.check("ann", "badge")["allowed"]


def test_another_projects_session_is_as_unknown_as_any(till: Till) -> None:
    session_id = till.open().body["session_id"]
    foreign = till.sync(session_id, key=key_of(till.shop, "stranger"))
    unknown = [till.sync(name) for name in ("cs_test_unknown", "", "cs_\0", "x" * 300)]
    assert {(answer.status, answer.text) for answer in [foreign, *unknown]} == {(404, foreign.text)}
    assert foreign.code == "session_not_found"


# --- the function as it is deployed --------------------------------------------------------------------------------


def test_the_deployed_function_reads_its_stripe_key_from_the_secret(till: Till, aws_endpoint: str) -> None:
    environ = deployed(till, aws_endpoint)
    secrets = AwsClient(SECRETS_MANAGER, 5, environ)
    secret = secrets.call("CreateSecret", {"Name": "checkout-test", "SecretString": '{"api_key": "sk_test_shop"}'})
    try:
        handle = build({**environ, "STRIPE_API_KEY_SECRET_ID": secret["ARN"]}, till.shop.worker.now)
        assert replace(till, handle=handle).open().status == 201
    finally:
        secrets.call("DeleteSecret", {"SecretId": secret["ARN"], "ForceDeleteWithoutRecovery": True})
        secrets.close()


def test_an_unreadable_stripe_key_is_503(till: Till, aws_endpoint: str) -> None:
    handle = build({**deployed(till, aws_endpoint), "STRIPE_API_KEY_SECRET_ID": "nothing"}, till.shop.worker.now)
    answer = replace(till, handle=handle).open()
    assert (answer.status, answer.body["retryable"]) == (503, True)


def test_a_cold_start_names_every_missing_setting() -> None:
    with pytest.raises(BadSettings) as caught:
        build({})
    for name in ("DATABASE_URL", "TABLE_NAME", "EVENT_BUS_NAME", "STRIPE_API_KEY_SECRET_ID", "STRIPE_LIVEMODE"):
        assert name in str(caught.value)


def deployed(till: Till, aws_endpoint: str) -> dict[str, str]:
    return {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": aws_endpoint,
        "DATABASE_URL": till.shop.worker.database_url,
        "TABLE_NAME": till.shop.worker.publisher.cache.table,
        "EVENT_BUS_NAME": "default",
        "STRIPE_API_BASE": till.shop.double.url,
        "STRIPE_LIVEMODE": "false",
    }


# --- the log -------------------------------------------------------------------------------------------------------


def test_each_request_is_one_line_without_keys_emails_or_bodies(till: Till) -> None:
    till.open(email="ann@example.com", user_id="user-in-the-log")
    till.open(price="price_unknown")
    lines = [json.loads(line) for line in till.log.getvalue().splitlines()]
    assert [(line["status"], line["correlation_id"]) for line in lines] == [(201, "req-1"), (422, "req-1")]
    assert lines[0]["project_id"] == "notes"
    for secret in (till.key, "ann@example.com", "user-in-the-log", "notes.example"):
        assert secret not in till.log.getvalue()
