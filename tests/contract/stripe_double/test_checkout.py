from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from infra.local.stripe_double.errors import StripeFault
from tests.contract.stripe_double.buying import DAY, buy, open_checkout, subscribe
from tests.contract.stripe_double.conftest import Shop
from tests.contract.stripe_double.receiver import Receiver


def test_a_paid_checkout_gives_an_active_subscription(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    session = open_checkout(client, shop.monthly)
    assert (session.status, session.payment_status) == ("open", "unpaid")
    double.control.pay_checkout(session.id, email="ada@example.com")
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "customer"]})
    assert (done.status, done.payment_status, done.url, done.payment_intent) == ("complete", "paid", None, None)
    subscription: Any = done.subscription
    customer: Any = done.customer
    assert (subscription.status, customer.email) == ("active", "ada@example.com")


def test_the_period_stands_on_the_item_and_not_on_the_subscription(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    shown = subscribe(client, double, shop.monthly).to_dict()
    assert "current_period_end" not in shown
    item = shown["items"]["data"][0]
    assert item["current_period_end"] - item["current_period_start"] in {28 * DAY, 29 * DAY, 30 * DAY, 31 * DAY}


def test_a_declined_card_gives_no_subscription(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly)
    with pytest.raises(StripeFault, match="declined"):
        double.control.decline_checkout(session.id)
    assert client.v1.subscriptions.list({"status": "all"}).data == []
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_after_a_declined_card_another_one_works(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly)
    with pytest.raises(StripeFault):
        double.control.decline_checkout(session.id)
    assert double.control.pay_checkout(session.id)["payment_status"] == "paid"


def test_a_single_payment_has_a_payment_intent_and_no_subscription(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    session = buy(client, double, shop.once)
    assert session.subscription is None
    assert client.v1.payment_intents.retrieve(session.payment_intent).amount_received == 9900


def test_a_trial_needs_no_payment_today(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly, subscription_data={"trial_period_days": 14})
    done = double.control.pay_checkout(session.id)
    assert (done["payment_status"], done["amount_total"]) == ("no_payment_required", 0)
    assert client.v1.subscriptions.retrieve(done["subscription"]).status == "trialing"


def test_a_full_discount_needs_no_payment(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    coupon = client.v1.coupons.create({"percent_off": 100, "duration": "forever"}).id
    session = open_checkout(client, shop.monthly, discounts=[{"coupon": coupon}])
    done = double.control.pay_checkout(session.id)
    subscription = client.v1.subscriptions.retrieve(done["subscription"], {"expand": ["discounts"]})
    assert (done["payment_status"], subscription.status) == ("no_payment_required", "active")
    discount: Any = subscription.discounts[0]
    assert discount.source.coupon == coupon


@pytest.mark.parametrize(("paid", "status", "event"), [(True, "paid", "succeeded"), (False, "unpaid", "failed")])
def test_a_delayed_payment_is_decided_after_the_checkout(
    client: stripe.StripeClient,
    double: StripeDouble,
    shop: Shop,
    receiver: Receiver,
    paid: bool,
    status: str,
    event: str,
) -> None:
    session = open_checkout(client, shop.once, "payment")
    assert double.control.pay_checkout_later(session.id)["payment_status"] == "unpaid"
    assert double.control.settle_checkout(session.id, paid=paid)["payment_status"] == status
    assert double.control.wait_for_deliveries()
    sessions = [e for e in receiver.events if e["type"].startswith("checkout.")]
    assert [(e["type"].rpartition(".")[2], e["data"]["object"]["payment_status"]) for e in sessions] == [
        ("completed", "unpaid"),
        (f"async_payment_{event}", status),
    ]


def test_an_abandoned_checkout_expires_after_a_day(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    session = open_checkout(client, shop.monthly)
    double.control.advance_clock(advance_seconds=DAY + 1)
    assert client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    event = client.v1.events.list({"type": "checkout.session.expired"}).data[0]
    assert event.created == session.expires_at


def test_an_expired_checkout_cannot_be_paid(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly)
    client.v1.checkout.sessions.expire(session.id)
    with pytest.raises(StripeFault, match="expired"):
        double.control.pay_checkout(session.id)


def test_a_recurring_price_is_refused_in_payment_mode(client: stripe.StripeClient, shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="recurring price") as refused:
        open_checkout(client, shop.monthly, "payment")
    assert refused.value.param == "mode"


def test_an_archived_price_is_refused(client: stripe.StripeClient, shop: Shop) -> None:
    client.v1.prices.update(shop.monthly, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        open_checkout(client, shop.monthly)


def test_line_items_are_shown_only_when_asked_for(client: stripe.StripeClient, shop: Shop) -> None:
    session = open_checkout(client, shop.once, "payment")
    assert "line_items" not in session.to_dict()
    shown = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items.data.price.product"]}).to_dict()
    assert shown["line_items"]["data"][0]["price"]["product"]["name"] == "Pro"
    assert client.v1.checkout.sessions.line_items.list(session.id).data[0].amount_total == 9900


def test_one_time_prices_ride_on_the_first_invoice(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    items = [{"price": shop.monthly, "quantity": 2}, {"price": shop.once, "quantity": 1}]
    subscription = subscribe(client, double, shop.monthly, line_items=items)
    assert client.v1.invoices.retrieve(subscription.latest_invoice).amount_paid == 2 * 1200 + 9900


def test_the_events_of_a_checkout_come_in_the_order_of_their_causes(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, receiver: Receiver
) -> None:
    subscribe(client, double, shop.monthly)
    assert double.control.wait_for_deliveries()
    assert receiver.types() == [
        "customer.created",
        "payment_method.attached",
        "customer.updated",
        "invoice.created",
        "customer.subscription.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
        "customer.subscription.updated",
        "checkout.session.completed",
    ]


def test_an_event_holds_the_state_of_its_moment(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, receiver: Receiver
) -> None:
    subscribe(client, double, shop.monthly)
    assert double.control.wait_for_deliveries()
    told = {e["type"]: e["data"] for e in receiver.events}
    assert told["customer.subscription.created"]["object"]["status"] == "incomplete"
    assert told["customer.subscription.updated"]["object"]["status"] == "active"
    assert told["customer.subscription.updated"]["previous_attributes"] == {"status": "incomplete"}


@pytest.mark.parametrize(("paid", "status"), [(True, "active"), (False, "past_due")])
def test_a_subscription_by_debit_is_active_until_the_debit_fails(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, paid: bool, status: str
) -> None:
    session = open_checkout(client, shop.monthly)
    done = double.control.pay_checkout_later(session.id)
    assert (done["payment_status"], client.v1.subscriptions.retrieve(done["subscription"]).status) == (
        "unpaid",
        "active",
    )
    double.control.advance_clock(advance_seconds=3 * DAY)
    double.control.settle_checkout(session.id, paid=paid)
    assert client.v1.subscriptions.retrieve(done["subscription"]).status == status
