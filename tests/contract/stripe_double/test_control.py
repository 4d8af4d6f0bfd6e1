import http.client
import json
from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import DAY, open_checkout, subscribe
from tests.contract.stripe_double.conftest import Shop


def call(double: StripeDouble, method: str, route: str, **arguments: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(double.url.removeprefix("http://"), timeout=5)
    connection.request(method, f"/_control/{route}", json.dumps(arguments) if arguments else None)
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    return response.status, body


def test_the_clock_is_read_and_advanced_over_http(double: StripeDouble) -> None:
    before = call(double, "GET", "clock")[1]["now"]
    assert call(double, "POST", "clock", advance_seconds=DAY)[1]["now"] in {before + DAY, before + DAY + 1}


@pytest.mark.parametrize(
    ("action", "status", "payment_status"),
    [("pay", "complete", "paid"), ("pay_async", "complete", "unpaid"), ("expire", "expired", "unpaid")],
)
def test_a_checkout_is_ended_over_http(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, action: str, status: str, payment_status: str
) -> None:
    session = open_checkout(client, shop.once, "payment")
    assert call(double, "POST", f"checkout/{session.id}/{action}")[0] == 200
    done = client.v1.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == (status, payment_status)


def test_a_decline_over_http_is_a_402(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = open_checkout(client, shop.once, "payment")
    status, body = call(double, "POST", f"checkout/{session.id}/decline")
    assert (status, body["error"]["code"]) == (402, "card_declined")


def test_portal_actions_work_over_http(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    portal = client.v1.billing_portal.sessions.create({"customer": subscription.customer})
    wanted = {"action": "change_quantity", "subscription": subscription.id, "quantity": 7}
    assert call(double, "POST", f"portal/{portal.id}/act", **wanted)[1]["items"]["data"][0]["quantity"] == 7


def test_requests_and_deliveries_are_listed(client: stripe.StripeClient, double: StripeDouble) -> None:
    client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    client.v1.customers.create({"name": "Ada"})
    paths = [request["path"] for request in call(double, "GET", "requests")[1]]
    assert paths == ["/v1/webhook_endpoints", "/v1/customers"]
    assert [delivery["type"] for delivery in call(double, "GET", "deliveries")[1]] == ["customer.created"]


def test_a_reset_forgets_everything(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    call(double, "POST", "reset")
    assert client.v1.products.list().data == []
    assert client.v1.events.list().data == []


@pytest.mark.parametrize(
    ("route", "arguments", "word"),
    [
        ("clock", {"years": 2}, "years"),
        ("clock", {"to": 1}, "cannot go back"),
        ("delivery", {"mode": "lose"}, "drop, duplicate or delay"),
        ("faults", {"action": "418"}, "429, 500, 503"),
        ("faults", {"action": "500", "match": "("}, "match"),
    ],
)
def test_wrong_arguments_are_explained(double: StripeDouble, route: str, arguments: dict[str, Any], word: str) -> None:
    status, body = call(double, "POST", route, **arguments)
    assert status == 400
    assert word in body["error"]["message"]


def test_an_unknown_route_lists_the_known_ones(double: StripeDouble) -> None:
    status, body = call(double, "POST", "nonsense")
    assert status == 404
    assert "/_control/checkout/{}/pay" in body["error"]["message"]


def test_a_made_up_event_is_sent_as_given(client: stripe.StripeClient, double: StripeDouble) -> None:
    event = double.control.emit_event("invoice.paid", {"id": "in_old", "object": "invoice"}, api_version="2019-12-03")
    assert (event["api_version"], event["data"]["object"]["id"]) == ("2019-12-03", "in_old")
    assert event["type"] == "invoice.paid"
