"""What a customer may do through the turns of a subscription's life, from Stripe's events to the answer."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.cache import entitlements as cached
from billing.domain import keys
from billing.domain.answers import check_answer
from billing.domain.catalog import Benefit, Feature
from billing.domain.snapshot import from_document
from billing.store import catalog, projects
from billing.store.connection import transaction
from tests.support.shop import Shop

DAY = 86_400


def of_kind(shop: Shop, kind: str) -> list[bytes]:
    return [body for body in shop.events() if json.loads(body)["type"] == kind]


def edited(body: bytes, event_id: str, later: int = 0, **changes: Any) -> bytes:
    """Another event, `later` seconds after this one, whose object has changed."""
    event = json.loads(body)
    event["data"]["object"] |= changes
    return json.dumps({**event, "id": event_id, "created": event["created"] + later}).encode()


def pass_days(shop: Shop, days: int) -> None:
    """Time passes, and whatever events it brings are applied."""
    shop.double.control.advance_clock(advance_seconds=days * DAY)
    shop.apply(shop.events())


def change_seats(shop: Shop, subscription_id: str, quantity: int) -> None:
    item = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"].data[0].id
    shop.stripe.v1.subscriptions.update(subscription_id, {"items": [{"id": item, "quantity": quantity}]})


# --- changes -------------------------------------------------------------------------------------------------------


def test_seats_bought_and_given_back_count_as_they_last_were(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly", quantity=10)
    for quantity in (30, 5):
        shop.double.control.advance_clock(advance_seconds=60)
        change_seats(shop, subscription_id, quantity)

    shop.apply(reversed(shop.events()))

    assert shop.check("ann", "seats")["value"] == 5


def test_an_upgrade_its_proration_and_its_taking_back_in_one_second_end_as_stripe_says(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly", quantity=2)
    item = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"].data[0].id
    shop.double.control.advance_clock(advance_seconds=DAY)
    shop.double.control.freeze_clock()
    for lookup_key, quantity in (("pro_yearly", 7), ("pro_monthly", 4)):
        change: Any = {"id": item, "price": shop.price(lookup_key), "quantity": quantity}
        shop.stripe.v1.subscriptions.update(subscription_id, {"items": [change]})

    shop.apply(reversed(shop.events()))

    held = shop.check("ann", "seats")
    [(price,)] = shop.rows("SELECT lookup_key FROM subscription_items JOIN prices ON prices.id = price_id")
    assert (held["value"], price) == (4, "pro_monthly")


def test_a_subscription_moved_to_another_customer_is_theirs_and_no_longer_the_firsts(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    bob = shop.customer("bob")
    shop.apply(shop.events())
    active = of_kind(shop, "customer.subscription.updated")[-1]

    [outcome] = shop.apply([edited(active, "evt_moved", later=5, customer=bob)])

    assert outcome.status == "applied"
    assert not shop.check("ann", "export")["allowed"]
    assert shop.check("bob", "export")["allowed"]


def test_a_cancellation_that_is_taken_back_leaves_access_as_it_was(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    before = shop.check("ann", "export")
    ends = shop.double.control.clock()["now"] + 5 * DAY

    shop.stripe.v1.subscriptions.update(subscription_id, {"cancel_at": ends})
    shop.apply(shop.events())
    assert shop.check("ann", "export")["valid_to"] == f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%dT%H:%M:%SZ}"

    shop.double.control.advance_clock(advance_seconds=60)
    shop.stripe.v1.subscriptions.update(subscription_id, {"cancel_at": ""})
    shop.apply(shop.events())
    assert shop.check("ann", "export")["valid_to"] == before["valid_to"]


def test_paused_collection_changes_nothing(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    before = shop.check("ann", "export")

    shop.stripe.v1.subscriptions.update(subscription_id, {"pause_collection": {"behavior": "void"}})
    shop.apply(shop.events())
    assert shop.check("ann", "export") == before

    pass_days(shop, 32)
    assert shop.check("ann", "export")["allowed"]


# --- trials and free things ----------------------------------------------------------------------------------------


def start_trial(shop: Shop, missing_card: Any = "create_invoice", card: bool = False) -> None:
    """Seven days of pro on trial, without a card unless told."""
    customer = shop.customer("ann")
    if card:
        session = shop.open("ann", "pro_monthly", subscription_data={"trial_period_days": 7})
        shop.double.control.pay_checkout(session)
    else:
        shop.stripe.v1.subscriptions.create(
            {
                "customer": customer,
                "items": [{"price": shop.price("pro_monthly")}],
                "trial_period_days": 7,
                "trial_settings": {"end_behavior": {"missing_payment_method": missing_card}},
            }
        )
    shop.apply(shop.events())


def test_a_trial_that_becomes_a_paid_subscription_leaves_no_gap(shop: Shop) -> None:
    start_trial(shop, card=True)
    assert shop.check("ann", "export")["allowed"]

    pass_days(shop, 8)

    assert shop.rows("SELECT status FROM subscriptions") == [("active",)]
    assert shop.check("ann", "export")["allowed"]


@pytest.mark.parametrize(("missing_card", "status"), [("pause", "paused"), ("cancel", "canceled")])
def test_a_trial_that_ends_without_a_card_ends_access_with_it(shop: Shop, missing_card: str, status: str) -> None:
    start_trial(shop, missing_card)
    assert shop.check("ann", "export")["allowed"]

    pass_days(shop, 8)

    assert shop.rows("SELECT status FROM subscriptions") == [(status,)]
    assert shop.check("ann", "export")["allowed"] is False


def test_a_trial_whose_first_payment_fails_has_the_grace_period(shop: Shop) -> None:
    start_trial(shop, card=True)
    shop.double.control.set_card(shop.customer("ann"), "decline")

    pass_days(shop, 8)

    assert shop.rows("SELECT status FROM subscriptions") == [("past_due",)]
    assert shop.check("ann", "export")["allowed"]
    pass_days(shop, 8)
    assert shop.check("ann", "export")["reason"] == "past_due_grace_ended"


@pytest.mark.parametrize(("lookup_key", "feature"), [("badge", "badge"), ("pro_monthly", "export")])
def test_what_a_full_discount_makes_free_is_held_without_payment(shop: Shop, lookup_key: str, feature: str) -> None:
    coupon = shop.stripe.v1.coupons.create({"percent_off": 100, "duration": "forever"}).id
    session = shop.open("ann", lookup_key, discounts=[{"coupon": coupon}])
    assert shop.double.control.pay_checkout(session)["payment_status"] == "no_payment_required"

    shop.apply(shop.events())

    assert shop.check("ann", feature)["allowed"]


# --- dunning -------------------------------------------------------------------------------------------------------


def fail_renewal(shop: Shop) -> datetime:
    """Returns the instant of the first failure."""
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.double.control.set_card(shop.customer("ann"), "decline")
    pass_days(shop, 31)
    [(failed_at,)] = shop.rows("SELECT first_failed_at FROM invoices WHERE first_failed_at IS NOT NULL")
    assert isinstance(failed_at, datetime)
    return failed_at


def test_a_payment_within_the_grace_leaves_no_gap(shop: Shop) -> None:
    failed_at = fail_renewal(shop)
    assert shop.check("ann", "export")["allowed"]
    shop.double.control.set_card(shop.customer("ann"), "ok")

    pass_days(shop, 6)

    assert shop.rows("SELECT status FROM subscriptions") == [("active",)]
    assert shop.check("ann", "export", at=failed_at + timedelta(days=8))["allowed"]


def test_a_payment_after_the_grace_gives_access_back(shop: Shop) -> None:
    """Access ended here while Stripe goes on charging would be the worse wrong."""
    shop.double.control.set_dunning(retry_days=[10], then="past_due")
    failed_at = fail_renewal(shop)
    assert shop.check("ann", "export", at=failed_at + timedelta(days=7))["reason"] == "past_due_grace_ended"
    shop.double.control.set_card(shop.customer("ann"), "ok")

    pass_days(shop, 11)

    assert shop.check("ann", "export")["allowed"]


# --- reach and bounds ----------------------------------------------------------------------------------------------


def test_an_event_that_changes_what_two_projects_give_is_published_to_both_before_it_is_done(shop: Shop) -> None:
    """`tasks` shares the users of `notes`, and pro of `notes` gives a feature of `tasks` too."""
    url = shop.worker.database_url
    with transaction(url) as connection:
        projects.insert_project(
            connection, project_id="tasks", name="Tasks", namespace="notes", allowed_origins=["https://tasks.example"]
        )
        catalog.upsert_feature(connection, "tasks", Feature("boards", "boolean"), "Boards")
        [(product_id,)] = connection.execute("SELECT product_id FROM prices WHERE lookup_key = 'pro_monthly'")
        catalog.upsert_benefit(connection, "tasks", Benefit("boards", True), product_id=product_id, price_id=None)
    shop.buy("ann", "pro_monthly")

    shop.apply(of_kind(shop, "customer.subscription.updated"))

    now = datetime.fromtimestamp(shop.double.control.clock()["now"], UTC)
    for project_id, feature in (("notes", "export"), ("tasks", "boards")):
        item = cached.read_snapshot(shop.worker.publisher.cache, keys.tag(project_id), "ann")
        assert item is not None
        assert check_answer(from_document(item.document), feature, now)["allowed"]
    assert shop.rows("SELECT count(*) FROM outbox") == [(0,)]


def test_a_period_beyond_all_calendars_is_kept_and_never_ends(shop: Shop) -> None:
    """PostgreSQL would keep the year 12000 and infinity; Python could not read them back."""
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    active = of_kind(shop, "customer.subscription.updated")[-1]
    items = json.loads(active)["data"]["object"]["items"]
    items["data"][0]["current_period_end"] = 316_537_897_600

    [outcome] = shop.apply([edited(active, "evt_far", later=5, items=items)])

    assert outcome.status == "applied"
    answer = shop.check("ann", "export", at=datetime(9999, 12, 30, tzinfo=UTC))
    assert (answer["allowed"], answer["valid_to"]) == (True, None)
