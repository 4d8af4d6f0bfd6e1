from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble


def names(client: stripe.StripeClient) -> list[str | None]:
    return [customer.name for customer in client.v1.customers.list().data]


def create(client: stripe.StripeClient, *, retries: int = 0) -> Any:
    return client.v1.customers.create({"name": "Ada"}, {"max_network_retries": retries})


@pytest.mark.parametrize(
    ("action", "error"), [("429", stripe.RateLimitError), ("500", stripe.APIError), ("503", stripe.APIError)]
)
def test_an_outage_answers_without_effect(
    client: stripe.StripeClient, double: StripeDouble, action: Any, error: type[stripe.StripeError]
) -> None:
    double.control.add_fault(action, match="POST /v1/customers")
    with pytest.raises(error) as outage:
        create(client)
    assert outage.value.http_status == int(action)
    assert names(client) == []


@pytest.mark.parametrize("action", ["500", "reset", "timeout"])
def test_a_lost_answer_is_found_again_under_its_key(
    client: stripe.StripeClient, double: StripeDouble, action: Any
) -> None:
    double.control.add_fault(action, match="POST /v1/customers", apply="after", seconds=0.1)
    assert create(client, retries=1).name == "Ada"
    assert names(client) == ["Ada"]
    keys = {r["idempotency_key"] for r in double.control.requests() if r["method"] == "POST"}
    assert len(keys) == 1


def test_a_broken_connection_is_a_connection_error(client: stripe.StripeClient, double: StripeDouble) -> None:
    double.control.add_fault("reset", match="POST /v1/customers")
    with pytest.raises(stripe.APIConnectionError):
        create(client)
    assert names(client) == []


def test_a_fault_hits_as_often_as_asked_and_only_what_it_matches(
    client: stripe.StripeClient, double: StripeDouble
) -> None:
    double.control.add_fault("500", match="POST /v1/customers", times=2)
    assert names(client) == []
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            create(client)
    assert create(client).name == "Ada"


def test_faults_can_be_taken_back(client: stripe.StripeClient, double: StripeDouble) -> None:
    double.control.add_fault("503", times=None)
    double.control.clear_faults()
    assert names(client) == []


def test_every_request_is_on_record(client: stripe.StripeClient, double: StripeDouble) -> None:
    client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    entry = double.control.requests()[-1]
    assert (entry["method"], entry["path"], entry["idempotency_key"], entry["status"]) == (
        "POST",
        "/v1/customers",
        "k1",
        200,
    )


def test_a_silent_change_makes_no_event(client: stripe.StripeClient, double: StripeDouble) -> None:
    customer = create(client).id
    count = len(client.v1.events.list().data)
    assert double.control.change_silently(customer, {"name": "Bob"}) == {"changed": {"name": "Ada"}}
    assert (names(client), len(client.v1.events.list().data)) == (["Bob"], count)
