"""What a customer does, in one call each."""

from typing import Any

import stripe

from infra.local.stripe_double.double import StripeDouble

DAY = 86_400
MONTH = 31 * DAY


def open_checkout(client: stripe.StripeClient, price: str, mode: str = "subscription", **params: Any) -> Any:
    wanted: Any = {
        "mode": mode,
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": "https://app.example/done?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://app.example/back",
        **params,
    }
    return client.v1.checkout.sessions.create(wanted)


def subscribe(client: stripe.StripeClient, double: StripeDouble, price: str, **params: Any) -> Any:
    """A customer subscribes through the checkout; the subscription."""
    session = open_checkout(client, price, **params)
    paid = double.control.pay_checkout(session.id, email="ada@example.com")
    return client.v1.subscriptions.retrieve(paid["subscription"])


def buy(client: stripe.StripeClient, double: StripeDouble, price: str) -> Any:
    """A customer buys something once; the completed session."""
    session = open_checkout(client, price, "payment")
    double.control.pay_checkout(session.id)
    return client.v1.checkout.sessions.retrieve(session.id)
