"""Discounts in Stripe's order: an item's own before its subscription's, each off what the one before left."""

from typing import Any

import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import subscribe
from tests.contract.stripe_double.conftest import Shop

HALF: Any = {"id": "half", "duration": "forever", "percent_off": 50}
FIVE: Any = {
    "id": "five",
    "duration": "forever",
    "amount_off": 500,
    "currency": "usd",
    "currency_options": {"eur": {"amount_off": 450}},
}


def started(client: stripe.StripeClient, double: StripeDouble, items: list[Any], discounts: list[str]) -> Any:
    """A subscription of a customer who has a card, with its first invoice's lines."""
    for coupon in (HALF, FIVE):
        client.v1.coupons.create(coupon)
    client.v1.coupons.create(
        {"id": "other", "duration": "forever", "percent_off": 100, "applies_to": {"products": ["prod_other"]}}
    )
    customer = client.v1.customers.create({})
    client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    method = client.v1.payment_methods.list({"customer": customer.id}).data[0].id
    terms: Any = {
        "customer": customer.id,
        "default_payment_method": method,
        "items": items,
        "discounts": [{"coupon": coupon} for coupon in discounts],
    }
    return client.v1.subscriptions.create(terms)


def total(client: stripe.StripeClient, subscription: Any) -> int:
    return client.v1.invoices.list({"subscription": subscription.id}).data[0].total


def test_an_items_own_discount_comes_before_its_subscriptions(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    item = {"price": shop.monthly, "discounts": [{"coupon": "five"}]}
    subscription = started(client, double, [item], ["half"])

    assert total(client, subscription) == (1200 - 500) / 2
    [own] = client.v1.subscription_items.list(
        {"subscription": subscription.id, "expand": ["data.discounts.source.coupon"]}
    ).data[0]["discounts"]
    assert (own.subscription, own.subscription_item is not None) == (None, True)
    assert own.source.coupon.amount_off == 500


def test_an_amount_counts_once_over_all_lines(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    cheap = client.v1.prices.create(
        {"product": shop.product, "currency": "usd", "unit_amount": 300, "recurring": {"interval": "month"}}
    )
    subscription = started(client, double, [{"price": cheap.id}, {"price": shop.monthly}], ["five"])

    assert total(client, subscription) == 300 + 1200 - 500


def test_a_coupon_for_other_products_takes_nothing(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = started(client, double, [{"price": shop.monthly}], ["other"])

    assert total(client, subscription) == 1200


def test_a_coupons_products_and_currencies_come_only_when_asked_for(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly, discounts=[{"coupon": client.v1.coupons.create(FIVE).id}])
    parts = ["discounts.source.coupon.applies_to", "discounts.source.coupon.currency_options"]

    whole: Any = client.v1.subscriptions.retrieve(subscription.id, {"expand": parts}).discounts[0]
    plain = client.v1.coupons.retrieve("five")

    assert whole.source.coupon.currency_options["eur"].amount_off == 450
    assert "currency_options" not in plain.to_dict()
