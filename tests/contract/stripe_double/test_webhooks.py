import time
from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import subscribe
from tests.contract.stripe_double.conftest import Shop
from tests.contract.stripe_double.receiver import Receiver


def name_customers(client: stripe.StripeClient, *names: str) -> None:
    for name in names:
        client.v1.customers.create({"name": name})


def heard(receiver: Receiver) -> list[str]:
    return [event["data"]["object"]["name"] for event in receiver.events]


def test_the_secret_is_shown_once(client: stripe.StripeClient) -> None:
    wanted: Any = {"url": "http://127.0.0.1:9/", "enabled_events": ["customer.created"]}
    endpoint = client.v1.webhook_endpoints.create(wanted)
    assert str(endpoint.secret).startswith("whsec_")
    assert "secret" not in client.v1.webhook_endpoints.retrieve(endpoint.id).to_dict()


def test_an_endpoint_hears_only_what_it_listens_to(
    client: stripe.StripeClient, double: StripeDouble, receiver: Receiver, shop: Shop
) -> None:
    endpoint = client.v1.webhook_endpoints.list().data[0]
    client.v1.webhook_endpoints.update(endpoint.id, {"enabled_events": ["customer.subscription.created"]})
    assert double.control.wait_for_deliveries()
    receiver.events.clear()
    subscribe(client, double, shop.monthly)
    assert double.control.wait_for_deliveries()
    assert receiver.types() == ["customer.subscription.created"]


def test_a_disabled_endpoint_hears_nothing(
    client: stripe.StripeClient, double: StripeDouble, receiver: Receiver
) -> None:
    endpoint = client.v1.webhook_endpoints.list().data[0]
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    name_customers(client, "Ada")
    assert double.control.wait_for_deliveries()
    assert receiver.events == []


def test_a_refused_event_is_sent_again_until_it_is_taken(
    client: stripe.StripeClient, double: StripeDouble, receiver: Receiver
) -> None:
    receiver.answers.extend([500, 404])
    name_customers(client, "Ada")
    assert double.control.wait_for_deliveries()
    assert heard(receiver) == ["Ada"]
    delivery = double.control.deliveries()[-1]
    assert (delivery["state"], [a["status"] for a in delivery["attempts"]]) == ("delivered", [500, 404, 200])


def test_each_attempt_is_signed_with_the_real_present(
    client: stripe.StripeClient, double: StripeDouble, receiver: Receiver
) -> None:
    double.control.advance_clock(advance_seconds=10_000_000)
    receiver.answers.append(500)
    name_customers(client, "Ada")
    assert double.control.wait_for_deliveries()
    times = [int(header.partition(",")[0].removeprefix("t=")) for header in receiver.signatures]
    assert len(times) == 2
    assert all(abs(time.time() - at) < 5 for at in times)
    assert receiver.events[0]["created"] > time.time() + 9_000_000


def test_an_unreachable_receiver_holds_up_nobody(client: stripe.StripeClient, double: StripeDouble) -> None:
    client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    name_customers(client, "Ada", "Bob")
    assert len(client.v1.customers.list().data) == 2
    assert not double.control.wait_for_deliveries(timeout=0.3)


def test_pending_webhooks_counts_down(client: stripe.StripeClient, double: StripeDouble, receiver: Receiver) -> None:
    name_customers(client, "Ada")
    assert double.control.wait_for_deliveries()
    assert receiver.events[0]["pending_webhooks"] == 1
    assert client.v1.events.retrieve(receiver.events[0]["id"]).pending_webhooks == 0


def test_dropped_events_never_arrive_but_are_on_record(
    client: stripe.StripeClient, double: StripeDouble, receiver: Receiver
) -> None:
    double.control.script_deliveries("drop", times=2)
    name_customers(client, "Ada", "Bob", "Cy")
    assert double.control.wait_for_deliveries()
    assert heard(receiver) == ["Cy"]
    assert len(client.v1.events.list().data) == 3
    assert [e.data.object["name"] for e in client.v1.events.list({"delivery_success": False}).data] == ["Bob", "Ada"]


def test_duplicated_events_arrive_more_than_once(
    client: stripe.StripeClient, double: StripeDouble, receiver: Receiver
) -> None:
    double.control.script_deliveries("duplicate", copies=2, types=["customer.created"])
    name_customers(client, "Ada", "Bob")
    assert double.control.wait_for_deliveries()
    assert sorted(heard(receiver)) == ["Ada"] * 3 + ["Bob"] * 3
    assert len({event["id"] for event in receiver.events}) == 2


def test_a_delayed_event_is_overtaken(client: stripe.StripeClient, double: StripeDouble, receiver: Receiver) -> None:
    double.control.script_deliveries("delay", times=1, seconds=1)
    name_customers(client, "Ada", "Bob")
    assert double.control.wait_for_deliveries()
    assert heard(receiver) == ["Bob", "Ada"]


def test_held_events_are_released_in_a_repeatable_disorder(
    client: stripe.StripeClient, double: StripeDouble, receiver: Receiver
) -> None:
    names = [f"Customer {number}" for number in range(8)]
    orders = []
    for _ in range(2):
        double.control.hold_deliveries()
        name_customers(client, *names)
        assert double.control.wait_for_deliveries()
        assert receiver.events == []
        assert double.control.release_deliveries(seed=7) == {"released": 8}
        assert double.control.wait_for_deliveries()
        orders.append(heard(receiver))
        receiver.events.clear()
    assert sorted(orders[0]) == names
    assert orders[0] == orders[1] != names


def test_an_event_can_be_sent_again(client: stripe.StripeClient, double: StripeDouble, receiver: Receiver) -> None:
    name_customers(client, "Ada")
    assert double.control.wait_for_deliveries()
    double.control.deliver_again(receiver.events[0]["id"])
    assert double.control.wait_for_deliveries()
    assert len(receiver.events) == 2
    assert receiver.events[0]["id"] == receiver.events[1]["id"]


def test_an_event_names_the_request_that_caused_it(
    client: stripe.StripeClient, double: StripeDouble, receiver: Receiver
) -> None:
    client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    assert double.control.wait_for_deliveries()
    assert receiver.events[0]["request"]["idempotency_key"] == "k1"
    assert receiver.events[0]["request"]["id"] == double.control.requests()[-1]["id"]


def test_another_api_version_is_refused(client: stripe.StripeClient) -> None:
    wanted: Any = {"url": "http://127.0.0.1:9/", "enabled_events": ["*"], "api_version": "2020-08-27"}
    with pytest.raises(stripe.InvalidRequestError, match="speaks 2026-10-28"):
        client.v1.webhook_endpoints.create(wanted)
