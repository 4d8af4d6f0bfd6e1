"""The double's `end_period`: time passes for one subscription, and for nobody else."""

from collections.abc import Iterator

import pytest
from stripe import StripeClient

from billing.payments.client import connect
from infra.local.stripe_double.double import StripeDouble

pytestmark = pytest.mark.alone


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with StripeDouble(seed=1) as running:
        yield running


@pytest.fixture
def client(double: StripeDouble) -> StripeClient:
    return connect("sk_test_of_this_test", double.url)


def subscribe(client: StripeClient) -> str:
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    customer = client.v1.customers.create(card)  # type: ignore[arg-type]  # typed dicts want literals
    price = client.v1.prices.create(
        {"currency": "eur", "unit_amount": 900, "recurring": {"interval": "month"}, "product_data": {"name": "Pro"}}
    )
    made = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    assert made.status == "active"
    return made.id


def test_a_cancelled_subscription_ends_now_and_no_clock_has_moved(double: StripeDouble, client: StripeClient) -> None:
    subscription, other = subscribe(client), subscribe(client)
    client.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    before = double.control.clock()["now"]

    double.control.end_period(subscription)

    ended = client.v1.subscriptions.retrieve(subscription)
    after = double.control.clock()["now"]
    assert ended.status == "canceled"
    assert ended.ended_at is not None
    assert before <= ended.ended_at <= after <= before + 5
    assert client.v1.subscriptions.retrieve(other).status == "active"
    assert client.v1.events.list().data[0].type == "customer.subscription.deleted"


def test_one_that_was_not_cancelled_renews(double: StripeDouble, client: StripeClient) -> None:
    subscription = subscribe(client)
    double.control.end_period(subscription)
    renewed = client.v1.subscriptions.retrieve(subscription)
    assert renewed.status == "active"
    assert renewed["items"].data[0].current_period_start >= double.control.clock()["now"] - 5
    assert renewed["items"].data[0].current_period_end > renewed["items"].data[0].current_period_start + 27 * 86_400
