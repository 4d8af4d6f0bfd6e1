"""Every request this service sends to Stripe, sent once to the double, which takes only what the SDK knows."""

import re
from decimal import Decimal
from typing import Literal

from billing.domain.prices import Amount, Money, Tier
from billing.payments import catalog, listings, objects, sessions
from billing.payments.client import StripeClient, connect
from billing.payments.events import StripeEvent
from billing.payments.sessions import Mode, Order, OrderLine
from infra.local.stripe_double.double import StripeDouble

SENT = {
    "GET /v1/checkout/sessions/ID",
    "GET /v1/checkout/sessions/ID/line_items",
    "GET /v1/customers/ID",
    "GET /v1/events/ID",
    "GET /v1/invoices/ID",
    "GET /v1/prices",
    "GET /v1/prices/ID",
    "GET /v1/products/ID",
    "GET /v1/subscription_items",
    "GET /v1/subscriptions/ID",
    "POST /v1/billing_portal/sessions",
    "POST /v1/checkout/sessions",
    "POST /v1/customers",
    "POST /v1/customers/ID",
    "GET /v1/products",
    "POST /v1/prices",
    "POST /v1/prices/ID",
    "POST /v1/products",
    "POST /v1/products/ID",
}
_ID = re.compile(r"(?<=/)(?:(?:cs_test|cus|evt|in|price|sub)_\w+|notes_pro)")


def test_stripe_knows_every_parameter_we_send() -> None:
    with StripeDouble(seed=1) as double:
        stripe = connect("sk_test_contract", double.url)
        sell_and_fetch(double, stripe)
        requests = double.control.requests()
    # a product that is made again is found to be there
    assert {entry["path"] for entry in requests if entry["status"] >= 400} == {"/v1/products"}
    assert {f"{entry['method']} {_ID.sub('ID', entry['path'])}" for entry in requests} == SENT


def sell_and_fetch(double: StripeDouble, stripe: StripeClient) -> None:
    for _ in range(2):
        catalog.make_product(stripe, "notes", "notes_pro", "Pro")
    catalog.change_product(stripe, "notes_pro", name="Professional", active=True)
    list_and_archive(stripe)
    monthly = [price(stripe, n, "month") for n in range(11)]
    once = [price(stripe, n, None) for n in range(11)]
    customer = sessions.create_customer(stripe, "notes", "ann", 0)
    sessions.set_email(stripe, customer, "ann@example.com")
    subscribed = sessions.open_checkout(stripe, customer, order("subscription", monthly, trial_days=7), "a").id
    bought = sessions.open_checkout(stripe, customer, order("payment", once), "b").id
    sessions.open_portal(stripe, customer, "https://app.example/")
    double.control.pay_checkout(subscribed)
    double.control.pay_checkout(bought)

    objects.fetch_checkout(stripe, bought)
    session = objects.fetch_checkout(stripe, subscribed)
    assert isinstance(session, objects.Fetched)
    subscription = objects.fetch_subscription(stripe, str(session.fact.subscription_id))
    assert isinstance(subscription, objects.Fetched)
    objects.fetch_customer(stripe, customer)
    invoice = str(subscription.fact.latest_invoice_id)
    objects.fetch_subject(stripe, StripeEvent("evt_1", "invoice.paid", 1, False, None, invoice, "invoice", {}))
    made_up = double.control.emit_event("customer.updated", {"id": customer, "object": "customer"})
    assert isinstance(objects.fetch_event(stripe, made_up["id"]), bytes)


def price(stripe: StripeClient, number: int, interval: Literal["month"] | None) -> str:
    money = Money("usd", Amount(Decimal(100 + number)), interval)
    return catalog.make_price(stripe, "notes_pro", f"notes_{interval}_{number}", money, None).fact.id


def list_and_archive(stripe: StripeClient) -> None:
    tiers = (Tier(10, Decimal("0.5")), Tier(None, Decimal(1), Decimal(7)))
    graduated = Money("usd", Amount(tiers=tiers), "month", tiers_mode="graduated")
    exact = Money("usd", Amount(Decimal("0.5")), options=(("eur", Amount(Decimal("0.25"))),))
    for key, money in (("graduated", graduated), ("exact", exact)):
        made = catalog.make_price(stripe, "notes_pro", key, money, None).fact.id
        catalog.set_default_price(stripe, "notes_pro", made)
    first = listings.prices_by_lookup_key(stripe, ["graduated"])["graduated"].fact.id
    catalog.archive_price(stripe, first)
    catalog.restore_price(stripe, first, "other")
    objects.fetch_price(stripe, first)
    listings.prices_of_product(stripe, "notes_pro")
    listings.products_by_id(stripe, ["notes_pro"])
    list(listings.products_of_project(stripe, "notes"))


def order(mode: Mode, prices: list[str], trial_days: int | None = None) -> Order:
    return Order(
        project_id="notes",
        user_id="ann",
        mode=mode,
        lines=tuple(OrderLine(price_id, 1) for price_id in prices),
        success_url="https://app.example/{CHECKOUT_SESSION_ID}",
        cancel_url="https://app.example/",
        trial_days=trial_days,
        allow_promotion_codes=True,
    )
