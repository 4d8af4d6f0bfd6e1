from datetime import UTC, datetime
from typing import Any

import pytest

from billing.domain.facts import InvoiceFact, SubscriptionFact
from billing.errors import Permanent
from billing.payments.client import API_VERSION, StripeClient
from billing.payments.events import StripeEvent, parse_event
from billing.payments.objects import (
    Fetched,
    Gone,
    fetch_checkout,
    fetch_customer,
    fetch_event,
    fetch_price,
    fetch_product,
    fetch_subject,
    fetch_subscription,
)
from infra.local.stripe_double.double import StripeDouble

NOW = 1_793_000_000


@pytest.fixture(autouse=True)
def _still_clock(double: StripeDouble) -> None:
    double.control.freeze_clock()


def price(stripe: StripeClient, *, recurring: bool = True, **more: Any) -> str:
    params: dict[str, Any] = {"currency": "usd", "unit_amount": 900, "product_data": {"name": "Pro"}, **more}
    if recurring:
        params["recurring"] = {"interval": "month"}
    return stripe.v1.prices.create(params).id  # type: ignore[arg-type]


def session(stripe: StripeClient, prices: list[str], mode: str, **more: Any) -> str:
    customer = stripe.v1.customers.create({}).id
    params = {
        "mode": mode,
        "customer": customer,
        "line_items": [{"price": p, "quantity": 2} for p in prices],
        "success_url": "https://app.example/",
        **more,
    }
    return stripe.v1.checkout.sessions.create(params).id  # type: ignore[arg-type]


def foreign(kind: str, object_type: str | None, object_id: str | None) -> StripeEvent:
    return StripeEvent("evt_1", kind, NOW, False, "2020-08-27", object_id, object_type, {})


def test_a_fetched_subscription_carries_stripes_clock(double: StripeDouble, stripe: StripeClient) -> None:
    paid = session(stripe, [price(stripe)], "subscription")
    double.control.pay_checkout(paid)
    subscription_id = str(stripe.v1.checkout.sessions.retrieve(paid).subscription)

    fetched = fetch_subscription(stripe, subscription_id)

    assert isinstance(fetched, Fetched)
    assert fetched.at == double.control.clock()["now"]
    assert (fetched.fact.id, fetched.fact.status) == (subscription_id, "active")
    assert fetched.fact.items[0].quantity == 2


def test_all_items_of_a_large_subscription_are_fetched(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({}).id
    made = stripe.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price(stripe)} for _ in range(15)], "trial_period_days": 7}
    )
    fetched = fetch_subscription(stripe, made.id)
    assert isinstance(fetched, Fetched)
    assert len({item.id for item in fetched.fact.items}) == 15
    assert not fetched.fact.truncated


def test_what_stripe_does_not_know_is_gone(double: StripeDouble, stripe: StripeClient) -> None:
    now = double.control.clock()["now"]
    assert fetch_subscription(stripe, "sub_none") == Gone("sub_none", now)
    assert fetch_customer(stripe, "cus_none") == Gone("cus_none", now)
    assert fetch_product(stripe, "prod_none") == Gone("prod_none", now)
    assert fetch_price(stripe, "price_none") == Gone("price_none", now)
    assert fetch_checkout(stripe, "cs_none") == Gone("cs_none", now)
    assert fetch_event(stripe, "evt_none") == Gone("evt_none", now)


