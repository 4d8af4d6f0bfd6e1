from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import DAY, MONTH, subscribe
from tests.contract.stripe_double.conftest import Shop


def item_of(subscription: Any) -> Any:
    return subscription["items"].data[0]


def latest_invoice(client: stripe.StripeClient, subscription: str) -> Any:
    return client.v1.subscriptions.retrieve(subscription, {"expand": ["latest_invoice"]}).latest_invoice


def test_more_seats_are_charged_for_the_rest_of_the_period(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    double.control.freeze_clock()
    subscription = subscribe(client, double, shop.monthly)
    item = item_of(subscription)
    half = (item.current_period_end - item.current_period_start) // 2
    double.control.advance_clock(advance_seconds=half)
    client.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item.id, "quantity": 3}], "proration_behavior": "always_invoice"}
    )
    invoice = latest_invoice(client, subscription.id)
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    assert [line.amount for line in invoice.lines.data] == [-600, 1800]


def test_prorations_wait_for_the_next_invoice(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    client.v1.subscriptions.update(subscription.id, {"items": [{"id": item_of(subscription).id, "quantity": 2}]})
    assert latest_invoice(client, subscription.id).billing_reason == "subscription_create"
    double.control.advance_clock(advance_seconds=MONTH + DAY)
    amounts = [line.amount for line in latest_invoice(client, subscription.id).lines.data]
    assert amounts[0] == 2400
    assert amounts[1] < 0 < amounts[2]


def test_a_change_without_proration_bills_nothing_extra(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    change: Any = {"items": [{"id": item_of(subscription).id, "quantity": 2}], "proration_behavior": "none"}
    client.v1.subscriptions.update(subscription.id, change)
    double.control.advance_clock(advance_seconds=MONTH + DAY)
    assert latest_invoice(client, subscription.id).total == 2400


def test_another_rhythm_starts_a_new_period_at_once(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    double.control.freeze_clock()
    now = double.control.advance_clock(advance_seconds=10 * DAY)["now"]
    change: Any = {"items": [{"id": item_of(subscription).id, "price": shop.yearly}]}
    yearly = client.v1.subscriptions.update(subscription.id, change)
    assert (item_of(yearly).price.id, item_of(yearly).current_period_start) == (shop.yearly, now)
    assert item_of(yearly).current_period_end - now in {365 * DAY, 366 * DAY}
    assert latest_invoice(client, subscription.id).status == "paid"


def test_an_item_can_be_added_and_removed(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    added = client.v1.subscription_items.create({"subscription": subscription.id, "price": shop.monthly, "quantity": 5})
    assert client.v1.subscription_items.retrieve(added.id).quantity == 5
    assert client.v1.subscription_items.delete(added.id).to_dict() == {
        "id": added.id,
        "object": "subscription_item",
        "deleted": True,
    }
    assert len(client.v1.subscription_items.list({"subscription": subscription.id}).data) == 1


def test_items_of_different_rhythms_are_refused(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    with pytest.raises(stripe.InvalidRequestError, match="must have the same"):
        client.v1.subscription_items.create({"subscription": subscription.id, "price": shop.yearly})


def test_paused_collection_leaves_the_status_and_voids_the_invoices(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    paused = client.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})
    assert paused.status == "active"
    double.control.advance_clock(advance_seconds=MONTH + DAY)
    assert latest_invoice(client, subscription.id).status == "void"
    resumed = client.v1.subscriptions.update(subscription.id, {"pause_collection": ""})
    assert resumed.pause_collection is None


def test_an_update_tells_what_was_before(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    client.v1.subscriptions.update(subscription.id, {"metadata": {"team": "blue"}})
    event = client.v1.events.list({"type": "customer.subscription.updated", "limit": 1}).data[0]
    assert event.data.to_dict()["previous_attributes"] == {"metadata": {"team": None}}


def test_a_canceled_subscription_cannot_be_changed(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    client.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}, "cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.subscriptions.cancel(subscription.id)
    assert refused.value.http_status == 404


def test_deleting_a_customer_cancels_its_subscriptions(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    client.v1.customers.delete(subscription.customer)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    types = [e.type for e in client.v1.events.list({"limit": 2}).data]
    assert types == ["customer.deleted", "customer.subscription.deleted"]


@pytest.mark.parametrize(
    ("duration", "totals"), [("once", [1200, 600]), ("forever", [600, 600]), ("repeating", [1200, 600])]
)
def test_a_coupon_takes_its_share_for_its_time(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, duration: Any, totals: list[int]
) -> None:
    terms: Any = {"percent_off": 50, "duration": duration}
    if duration == "repeating":
        terms["duration_in_months"] = 1
    coupon = client.v1.coupons.create(terms).id
    subscription = subscribe(client, double, shop.monthly, discounts=[{"coupon": coupon}])
    double.control.advance_clock(advance_seconds=MONTH + DAY)
    invoices = client.v1.invoices.list({"subscription": subscription.id}).data
    assert [invoice.total for invoice in invoices] == totals


@pytest.mark.parametrize(("mode", "amount"), [("graduated", 5 * 500 + 2 * 300), ("volume", 7 * 300)])
def test_tiers_are_summed_or_chosen_by_volume(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, mode: Any, amount: int
) -> None:
    price = client.v1.prices.create(
        {
            "product": shop.product,
            "currency": "usd",
            "recurring": {"interval": "month"},
            "billing_scheme": "tiered",
            "tiers_mode": mode,
            "tiers": [{"up_to": 5, "unit_amount": 500}, {"up_to": "inf", "unit_amount": 300}],
            "expand": ["tiers"],
        }
    )
    assert price.tiers is not None
    assert [tier.up_to for tier in price.tiers] == [5, None]
    subscription = subscribe(client, double, price.id, line_items=[{"price": price.id, "quantity": 7}])
    assert latest_invoice(client, subscription.id).total == amount
