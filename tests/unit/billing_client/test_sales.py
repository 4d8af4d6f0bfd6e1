"""Checkouts and the portal."""

import httpx
import pytest

from billing_client import BillingClient, Refused, Unavailable
from tests.unit.billing_client.desk import Client, Desk

CHECKOUT = ("POST", "/api/v1/checkout")


def buy(client: Client, user_id: str = "ada", key: str | None = None) -> str:
    checkout = client.open_checkout(
        user_id,
        lookup_key="pro",
        success_url="https://app.example/thanks",
        cancel_url="https://app.example/pricing",
        idempotency_key=key,
    )
    return checkout.session_id


def test_a_purchase_is_seen_at_once_after_its_sync(desk: Desk) -> None:
    client = desk.client(denied_for=3600, fresh_for=3600)
    assert not client.check("ada", "export")
    session_id = buy(client)
    desk.fake.pay(session_id)
    assert not client.check("ada", "export")

    synced = client.sync_checkout(session_id, user_id="ada")

    assert (synced.status, synced.payment_status) == ("complete", "paid")
    assert client.check("ada", "export")
    assert client.check("ada", "seats").value == 5


def test_a_sync_that_names_no_user_has_every_no_asked_again(desk: Desk) -> None:
    client = desk.client(denied_for=3600, fresh_for=3600)
    client.check("ada", "export")
    client.entitlements("ada")
    session_id = buy(client)
    desk.fake.pay(session_id)

    client.sync_checkout(session_id)

    assert client.check("ada", "export")
    assert "export" in client.entitlements("ada")


def test_a_retried_checkout_is_one_checkout(desk: Desk) -> None:
    client = desk.client()
    desk.fake.fail_next(2, "unreachable")

    assert buy(client) == "cs_fake_1"
    assert desk.fake.requests == (CHECKOUT,) * 3


def test_every_try_of_a_write_carries_one_key_and_the_next_write_another() -> None:
    keys: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        return httpx.Response(503)

    with BillingClient("https://billing.test", "bk_test_x", transport=httpx.MockTransport(note), sleep=abs) as client:
        with pytest.raises(Unavailable):
            buy(client)
        with pytest.raises(Unavailable):
            client.open_portal("ada", "https://app.example")

    assert (len(keys), len(set(keys[:4])), len(set(keys[4:])), len(set(keys))) == (8, 1, 1, 2)


def test_two_checkouts_are_two_unless_they_share_a_key(desk: Desk) -> None:
    client = desk.client()

    assert buy(client) != buy(client)
    assert buy(client, key="order-1") == buy(client, key="order-1")
    with pytest.raises(Refused) as refused:
        buy(client, "bob", key="order-1")
    assert refused.value.code == "idempotency_mismatch"


def test_a_checkout_never_answers_by_a_policy(desk: Desk) -> None:
    client = desk.client()

    with desk.fake.down(), pytest.raises(Unavailable) as fault:
        buy(client)

    assert fault.value.code == "unavailable"
    assert len(desk.fake.requests) == 4


def test_a_refused_checkout_is_not_tried_again(desk: Desk) -> None:
    with pytest.raises(Refused) as refused:
        desk.client().open_checkout(
            "ada", lookup_key="gold", success_url="https://a.example", cancel_url="https://a.example"
        )

    assert refused.value.code == "price_not_found"
    assert desk.fake.requests == (CHECKOUT,)


def test_the_portal_opens_for_who_was_at_a_checkout(desk: Desk) -> None:
    client = desk.client()
    buy(client)

    assert client.open_portal("ada", "https://app.example/account").startswith("https://")


def test_the_catalog_and_the_reasons_come_as_documents(desk: Desk) -> None:
    client = desk.client()

    assert [feature["code"] for feature in client.catalog()["features"]] == ["export", "seats"]
    assert client.explain("ada", "export")["reason"] == "no_source"