def test_a_deleted_customer_is_a_fact_that_says_so(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({"metadata": {"billing_namespace": "notes", "billing_user_id": "ann"}}).id
    before = fetch_customer(stripe, customer)
    assert isinstance(before, Fetched)
    assert (before.fact.deleted, before.fact.namespace, before.fact.user_id) == (False, "notes", "ann")

    stripe.v1.customers.delete(customer)

    after = fetch_customer(stripe, customer)
    assert isinstance(after, Fetched)
    assert after.fact.deleted


def test_a_deleted_product_is_gone(stripe: StripeClient) -> None:
    product = stripe.v1.products.create({"name": "Pro"}).id
    stripe.v1.products.delete(product)
    assert isinstance(fetch_product(stripe, product), Gone)


def test_a_price_and_its_product_are_read(stripe: StripeClient) -> None:
    fetched = fetch_price(stripe, price(stripe, lookup_key="pro_monthly"))
    assert isinstance(fetched, Fetched)
    assert (fetched.fact.lookup_key, fetched.fact.unit_amount, fetched.fact.recurring_interval) == (
        "pro_monthly",
        900,
        "month",
    )
    product = fetch_product(stripe, fetched.fact.product_id)
    assert isinstance(product, Fetched)
    assert (product.fact.name, product.fact.active) == ("Pro", True)


def test_a_paid_checkout_has_its_lines_and_the_charges_time(double: StripeDouble, stripe: StripeClient) -> None:
    paid = session(stripe, [price(stripe, recurring=False)], "payment")
    double.control.advance_clock(advance_seconds=600)
    double.control.pay_checkout(paid)

    fetched = fetch_checkout(stripe, paid)

    assert isinstance(fetched, Fetched)
    fact = fetched.fact
    assert (fact.status, fact.paid, fact.mode) == ("complete", True, "payment")
    assert fact.paid_at == datetime.fromtimestamp(double.control.clock()["now"], UTC)
    assert fact.lines is not None
    assert [(line.quantity, line.amount, line.currency) for line in fact.lines] == [(2, 1800, "usd")]


def test_an_open_checkout_has_lines_but_no_time_of_payment(stripe: StripeClient) -> None:
    fetched = fetch_checkout(stripe, session(stripe, [price(stripe, recurring=False)], "payment"))
    assert isinstance(fetched, Fetched)
    assert (fetched.fact.status, fetched.fact.paid, fetched.fact.paid_at) == ("open", False, None)


def test_all_lines_of_a_long_checkout_are_fetched(stripe: StripeClient) -> None:
    prices = [price(stripe, recurring=False) for _ in range(14)]
    fetched = fetch_checkout(stripe, session(stripe, prices, "payment"))
    assert isinstance(fetched, Fetched)
    assert fetched.fact.lines is not None
    assert {line.price_id for line in fetched.fact.lines} == set(prices)


def test_a_kept_event_reads_like_a_delivered_one(stripe: StripeClient) -> None:
    stripe.v1.customers.create({})
    event_id = stripe.v1.events.list({"types": ["customer.created"]}).data[0].id
    body = fetch_event(stripe, event_id)
    assert isinstance(body, bytes)
    event = parse_event(body)
    assert (event.id, event.type, event.api_version) == (event_id, "customer.created", API_VERSION)


def test_an_event_in_a_foreign_shape_is_settled_by_fetching(double: StripeDouble, stripe: StripeClient) -> None:
    paid = session(stripe, [price(stripe)], "subscription")
    double.control.pay_checkout(paid)
    bought = stripe.v1.checkout.sessions.retrieve(paid)

    subscription = fetch_subject(stripe, foreign("customer.subscription.updated", "subscription", bought.subscription))  # type: ignore[arg-type]
    invoice = fetch_subject(stripe, foreign("invoice.paid", "invoice", bought.invoice))  # type: ignore[arg-type]

    assert isinstance(subscription, Fetched)
    assert isinstance(subscription.fact, SubscriptionFact)
    assert isinstance(invoice, Fetched)
    assert isinstance(invoice.fact, InvoiceFact)
    paid_at = stripe.v1.invoices.retrieve(str(bought.invoice)).status_transitions.paid_at
    assert (invoice.fact.outcome, invoice.fact.at) == ("paid", datetime.fromtimestamp(paid_at or 0, UTC))
    assert invoice.fact.subscription_id == bought.subscription


def test_a_foreign_event_of_another_type_is_not_fetched(double: StripeDouble, stripe: StripeClient) -> None:
    assert fetch_subject(stripe, foreign("charge.pending", "charge", "ch_1")) is None
    assert double.control.requests() == []


@pytest.mark.parametrize(("object_type", "object_id"), [("subscription", None), ("review", "prv_1"), (None, "x")])
def test_a_foreign_event_about_nothing_we_know_is_an_unknown_shape(
    stripe: StripeClient, object_type: str | None, object_id: str | None
) -> None:
    with pytest.raises(Permanent) as caught:
        fetch_subject(stripe, foreign("customer.subscription.updated", object_type, object_id))
    assert caught.value.code == "unknown_shape"


def test_an_empty_id_never_lists_the_collection(double: StripeDouble, stripe: StripeClient) -> None:
    with pytest.raises(Permanent):
        fetch_customer(stripe, "")
    assert double.control.requests() == []


def test_an_id_cannot_reach_another_path(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({}).id
    assert isinstance(fetch_product(stripe, f"../customers/{customer}"), Gone)
    assert isinstance(fetch_customer(stripe, f"{customer}?expand[]=x"), Gone)
