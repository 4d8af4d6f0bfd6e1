"""One walk through every type of object: each answer and each event on the way is judged strictly (conftest.py)."""

from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from infra.local.stripe_double.routes import ROUTES
from infra.local.stripe_double.schemas import params_schema
from infra.local.stripe_double.strictness import kinds_in
from tests.contract.stripe_double.buying import DAY, MONTH, buy, open_checkout, subscribe
from tests.contract.stripe_double.conftest import CheckedClient, Shop
from tests.contract.stripe_double.receiver import Receiver

KINDS = {
    "billing_portal.configuration",
    "billing_portal.session",
    "charge",
    "checkout.session",
    "coupon",
    "customer",
    "discount",
    "dispute",
    "event",
    "invoice",
    "invoice_payment",
    "invoiceitem",
    "item",
    "line_item",
    "payment_intent",
    "payment_method",
    "plan",
    "price",
    "product",
    "refund",
    "subscription",
    "subscription_item",
    "webhook_endpoint",
}


def live_a_life(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    """A subscription bought, changed, failed, paid, disputed, ended; a purchase refunded; a portal visited."""
    coupon = client.v1.coupons.create({"percent_off": 10, "duration": "forever"}).id
    subscription = subscribe(client, double, shop.monthly, discounts=[{"coupon": coupon}])
    subscribe(client, double, shop.yearly, subscription_data={"trial_period_days": 14})
    client.v1.subscription_items.update(subscription["items"].data[0].id, {"quantity": 3})
    double.control.advance_clock(advance_seconds=MONTH)
    double.control.set_card(subscription.customer, "decline")
    double.control.advance_clock(advance_seconds=MONTH + 2 * DAY)
    session = buy(client, double, shop.once)
    refund = double.control.refund(session.id, amount=100)
    double.control.fail_refund(refund["id"])
    double.control.close_dispute(double.control.open_dispute(session.id)["id"], won=True)
    later = open_checkout(client, shop.once, "payment")
    double.control.pay_checkout_later(later.id)
    double.control.settle_checkout(later.id, paid=False)
    client.v1.billing_portal.sessions.create(
        {
            "customer": subscription.customer,
            "flow_data": {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription.id}},
        }
    )
    client.v1.subscriptions.cancel(subscription.id)
    client.v1.customers.delete(subscription.customer)


def read_everything(client: stripe.StripeClient) -> None:
    """Every list there is, with what can be expanded in it."""
    v1 = client.v1
    services: list[tuple[Any, dict[str, Any]]] = [
        (v1.customers, {"expand": ["data.subscriptions"]}),
        (v1.products, {"expand": ["data.default_price"]}),
        (v1.prices, {"expand": ["data.product", "data.currency_options"]}),
        (v1.coupons, {}),
        (v1.checkout.sessions, {"expand": ["data.line_items", "data.subscription"]}),
        (v1.billing_portal.configurations, {}),
        (v1.subscriptions, {"status": "all", "expand": ["data.discounts", "data.latest_invoice.payments"]}),
        (v1.invoices, {"expand": ["data.discounts", "data.payments"]}),
        (v1.invoice_payments, {"expand": ["data.payment.payment_intent"]}),
        (v1.invoice_items, {}),
        (v1.payment_intents, {"expand": ["data.latest_charge", "data.payment_method"]}),
        (v1.charges, {"expand": ["data.refunds"]}),
        (v1.refunds, {"expand": ["data.charge"]}),
        (v1.disputes, {"expand": ["data.charge"]}),
        (v1.payment_methods, {}),
        (v1.webhook_endpoints, {}),
        (v1.events, {}),
    ]
    for service, params in services:
        for entry in service.list(params).data:
            service.retrieve(entry.id)


def test_every_type_of_object_is_what_the_sdk_says(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, checked: CheckedClient, receiver: Receiver
) -> None:
    live_a_life(client, double, shop)
    read_everything(client)
    client.v1.checkout.sessions.line_items.list(client.v1.checkout.sessions.list().data[0].id)
    assert double.control.wait_for_deliveries()
    assert checked.kinds | kinds_in(receiver.events) == KINDS
    assert checked.complaints == receiver.complaints == []


@pytest.mark.parametrize("params", sorted({route.params for route in ROUTES if route.params}))
def test_the_parameters_of_every_route_are_known_to_the_sdk(params: str) -> None:
    assert params_schema(params)["$ref"].endswith(f".{params.rpartition('.')[2]}")
