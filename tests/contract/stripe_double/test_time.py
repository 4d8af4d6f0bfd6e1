from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import DAY, MONTH, open_checkout, subscribe
from tests.contract.stripe_double.conftest import Shop
from tests.contract.stripe_double.receiver import Receiver

HOUR = 3600


def period_of(subscription: Any) -> tuple[int, int]:
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end


def test_a_renewal_moves_the_period_and_is_paid_an_hour_later(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    end = period_of(subscription)[1]
    double.control.advance_clock(to=end)
    renewed = client.v1.subscriptions.retrieve(subscription.id)
    assert (period_of(renewed)[0], client.v1.invoices.retrieve(str(renewed.latest_invoice)).status) == (end, "draft")
    double.control.advance_clock(advance_seconds=HOUR)
    invoice = client.v1.invoices.retrieve(str(renewed.latest_invoice))
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_cycle")


def test_a_year_passes_month_by_month(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    double.control.advance_clock(advance_seconds=366 * DAY)
    invoices = client.v1.invoices.list({"subscription": subscription.id, "limit": 100}).data
    assert [i.status for i in invoices] == ["paid"] * 13


def test_periods_of_the_31st_end_where_months_end(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    double.control.advance_clock(to=int(datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp()))
    subscription = subscribe(client, double, shop.monthly)
    ends = []
    for _ in range(3):
        end = period_of(client.v1.subscriptions.retrieve(subscription.id))[1]
        ends.append(datetime.fromtimestamp(end, UTC).strftime("%m-%d"))
        double.control.advance_clock(to=end)
    assert ends == ["02-28", "03-31", "04-30"]


def test_what_falls_due_happens_at_its_own_instant(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    end = period_of(subscribe(client, double, shop.monthly))[1]
    double.control.advance_clock(advance_seconds=40 * DAY)
    created = {e.type: e.created for e in client.v1.events.list({"created": {"gte": end}, "limit": 100}).data}
    assert (created["invoice.created"], created["invoice.paid"]) == (end, end + HOUR)


def test_a_trial_is_announced_three_days_before_its_end(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly, subscription_data={"trial_period_days": 14})
    double.control.advance_clock(advance_seconds=13 * DAY)
    warnings = client.v1.events.list({"type": "customer.subscription.trial_will_end"}).data
    assert [w.created for w in warnings] == [subscription.trial_end - 3 * DAY]


def test_after_its_trial_a_subscription_is_active_and_billed(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly, subscription_data={"trial_period_days": 14})
    double.control.advance_clock(advance_seconds=15 * DAY)
    now = client.v1.subscriptions.retrieve(subscription.id)
    assert (now.status, client.v1.invoices.retrieve(str(now.latest_invoice)).amount_paid) == ("active", 1200)


@pytest.mark.parametrize(
    ("behavior", "status", "event"),
    [
        ("pause", "paused", "customer.subscription.paused"),
        ("cancel", "canceled", "customer.subscription.deleted"),
    ],
)
def test_a_trial_without_a_card_ends_as_its_settings_say(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, behavior: Any, status: str, event: str
) -> None:
    customer = client.v1.customers.create({"email": "ada@example.com"}).id
    subscription = client.v1.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": shop.monthly}],
            "trial_period_days": 7,
            "trial_settings": {"end_behavior": {"missing_payment_method": behavior}},
        }
    )
    double.control.advance_clock(advance_seconds=8 * DAY)
    assert client.v1.subscriptions.retrieve(subscription.id).status == status
    assert client.v1.events.list({"limit": 1}).data[0].type == event


def test_a_paused_subscription_resumes_with_an_invoice(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    customer = client.v1.customers.create({"email": "ada@example.com"}).id
    subscription = client.v1.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": shop.monthly}],
            "trial_period_days": 7,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        }
    )
    double.control.advance_clock(advance_seconds=8 * DAY)
    client.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": "pm_card_visa"}})
    resumed = client.v1.subscriptions.resume(subscription.id)
    assert (resumed.status, resumed.status_details) == ("active", None)
    assert client.v1.invoices.retrieve(str(resumed.latest_invoice)).amount_paid == 1200


def test_a_failed_renewal_is_retried_and_then_ends_the_subscription(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    double.control.set_card(subscription.customer, "decline")
    double.control.advance_clock(to=period_of(subscription)[1] + 2 * HOUR)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "past_due"
    double.control.advance_clock(advance_seconds=16 * DAY)
    over = client.v1.subscriptions.retrieve(subscription.id)
    assert over.status == "canceled"
    assert over.cancellation_details is not None
    assert over.cancellation_details.reason == "payment_failed"
    assert len(client.v1.events.list({"type": "invoice.payment_failed"}).data) == 4


def test_a_good_card_ends_dunning(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    double.control.set_card(subscription.customer, "decline")
    double.control.advance_clock(to=period_of(subscription)[1] + 2 * HOUR)
    double.control.set_card(subscription.customer, "ok")
    double.control.advance_clock(advance_seconds=3 * DAY)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "active"


@pytest.mark.parametrize("status", ["unpaid", "past_due"])
def test_the_end_of_dunning_can_be_chosen(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, status: str
) -> None:
    double.control.set_dunning(retry_days=[1], then=status)
    subscription = subscribe(client, double, shop.monthly)
    double.control.set_card(subscription.customer, "decline")
    double.control.advance_clock(to=period_of(subscription)[1] + 5 * DAY)
    assert client.v1.subscriptions.retrieve(subscription.id).status == status


def test_a_scheduled_cancellation_happens_at_the_periods_end(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    end = period_of(subscription)[1]
    planned = client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (planned.status, planned.cancel_at) == ("active", end)
    double.control.advance_clock(to=end + 1)
    over = client.v1.subscriptions.retrieve(subscription.id)
    assert (over.status, over.ended_at) == ("canceled", end)
    assert len(client.v1.events.list({"type": "customer.subscription.deleted"}).data) == 1


def test_a_cancellation_can_be_set_for_an_instant(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    at = double.control.clock()["now"] + 5 * DAY
    planned = client.v1.subscriptions.update(subscription.id, {"cancel_at": at})
    assert (planned.cancel_at, planned.cancel_at_period_end) == (at, False)
    double.control.advance_clock(to=at)
    assert client.v1.subscriptions.retrieve(subscription.id).ended_at == at


def test_a_scheduled_cancellation_can_be_taken_back(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    kept = client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (kept.cancel_at, kept.canceled_at) == (None, None)
    double.control.advance_clock(advance_seconds=2 * MONTH)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_canceling_now_leaves_the_items_period_ahead(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    over = client.v1.subscriptions.cancel(subscription.id)
    assert over.ended_at is not None
    assert over.ended_at < period_of(over)[1]


def test_an_unpaid_first_invoice_expires_the_subscription(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    customer = client.v1.customers.create({"payment_method": "pm_card_chargeCustomerFail"}).id
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": "pm_card_visa"}})
    subscription = client.v1.subscriptions.create({"customer": customer, "items": [{"price": shop.monthly}]})
    assert subscription.status == "incomplete"
    double.control.advance_clock(advance_seconds=DAY)
    expired = client.v1.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    invoice: Any = expired.latest_invoice
    assert (expired.status, invoice.status) == ("incomplete_expired", "void")


def test_a_frozen_clock_puts_changes_into_one_second(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, receiver: Receiver
) -> None:
    double.control.freeze_clock()
    subscription = subscribe(client, double, shop.monthly)
    for quantity in (2, 3, 4):
        item = subscription["items"].data[0].id
        client.v1.subscription_items.update(item, {"quantity": quantity, "proration_behavior": "none"})
    assert double.control.wait_for_deliveries()
    changes = [e for e in receiver.events if e["type"] == "customer.subscription.updated"]
    assert (len(changes), len({e["created"] for e in changes})) == (4, 1)


def test_the_clock_cannot_go_back(double: StripeDouble) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        double.control.advance_clock(to=1)


def test_an_open_checkout_is_unharmed_by_small_steps(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    session = open_checkout(client, shop.monthly)
    double.control.advance_clock(advance_seconds=DAY - 60)
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
