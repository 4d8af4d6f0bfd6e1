"""An object of a list and the same object fetched are told in the same words; a list is read a page at a time."""

from typing import Any

import pytest

from billing.payments import objects
from billing.payments.client import StripeClient
from billing.payments.mirrored import COLLECTIONS, Listed, ask_page, read_mirrored, state_of
from infra.local.stripe_double.double import StripeDouble

FETCHES: dict[str, Any] = {
    "customer": objects.fetch_customer,
    "product": objects.fetch_product,
    "price": objects.fetch_price,
    "subscription": objects.fetch_subscription,
    "invoice": objects.fetch_invoice,
    "refund": objects.fetch_refund,
    "dispute": objects.fetch_dispute,
    "checkout.session": objects.fetch_checkout,
}


@pytest.fixture
def user(stripe: StripeClient) -> str:
    return stripe.v1.customers.create({"metadata": {"billing_namespace": "notes", "billing_user_id": "ann"}}).id


def price(stripe: StripeClient, **more: Any) -> str:
    made = {"name": "Pro", "metadata": {"billing_project_id": "notes"}}
    params: Any = {"currency": "usd", "unit_amount": 900, "product_data": made, **more}
    return stripe.v1.prices.create(params).id


def buy(double: StripeDouble, stripe: StripeClient, user: str, mode: str, *prices: str) -> str:
    session = stripe.v1.checkout.sessions.create(
        {
            "mode": mode,
            "customer": user,
            "line_items": [{"price": one, "quantity": 2} for one in prices],
            "success_url": "https://app.example/",
        }
    ).id
    double.control.pay_checkout(session)
    return session


def listed(stripe: StripeClient, kind: str, *, since: int | None = None) -> list[Listed]:
    return list(read_mirrored(stripe, kind, ask_page(stripe, kind, since=since, after=None)).rows)


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_a_list_says_what_the_object_says(double: StripeDouble, stripe: StripeClient, user: str, kind: str) -> None:
    monthly = price(stripe, recurring={"interval": "month"}, lookup_key="pro")
    session = buy(double, stripe, user, "subscription", monthly)
    badge = buy(double, stripe, user, "payment", price(stripe))
    double.control.refund(badge)
    double.control.open_dispute(buy(double, stripe, user, "payment", price(stripe)))
    double.control.set_card(user, "decline")
    double.control.end_period(str(stripe.v1.checkout.sessions.retrieve(session).subscription))
    double.control.advance_clock(advance_seconds=7200)

    rows = [row for row in listed(stripe, kind) if row.state is not None]

    assert rows
    for row in rows:
        assert row.state is not None
        assert row.state["fact"] == state_of(FETCHES[kind](stripe, row.id).fact)["fact"]


def test_whose_an_object_is_comes_with_it(double: StripeDouble, stripe: StripeClient, user: str) -> None:
    badge = buy(double, stripe, user, "payment", price(stripe))
    double.control.refund(badge)

    [refund], [product], [session] = (listed(stripe, kind) for kind in ("refund", "product", "checkout.session"))

    assert refund.state is not None
    assert product.state is not None
    assert session.state is not None
    assert refund.state["customer"] == user
    assert product.state["project"] == "notes"
    assert session.state["products"] == [product.id]


def test_a_subscription_cut_short_in_the_list_is_whole(double: StripeDouble, stripe: StripeClient, user: str) -> None:
    prices = [price(stripe, recurring={"interval": "month"}) for _ in range(13)]
    buy(double, stripe, user, "subscription", *prices)

    [subscription] = listed(stripe, "subscription")

    assert subscription.state is not None
    assert len(subscription.state["fact"]["items"]) == 13


def test_a_checkout_of_a_subscription_and_an_unpaid_one_are_no_purchases(
    double: StripeDouble, stripe: StripeClient, user: str
) -> None:
    buy(double, stripe, user, "subscription", price(stripe, recurring={"interval": "month"}))

    assert [row.state for row in listed(stripe, "checkout.session")] == [None]


def test_what_cannot_be_read_is_listed_without_a_state(double: StripeDouble, stripe: StripeClient, user: str) -> None:
    buy(double, stripe, user, "subscription", price(stripe, recurring={"interval": "month"}))
    [subscription] = listed(stripe, "subscription")
    double.control.change_silently(subscription.id, {"start_date": "soon"})

    [unread] = listed(stripe, "subscription")

    assert (unread.id, unread.state) == (subscription.id, None)


def test_pages_go_on_after_the_last_id_and_end(stripe: StripeClient) -> None:
    made = [stripe.v1.customers.create({}).id for _ in range(130)]

    first = ask_page(stripe, "customer", since=None, after=None)
    second = ask_page(stripe, "customer", since=None, after=first.last)

    pages = [read_mirrored(stripe, "customer", found) for found in (first, second)]
    assert [row.id for page in pages for row in page.rows] == made[::-1]
    assert second.last is None
    assert pages[0].digest != pages[1].digest


def test_only_what_is_made_since_is_listed(double: StripeDouble, stripe: StripeClient, user: str) -> None:
    for _ in range(2):
        double.control.refund(buy(double, stripe, user, "payment", price(stripe)))
        double.control.advance_clock(advance_seconds=1000)
    now = double.control.clock()["now"]

    assert len(listed(stripe, "refund", since=now - 1500)) == 1
