"""What events leave in the ledger of recurring revenue, in whatever order and however often they come."""

import json
from decimal import Decimal
from typing import Any

from tests.support.shop import Shop

LEDGER = (
    "SELECT u.user_id, m.amount, m.divisor, EXTRACT(epoch FROM m.since)::bigint"
    " FROM mrr_changes AS m JOIN customers AS u ON u.id = m.customer_id ORDER BY m.since, u.user_id, m.amount"
)
Entry = tuple[str, Decimal, int, int]


def ledger(shop: Shop) -> list[Entry]:
    return [(user_id, amount, divisor, since) for user_id, amount, divisor, since in shop.rows(LEDGER)]


def wait(shop: Shop, seconds: int = 60) -> int:
    """Settle what happened, then let time pass, so that no two changes share a second. The second it is then."""
    shop.apply(shop.events())
    return int(shop.double.control.advance_clock(advance_seconds=seconds)["now"])


def change_quantity(shop: Shop, subscription_id: str, quantity: int) -> None:
    item = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"].data[0].id
    shop.stripe.v1.subscriptions.update(subscription_id, {"items": [{"id": item, "quantity": quantity}]})


def amounts(shop: Shop) -> list[tuple[str, int]]:
    return [(user_id, int(amount)) for user_id, amount, _, _ in ledger(shop)]


def test_each_change_is_an_entry_at_stripes_second(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly", 2)
    wait(shop)
    change_quantity(shop, subscription_id, 5)
    changed = int(shop.stripe.v1.events.list({"limit": 1}).data[0].created)
    wait(shop)
    shop.stripe.v1.subscriptions.cancel(subscription_id)
    wait(shop)

    assert amounts(shop) == [("ann", 1800), ("ann", 4500), ("ann", 0)]
    assert changed <= ledger(shop)[1][3] < changed + 60, "its own second, or that of the fetch that settled a tie"


def test_a_renewal_leaves_nothing(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    before = wait(shop) and ledger(shop)

    for _ in range(3):
        shop.double.control.advance_clock(advance_seconds=32 * 86_400)
        shop.apply(shop.events())

    assert ledger(shop) == before


def test_redelivered_and_late_events_leave_nothing(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly", 2)
    wait(shop)
    change_quantity(shop, subscription_id, 5)
    wait(shop)
    before = ledger(shop)

    shop.apply(reversed(shop.events()))
    late = json.loads(shop.events()[-1])
    shop.apply([json.dumps({**late, "id": "evt_late", "created": late["created"] - 3000}).encode()])

    assert ledger(shop) == before


def test_a_subscription_that_changes_hands_goes_from_one_to_the_other(shop: Shop) -> None:
    shop.buy("ann", "pro_yearly")
    bob = shop.customer("bob")
    wait(shop)
    active = [body for body in shop.events() if json.loads(body)["type"] == "customer.subscription.updated"][-1]
    moved: Any = json.loads(active)
    moved["data"]["object"]["customer"] = bob
    later = {**moved, "id": "evt_moved", "created": moved["created"] + 30}
    shop.apply([json.dumps(later).encode()])

    assert [(user_id, int(amount), divisor) for user_id, amount, divisor, _ in ledger(shop)] == [
        ("ann", 9000, 12),
        ("bob", 9000, 12),
    ]


def test_the_end_of_a_repeating_discount_is_entered_ahead_and_taken_back_with_the_subscription(shop: Shop) -> None:
    shop.stripe.v1.coupons.create(
        {"id": "start", "duration": "repeating", "duration_in_months": 2, "amount_off": 300, "currency": "usd"}
    )
    session = shop.open("ann", "pro_monthly", discounts=[{"coupon": "start"}])
    shop.double.control.pay_checkout(session)
    now = wait(shop)
    [(_, first, _, _), (_, then, _, ends)] = ledger(shop)
    assert (int(first), int(then)) == (600, 900)
    assert ends > now + 50 * 86_400

    subscription = shop.stripe.v1.checkout.sessions.retrieve(session).subscription
    shop.stripe.v1.subscriptions.cancel(str(subscription))
    wait(shop)

    assert amounts(shop) == [("ann", 600), ("ann", 0)]


def test_what_stripe_no_longer_knows_ends_in_the_ledger_too(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    wait(shop)
    [(watermark,)] = shop.rows("SELECT watermark FROM subscriptions")
    last: Any = json.loads([body for body in shop.events() if b'"customer.subscription.' in body][-1])
    shop.double.control.reset()

    shop.apply([json.dumps({**last, "id": "evt_tie", "created": watermark}).encode()])

    assert amounts(shop)[-1] == ("ann", 0)
