"""Users on Stripe's test clocks (test mode only): in no list unless it is asked for, and of a time of their own."""

import pytest

from tests.support.lab import EVENTS, HOLDINGS, LISTING, Lab, told
from tests.support.shop import Shop


@pytest.fixture
def lab(shop: Shop) -> Lab:
    return Lab(shop)


@pytest.fixture
def subscription(shop: Shop) -> str:
    """Ann's, whom a tester has put on a clock."""
    made = shop.buy("ann", "pro_monthly")
    for object_id in (made, shop.customer("ann")):
        shop.double.control.change_silently(object_id, {"test_clock": "clock_1"})
    return made


def test_what_events_told_of_them_is_believed_though_no_list_shows_it(lab: Lab, shop: Shop, subscription: str) -> None:
    shop.apply(shop.events())
    before = shop.digest()
    assert shop.stripe.v1.subscriptions.list({"status": "all"}).data == []

    assert lab.run(EVENTS, LISTING, HOLDINGS) == []

    assert shop.digest() == before


def test_by_their_time_a_row_may_be_of_a_second_to_come(lab: Lab, shop: Shop, subscription: str) -> None:
    shop.apply(shop.events())
    shop.rows("UPDATE subscriptions SET watermark = 4102444800")

    assert lab.find(LISTING) == []


def test_they_are_asked_for_one_by_one(lab: Lab, shop: Shop, subscription: str) -> None:
    shop.apply(shop.events())
    shop.rows("UPDATE subscription_items SET quantity = 7")

    done = lab.run(LISTING)

    assert told(drift for drift, _ in done) == [("field_mismatch", "subscription", subscription)]
    assert shop.check("ann", "seats")["value"] == 1


def test_one_that_was_never_heard_of_is_left_to_events(lab: Lab, shop: Shop, subscription: str) -> None:
    assert lab.find(LISTING) == []

    lab.run(EVENTS)

    assert shop.check("ann", "export")["allowed"]
