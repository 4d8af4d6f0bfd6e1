import threading
import urllib.request
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.error import HTTPError

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import DAY, subscribe
from tests.contract.stripe_double.conftest import CheckedClient, Shop


def make_customers(client: stripe.StripeClient, count: int) -> list[str]:
    """`count` customers; their ids, newest first."""
    return [client.v1.customers.create({"name": f"Customer {n}"}).id for n in range(count)][::-1]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lists_are_newest_first_and_ten_long(client: stripe.StripeClient) -> None:
    ids = make_customers(client, 12)
    page = client.v1.customers.list()
    assert ([c.id for c in page.data], page.has_more) == (ids[:10], True)


def test_paging_visits_every_object_once(client: stripe.StripeClient) -> None:
    ids = make_customers(client, 25)
    assert [c.id for c in client.v1.customers.list({"limit": 10}).auto_paging_iter()] == ids


def test_a_page_before_a_cursor_ends_just_above_it(client: stripe.StripeClient) -> None:
    ids = make_customers(client, 6)
    page = client.v1.customers.list({"limit": 2, "ending_before": ids[4]})
    assert ([c.id for c in page.data], page.has_more) == (ids[2:4], True)


def test_paging_goes_on_when_the_cursor_has_left_the_filter(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscriptions = [subscribe(client, double, shop.monthly).id for _ in range(3)][::-1]
    first = client.v1.subscriptions.list({"limit": 1}).data[0].id
    client.v1.subscriptions.cancel(first)
    rest = client.v1.subscriptions.list({"starting_after": first})
    assert [s.id for s in rest.data] == subscriptions[1:]


@pytest.mark.parametrize("limit", [0, 101])
def test_a_limit_out_of_bounds_is_refused(client: stripe.StripeClient, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.list({"limit": limit})
    assert refused.value.param == "limit"


def test_an_unknown_cursor_is_refused(client: stripe.StripeClient) -> None:
    make_customers(client, 1)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.list({"starting_after": "cus_nobody"})
    assert refused.value.code == "resource_missing"


def test_lists_filter_by_time(client: stripe.StripeClient, double: StripeDouble) -> None:
    make_customers(client, 1)
    later = double.control.advance_clock(advance_seconds=100)["now"]
    newer = make_customers(client, 1)
    assert [c.id for c in client.v1.customers.list({"created": {"gte": later}}).data] == newer


def test_prices_are_found_by_lookup_key(client: stripe.StripeClient, shop: Shop) -> None:
    client.v1.prices.update(shop.yearly, {"lookup_key": "pro_yearly"})
    assert [p.id for p in client.v1.prices.list({"lookup_keys": ["pro_yearly", "none"]}).data] == [shop.yearly]


def test_an_embedded_list_shows_ten_entries_and_says_that_there_are_more(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    for _ in range(11):
        client.v1.subscription_items.create({"subscription": subscription.id, "price": shop.monthly})
    items: Any = client.v1.subscriptions.retrieve(subscription.id)["items"]
    assert (len(items.data), items.has_more) == (10, True)
    every = client.v1.subscription_items.list({"subscription": subscription.id, "limit": 5})
    assert len({item.id for item in every.auto_paging_iter()}) == 12


def test_a_list_leaves_canceled_subscriptions_out_unless_asked_for_all(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    gone, kept = (subscribe(client, double, shop.monthly).id for _ in range(2))
    client.v1.subscriptions.cancel(gone)
    assert [s.id for s in client.v1.subscriptions.list().data] == [kept]
    assert {s.id for s in client.v1.subscriptions.list({"status": "all"}).data} == {gone, kept}
    assert [s.id for s in client.v1.subscriptions.list({"status": "canceled"}).data] == [gone]


# ── expand ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_expand_reaches_through_lists_and_objects(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscribe(client, double, shop.monthly)
    paths = ["data.customer", "data.latest_invoice.payments.data.payment.payment_intent"]
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        client.v1.subscriptions.list({"expand": paths})
    shown = client.v1.subscriptions.list({"expand": ["data.customer", "data.latest_invoice.payments"]}).to_dict()
    assert shown["data"][0]["customer"]["email"] == "ada@example.com"
    assert shown["data"][0]["latest_invoice"]["payments"]["data"][0]["status"] == "paid"


def test_a_field_that_cannot_be_expanded_is_refused(client: stripe.StripeClient) -> None:
    customer = make_customers(client, 1)[0]
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.customers.retrieve(customer, {"expand": ["nonsense"]})


# ── idempotency ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_key_gives_the_same_answer(client: stripe.StripeClient, checked: CheckedClient) -> None:
    first = client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    assert "Idempotent-Replayed" not in checked.headers
    second = client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    assert (first.id, checked.headers["Idempotent-Replayed"]) == (second.id, "true")
    assert len(client.v1.customers.list().data) == 1


def test_the_same_key_with_other_parameters_is_refused(client: stripe.StripeClient) -> None:
    client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "Bob"}, {"idempotency_key": "k1"})


def test_a_key_is_forgotten_after_a_day(client: stripe.StripeClient, double: StripeDouble) -> None:
    first = client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    double.control.advance_clock(advance_seconds=DAY + 1)
    assert client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"}).id != first.id


def test_a_refused_request_leaves_its_key_free(client: stripe.StripeClient) -> None:
    wrong: Any = {"nmae": "Ada"}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.create(wrong, {"idempotency_key": "k1"})
    assert client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"}).name == "Ada"


def test_of_concurrent_requests_under_one_key_one_does_the_work(client: stripe.StripeClient) -> None:
    ids: list[str] = []

    def create() -> None:
        options: Any = {"idempotency_key": "k1", "max_network_retries": 10}
        ids.append(client.v1.customers.create({"name": "Ada"}, options).id)

    threads = [threading.Thread(target=create) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 20
    assert len(set(ids)) == len(client.v1.customers.list().data) == 1


def test_a_key_in_use_is_a_conflict(client: stripe.StripeClient, double: StripeDouble) -> None:
    double.control.add_fault("slow", match="POST /v1/customers", seconds=1)
    slow = threading.Thread(target=client.v1.customers.create, args=({"name": "Ada"}, {"idempotency_key": "k1"}))
    slow.start()
    while not double.control.requests():
        slow.join(0.01)
    with pytest.raises(stripe.APIError) as conflict:
        client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    assert conflict.value.http_status == 409
    slow.join()


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_object_is_404(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.retrieve("cus_nobody")
    error = refused.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    assert str(error.user_message) == "No such customer: 'cus_nobody'"


def test_a_missing_object_named_by_a_parameter_is_400(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.prices.create({"product": "prod_none", "currency": "usd", "unit_amount": 1})
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, "resource_missing", "product")


@pytest.mark.parametrize(
    ("params", "param", "code"),
    [
        ({"nmae": "Ada"}, "nmae", "parameter_unknown"),
        ({"address": {"town": "Paris"}}, "address[town]", "parameter_unknown"),
        ({"balance": "much"}, "balance", "parameter_invalid_integer"),
        ({"email": "nowhere"}, "email", "email_invalid"),
        ({"tax_exempt": "maybe"}, "tax_exempt", None),
    ],
)
def test_a_wrong_parameter_is_named(client: stripe.StripeClient, params: Any, param: str, code: str | None) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.create(params)
    assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, param, code)


def test_a_missing_parameter_is_named(client: stripe.StripeClient) -> None:
    nothing: Any = {}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.products.create(nothing)
    assert (refused.value.param, refused.value.code) == ("name", "parameter_missing")


def test_another_api_version_may_have_other_parameters(client: stripe.StripeClient, shop: Shop) -> None:
    params: Any = {
        "mode": "payment",
        "line_items": [{"price": shop.once, "quantity": 1}],
        "success_url": "https://app.example",
        "payment_method_types": ["card"],
    }
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        client.v1.checkout.sessions.create(params)
    older = client.v1.checkout.sessions.create(params, {"stripe_version": "2025-01-27.acacia"})
    assert older.payment_method_types == ["card"]


@pytest.mark.parametrize("key", ["", "sk_live_0123456789"])
def test_only_test_keys_are_let_in(double: StripeDouble, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{double.url}/v1/customers", headers=headers)  # noqa: S310  (our own double)
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request)  # noqa: S310  (our own double)
    assert refused.value.status == 401
    refused.value.close()


def test_an_unknown_route_is_404(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        client.v1.topups.list()


def test_a_declined_card_is_a_card_error(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.create(
            {"amount": 500, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True}
        )
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")


# ── objects ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deleted_customer_says_so_and_nothing_else(client: stripe.StripeClient) -> None:
    customer = make_customers(client, 1)[0]
    gone = {"id": customer, "object": "customer", "deleted": True}
    assert client.v1.customers.delete(customer).to_dict() == gone
    assert client.v1.customers.retrieve(customer).to_dict() == gone
    assert client.v1.customers.list().data == []


def test_metadata_is_merged_and_unset_key_by_key(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"metadata": {"a": "1", "b": "2"}}).id
    updated = client.v1.customers.update(customer, {"metadata": {"b": "", "c": "3"}})
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"a": "1", "c": "3"}


def test_a_lookup_key_moves_only_when_told_to(client: stripe.StripeClient, shop: Shop) -> None:
    client.v1.prices.update(shop.monthly, {"lookup_key": "pro"})
    new: Any = {"product": shop.product, "currency": "usd", "unit_amount": 1500, "lookup_key": "pro"}
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        client.v1.prices.create(new)
    new["transfer_lookup_key"] = True
    client.v1.prices.create(new)
    assert client.v1.prices.retrieve(shop.monthly).lookup_key is None


def test_a_default_price_cannot_be_archived(client: stripe.StripeClient, shop: Shop) -> None:
    client.v1.products.update(shop.product, {"default_price": shop.monthly})
    with pytest.raises(stripe.InvalidRequestError, match="default price of its product"):
        client.v1.prices.update(shop.monthly, {"active": False})
    assert not client.v1.prices.update(shop.yearly, {"active": False}).active


def test_tiers_and_other_currencies_come_only_when_asked_for(client: stripe.StripeClient, shop: Shop) -> None:
    tiers: Any = [{"up_to": 5, "unit_amount_decimal": Decimal("0.5")}, {"up_to": "inf", "flat_amount": 700}]
    tiered: Any = {
        "product": shop.product,
        "currency": "usd",
        "recurring": {"interval": "month"},
        "billing_scheme": "tiered",
        "tiers_mode": "volume",
        "tiers": tiers,
    }
    several: Any = {
        "product": shop.product,
        "currency": "usd",
        "unit_amount": 100,
        "currency_options": {"eur": {"unit_amount": 90}},
    }
    made = {client.v1.prices.create(params).id for params in (tiered, several)}
    plain = client.v1.prices.list({"product": shop.product}).to_dict(for_json=True)["data"]
    whole = client.v1.prices.list({"product": shop.product, "expand": ["data.tiers", "data.currency_options"]})

    assert not any({"tiers", "currency_options"} & row.keys() for row in plain)
    rows = {row["id"]: row for row in whole.to_dict(for_json=True)["data"] if row["id"] in made}
    assert {
        (row["tiers_mode"], len(row.get("tiers") or ()), tuple(sorted(row["currency_options"])))
        for row in rows.values()
    } == {("volume", 2, ("usd",)), (None, 0, ("eur", "usd"))}


def test_a_product_with_prices_cannot_be_deleted(client: stripe.StripeClient, shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        client.v1.products.delete(shop.product)


def test_every_answer_carries_the_doubles_time_and_a_request_id(
    client: stripe.StripeClient, double: StripeDouble, checked: CheckedClient
) -> None:
    double.control.freeze_clock()
    now = double.control.advance_clock(advance_seconds=1_000_000)["now"]
    customer = client.v1.customers.create({"name": "Ada"})
    assert parsedate_to_datetime(checked.headers["Date"]).timestamp() == now == customer.created
    assert checked.headers["Request-Id"].startswith("req_")
    assert checked.headers["Stripe-Version"] == "2026-10-28.endive"


def test_events_are_found_by_type_and_kept_for_30_days(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    created = client.v1.events.list({"types": ["product.created"]}).data
    assert [e.data.object["id"] for e in created] == [shop.product]
    assert {e.type for e in client.v1.events.list({"type": "price.*"}).data} == {"price.created"}
    double.control.advance_clock(advance_seconds=31 * DAY)
    assert client.v1.events.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.retrieve(created[0].id)


def test_a_parameter_that_would_be_ignored_is_refused(client: stripe.StripeClient, shop: Shop) -> None:
    customer = client.v1.customers.create({"payment_method": "pm_card_visa"}).id
    wanted: Any = {"customer": customer, "items": [{"price": shop.monthly}], "billing_cycle_anchor": 1}
    with pytest.raises(stripe.InvalidRequestError, match="does not honour"):
        client.v1.subscriptions.create(wanted)
