"""All 40,320 orders of eight events, with redeliveries at every step, lead to the one end they have in order."""

import json
from collections.abc import Callable
from math import factorial

import pytest

from billing.store.connection import transaction
from tests.support.orders import state_of, walk_orders
from tests.support.shop import Shop

DAY = 86_400


def kind_of(body: bytes) -> str:
    return str(json.loads(body)["type"])


def a_troubled_subscription(shop: Shop) -> list[bytes]:
    """Bought, disputed; its renewal fails in the very second it becomes past due; changed twice in its last second."""
    control = shop.double.control
    subscription_id = shop.buy("ann", "pro_monthly", quantity=2)
    control.advance_clock(advance_seconds=DAY)
    control.open_dispute(shop.stripe.v1.charges.list({"limit": 1}).data[0].id)
    control.set_card(shop.customer("ann"), "decline")
    bought = shop.events()
    control.advance_clock(advance_seconds=31 * DAY)
    control.freeze_clock()
    item = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"].data[0].id
    for quantity in (5, 9):
        shop.stripe.v1.subscriptions.update(subscription_id, {"items": [{"id": item, "quantity": quantity}]})
    since = shop.events()
    return [
        *(last_of(bought, kind) for kind in ("customer.subscription.created", "invoice.paid")),
        *(last_of(bought, kind) for kind in ("checkout.session.completed", "charge.dispute.created")),
        last_of(since, "invoice.payment_failed"),
        *[body for body in since if kind_of(body) == "customer.subscription.updated"][-3:],
    ]


def last_of(bodies: list[bytes], kind: str) -> bytes:
    return [body for body in bodies if kind_of(body) == kind][-1]


def a_troubled_purchase(shop: Shop) -> list[bytes]:
    """Paid by debit days later; a part refunded, then the rest, which fails after all; disputed, and won."""
    control = shop.double.control
    session_id = shop.open("ann", "badge")
    control.pay_checkout_later(session_id)
    control.advance_clock(advance_seconds=3 * DAY)
    control.settle_checkout(session_id, paid=True)
    [charge] = [charge for charge in shop.stripe.v1.charges.list().data if charge.paid]
    for amount in (100, 400):
        control.advance_clock(advance_seconds=5)
        control.refund(charge.id, amount=amount)
    control.advance_clock(advance_seconds=5)
    control.fail_refund(shop.stripe.v1.refunds.list({"limit": 1}).data[0].id)
    dispute = control.open_dispute(charge.id, amount=400)
    control.advance_clock(advance_seconds=5)
    control.close_dispute(dispute["id"], won=True)
    kinds = {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "charge.refunded",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.closed",
    }
    history = [body for body in shop.events() if kind_of(body) in kinds]
    return [*history, succeeded_before(last_of(history, "refund.failed"))]


def succeeded_before(refund_failed: bytes) -> bytes:
    """What Stripe tells of a slow refund on the way; the double's refunds succeed at once, without a word."""
    event = json.loads(refund_failed)
    event["data"]["object"]["status"] = "succeeded"
    made = {"id": "evt_succeeded", "type": "refund.updated", "created": event["created"] - 3}
    return json.dumps(event | made).encode()


def end_in_order(shop: Shop, history: list[bytes]) -> str:
    shop.apply(history)
    with transaction(shop.worker.database_url) as connection:
        return state_of(connection)


@pytest.mark.parametrize("live", [a_troubled_subscription, a_troubled_purchase])
def test_every_order_of_eight_events_each_redelivered_ends_as_they_do_in_order(
    shop: Shop, live: Callable[[Shop], list[bytes]]
) -> None:
    history = live(shop)
    assert len(history) == 8

    walk = walk_orders(shop.worker, history)

    assert walk.ends.total() == factorial(8)
    assert walk.disturbed == []
    assert list(walk.ends) == [end_in_order(shop, history)], walk.example


def test_walking_on_from_equal_rows_once_leaves_out_no_end(shop: Shop) -> None:
    """The walk above is quick because it merges; this one does not, and finds the same ends as often."""
    history = a_troubled_subscription(shop)[2:7]

    merged, whole = walk_orders(shop.worker, history), walk_orders(shop.worker, history, merge=False)

    assert whole.ends == merged.ends
    assert whole.applications > merged.applications
