import http.client
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import DAY, open_checkout, subscribe
from tests.contract.stripe_double.conftest import Shop


def browse(url: str, **form: str) -> tuple[int, str, str]:
    """GET the page, or POST the form: status, where it redirects to, the page."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST" if form else "GET", parts.path, urlencode(form), headers)
    response = connection.getresponse()
    page = response.read().decode()
    connection.close()
    return response.status, response.headers.get("Location", ""), page


def open_portal(client: stripe.StripeClient, customer: str) -> Any:
    return client.v1.billing_portal.sessions.create({"customer": customer, "return_url": "https://app.example/account"})


def test_the_checkout_page_shows_what_is_bought(client: stripe.StripeClient, shop: Shop) -> None:
    status, _, page = browse(open_checkout(client, shop.monthly).url)
    assert status == 200
    for shown in ("Stripe double — no real money", "Pro", "$12.00 / month", "Pay $12.00"):
        assert shown in page


def test_paying_leads_to_the_success_url_with_the_sessions_id(client: stripe.StripeClient, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly)
    status, target, _ = browse(session.url, action="pay", email="ada@example.com")
    assert (status, target) == (303, f"https://app.example/done?session={session.id}")
    assert client.v1.checkout.sessions.retrieve(session.id).status == "complete"


def test_a_declined_card_shows_the_page_again(client: stripe.StripeClient, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly)
    status, _, page = browse(session.url, action="decline", email="ada@example.com")
    assert (status, "Your card was declined." in page, "Pay $12.00" in page) == (402, True, True)


def test_going_back_leaves_the_checkout_open(client: stripe.StripeClient, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly)
    assert browse(session.url, action="abandon")[:2] == (303, "https://app.example/back")
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_a_trial_is_announced_on_the_page(client: stripe.StripeClient, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly, subscription_data={"trial_period_days": 14})
    page = browse(session.url)[2]
    assert "14 days free" in page
    assert "Start trial" in page


def test_a_finished_checkout_takes_no_second_payment(client: stripe.StripeClient, shop: Shop) -> None:
    session = open_checkout(client, shop.monthly)
    browse(session.url, action="pay")
    status, _, page = browse(session.url, action="pay")
    assert (status, "This checkout is complete." in page) == (400, True)


def test_names_are_escaped(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "<script>alert(1)</script>"}).id
    price = client.v1.prices.create({"product": product, "currency": "usd", "unit_amount": 500}).id
    page = browse(open_checkout(client, price, "payment").url)[2]
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("path", ["/c/pay/cs_test_none", "/p/session/bps_none", "/c/else"])
def test_an_unknown_page_is_404(double: StripeDouble, path: str) -> None:
    assert browse(double.url + path)[0] == 404


def test_the_portal_lists_the_customers_subscriptions(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    page = browse(open_portal(client, subscription.customer).url)[2]
    for shown in ("Pro", "active", "Renews on", "Change plan", "Cancel now", "https://app.example/account"):
        assert shown in page


def test_the_portal_cancels_at_the_periods_end_and_takes_it_back(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    portal = open_portal(client, subscription.customer)
    assert browse(portal.url, action="cancel_at_period_end", subscription=subscription.id)[:2] == (303, portal.url)
    planned = client.v1.subscriptions.retrieve(subscription.id)
    assert planned.cancel_at == planned["items"].data[0].current_period_end
    browse(portal.url, action="renew", subscription=subscription.id)
    assert client.v1.subscriptions.retrieve(subscription.id).cancel_at is None


def test_the_portal_cancels_now(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    browse(open_portal(client, subscription.customer).url, action="cancel_now", subscription=subscription.id)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"


def test_the_portal_changes_plan_and_quantity(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    subscription = subscribe(client, double, shop.monthly)
    portal = open_portal(client, subscription.customer)
    browse(portal.url, action="change_plan", subscription=subscription.id, price=shop.yearly)
    browse(portal.url, action="change_quantity", subscription=subscription.id, quantity="5")
    item = client.v1.subscriptions.retrieve(subscription.id)["items"].data[0]
    assert (item.price.id, item.quantity) == (shop.yearly, 5)


def test_the_portal_resumes_a_paused_subscription(
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
    portal = open_portal(client, customer)
    assert "Resume" in browse(portal.url)[2]
    browse(portal.url, action="resume", subscription=subscription.id)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_a_customer_cannot_touch_anothers_subscription(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    mine, other = (subscribe(client, double, shop.monthly) for _ in range(2))
    portal = open_portal(client, mine.customer)
    assert browse(portal.url, action="cancel_now", subscription=other.id)[0] == 404
    assert client.v1.subscriptions.retrieve(other.id).status == "active"


def test_a_portal_without_configuration_is_refused(client: stripe.StripeClient, double: StripeDouble) -> None:
    double.control.set_portal_missing(missing=True)
    customer = client.v1.customers.create({"name": "Ada"}).id
    with pytest.raises(stripe.InvalidRequestError, match="No configuration provided"):
        open_portal(client, customer)
