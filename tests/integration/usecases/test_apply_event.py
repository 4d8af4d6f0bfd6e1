"""Events in any order, any number of times, end in the state that their history has in order."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing.errors import Transient
from billing.store.connection import close
from billing.usecases.apply_event import apply_event
from tests.support.postgres import Databases
from tests.support.shop import Shop

DAY = 86_400


def kinds(bodies: list[bytes]) -> list[str]:
    return [json.loads(body)["type"] for body in bodies]


def edited(body: bytes, **changes: Any) -> bytes:
    return json.dumps({**json.loads(body), **changes}).encode()


def of_kind(bodies: list[bytes], kind: str) -> bytes:
    return next(body for body in bodies if json.loads(body)["type"] == kind)


# --- what each event does ------------------------------------------------------------------------------------------


def test_a_paid_checkout_gives_access(shop: Shop) -> None:
    assert shop.check("ann", "export")["reason"] == "no_source"

    shop.buy("ann", "pro_monthly", quantity=3)
    shop.apply(shop.events())

    assert shop.check("ann", "export")["allowed"]
    assert shop.check("ann", "seats")["value"] == 3


def test_a_one_time_purchase_gives_access_for_ever(shop: Shop) -> None:
    shop.buy("ann", "badge")

    shop.apply(shop.events())

    answer = shop.check("ann", "badge")
    assert (answer["allowed"], answer["valid_to"]) == (True, None)


def test_a_delayed_payment_gives_access_only_once_it_has_succeeded(shop: Shop) -> None:
    session_id = shop.open("ann", "badge")
    shop.double.control.pay_checkout_later(session_id)
    shop.apply(shop.events())
    assert shop.check("ann", "badge")["reason"] == "no_source"

    shop.double.control.settle_checkout(session_id, paid=True)
    shop.apply(shop.events())

    assert shop.check("ann", "badge")["allowed"]


def test_a_delayed_payment_that_fails_gives_nothing(shop: Shop) -> None:
    session_id = shop.open("ann", "badge")
    shop.double.control.pay_checkout_later(session_id)
    shop.double.control.settle_checkout(session_id, paid=False)

    shop.apply(shop.events())

    assert shop.check("ann", "badge")["reason"] == "no_source"


def test_an_expired_session_gives_nothing(shop: Shop) -> None:
    shop.double.control.expire_checkout(shop.open("ann", "pro_monthly"))

    outcomes = shop.apply(shop.events())

    assert {outcome.status for outcome in outcomes} <= {"applied", "ignored", "superseded"}
    assert shop.check("ann", "export")["reason"] == "no_source"


def test_more_seats_reach_the_limit(shop: Shop) -> None:
    subscription = shop.stripe.v1.subscriptions.retrieve(shop.buy("ann", "pro_monthly", quantity=10))
    item = subscription["items"].data[0].id
    shop.stripe.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "quantity": 30}]})

    shop.apply(shop.events())

    assert shop.check("ann", "seats")["value"] == 30


def test_a_cancellation_at_period_end_keeps_access_until_just_then(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly")
    shop.stripe.v1.subscriptions.update(subscription_id, {"cancel_at_period_end": True})
    shop.apply(shop.events())
    assert shop.check("ann", "export")["allowed"]

    shop.double.control.advance_clock(advance_seconds=32 * DAY)

    # even before the event of its end arrives
    assert shop.check("ann", "export") == shop.check("ann", "export") | {"allowed": False, "reason": "expired"}
    shop.apply(shop.events())
    assert shop.check("ann", "export")["reason"] == "expired"


def test_an_immediate_cancellation_ends_access_though_the_period_lies_ahead(shop: Shop) -> None:
    shop.stripe.v1.subscriptions.cancel(shop.buy("ann", "pro_monthly"))

    shop.apply(shop.events())

    assert shop.check("ann", "export")["reason"] == "expired"


def test_a_failed_renewal_keeps_access_for_the_grace_period_since_the_first_failure(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    shop.double.control.set_card(shop.customer("ann"), "decline")
    shop.double.control.advance_clock(advance_seconds=32 * DAY)
    shop.apply(shop.events())

    [(failed_at,)] = shop.rows("SELECT first_failed_at FROM invoices WHERE first_failed_at IS NOT NULL")
    within = shop.check("ann", "export")
    ends = shop.rows("SELECT first_failed_at + interval '7 days' FROM invoices WHERE first_failed_at IS NOT NULL")
    after = shop.check("ann", "export", at=ends[0][0])

    assert failed_at is not None
    assert within["allowed"]
    assert (after["allowed"], after["reason"]) == (False, "past_due_grace_ended")


def test_a_deleted_stripe_customer_has_no_subscription_any_more(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly")
    before = shop.events()
    shop.stripe.v1.customers.delete(shop.customer("ann"))
    late = [body for body in shop.events() if body not in before]

    shop.apply(reversed(before + late))

    assert shop.check("ann", "export")["allowed"] is False
    assert [row[0] for row in shop.rows("SELECT id FROM subscriptions")] == [subscription_id]


def test_an_archived_price_keeps_its_holders(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    shop.stripe.v1.prices.update(shop.price("pro_monthly"), {"active": False})

    shop.apply(shop.events())

    assert shop.rows("SELECT active FROM prices WHERE lookup_key = 'pro_monthly'") == [(False,)]
    assert shop.check("ann", "export")["allowed"]


# --- order ---------------------------------------------------------------------------------------------------------


def a_whole_life(shop: Shop) -> list[bytes]:
    """Subscribe, more seats, a badge, a failed renewal that recovers, another plan, the end. Returns all its events."""
    control = shop.double.control
    history: dict[bytes, None] = {}

    def pass_days(days: int) -> None:
        # Stripe lists the events of the last thirty days only
        history.update(dict.fromkeys(shop.events()))
        control.advance_clock(advance_seconds=days * DAY)

    subscription_id = shop.buy("ann", "pro_monthly", quantity=2)
    item = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"].data[0].id
    pass_days(3)
    shop.stripe.v1.subscriptions.update(subscription_id, {"items": [{"id": item, "quantity": 5}]})
    shop.buy("ann", "badge")
    control.set_card(shop.customer("ann"), "decline")
    pass_days(29)
    control.set_card(shop.customer("ann"), "ok")
    pass_days(8)
    price = shop.price("pro_yearly")
    shop.stripe.v1.subscriptions.update(subscription_id, {"items": [{"id": item, "price": price}]})
    shop.stripe.v1.subscriptions.update(subscription_id, {"cancel_at_period_end": True})
    shop.stripe.v1.subscriptions.update(subscription_id, {"cancel_at_period_end": False})
    pass_days(20)
    shop.stripe.v1.subscriptions.cancel(subscription_id)
    pass_days(1)
    return list(history)


ROUGH_ORDERS = 8
REFERENCE = {"customer.subscription.deleted", "invoice.payment_failed", "checkout.session.completed"}


def test_a_life_delivered_three_times_and_shuffled_ends_as_it_does_in_order(shop: Shop, databases: Databases) -> None:
    history = a_whole_life(shop)
    assert set(kinds(history)) >= REFERENCE
    shop.apply(history)
    in_order = shop.digest()

    for seed in range(ROUGH_ORDERS):
        with databases.lent() as url:
            other = shop.beside(url)
            shuffled = history * 3
            random.Random(seed).shuffle(shuffled)  # noqa: S311  a seeded order, no secret
            other.apply(shuffled)
            assert other.digest() == in_order, f"seed {seed}"
            close(url)


def test_a_life_told_backwards_ends_as_it_does_in_order(shop: Shop, databases: Databases) -> None:
    history = a_whole_life(shop)
    shop.apply(history)

    with databases.lent() as url:
        other = shop.beside(url)
        other.apply(reversed(history))
        assert other.digest() == shop.digest()
        close(url)


def test_the_same_event_a_hundred_times_at_once_is_one_effect(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    created = of_kind(shop.events(), "customer.subscription.created")

    def apply(_: int) -> bool:
        with shop.own_worker() as worker:
            return apply_event(worker, created).repeated

    with ThreadPoolExecutor(8) as threads:
        repeated = list(threads.map(apply, range(100)))

    assert repeated.count(False) == 1
    assert shop.rows("SELECT version FROM customers") == [(1,)]
    assert shop.rows("SELECT count(*) FROM holdings_changes") == [(1,)]


def test_an_older_event_changes_nothing_and_says_so(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly")
    shop.double.control.advance_clock(advance_seconds=DAY)
    shop.stripe.v1.subscriptions.update(subscription_id, {"cancel_at_period_end": True})
    history = shop.events()
    shop.apply([of_kind(history[::-1], "customer.subscription.updated")])
    before = shop.digest()

    [outcome] = shop.apply([of_kind(history, "customer.subscription.created")])

    assert outcome.status == "superseded"
    assert shop.digest() == before


def test_two_changes_in_the_same_second_are_settled_by_asking_stripe(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly")
    shop.double.control.freeze_clock()
    for quantity in (4, 9):
        item = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"].data[0].id
        shop.stripe.v1.subscriptions.update(subscription_id, {"items": [{"id": item, "quantity": quantity}]})
    first, second = [body for body in shop.events() if b"customer.subscription.updated" in body][-2:]

    shop.apply([second, first])

    assert shop.check("ann", "seats")["value"] == 9


def test_a_row_never_goes_back_in_time_on_the_way(shop: Shop) -> None:
    """With a fetched row's watermark at `event.created`, an event between the two would undo what was fetched."""
    subscription_id = shop.buy("ann", "pro_monthly")
    created = of_kind(shop.events(), "customer.subscription.created")
    item = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"].data[0].id
    for quantity in (4, 9):
        shop.double.control.advance_clock(advance_seconds=10)
        shop.stripe.v1.subscriptions.update(subscription_id, {"items": [{"id": item, "quantity": quantity}]})
    middle, _ = [body for body in shop.events() if b"customer.subscription.updated" in body][-2:]
    shop.double.control.advance_clock(advance_seconds=10)

    # the same second as the row: fetched, so the row now knows 9 seats
    shop.apply([created, edited(created, id="evt_same_second")])
    assert shop.check("ann", "seats")["value"] == 9
    [outcome] = shop.apply([middle])

    assert outcome.status == "superseded"
    assert shop.check("ann", "seats")["value"] == 9


def test_a_child_before_its_parent_fetches_what_is_missing(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly", quantity=2)
    shop.rows("DELETE FROM stripe_customers RETURNING id")

    shop.apply([of_kind(shop.events(), "invoice.paid")])

    assert shop.check("ann", "seats")["value"] == 2


def test_a_subscription_of_many_prices_not_met_before_fetches_each_of_them(shop: Shop) -> None:
    product = shop.stripe.v1.prices.retrieve(shop.price("pro_monthly")).product
    prices = [
        shop.stripe.v1.prices.create(
            {"product": str(product), "currency": "usd", "unit_amount": amount, "recurring": {"interval": "month"}}
        ).id
        for amount in range(100, 112)
    ]
    customer = shop.customer("ann")
    shop.double.control.set_card(customer, "ok")
    shop.stripe.v1.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": price} for price in prices],
            "collection_method": "send_invoice",
            "days_until_due": 7,
        }
    )

    [outcome] = shop.apply([of_kind(shop.events(), "customer.subscription.created")])

    assert outcome.status == "applied"
    assert shop.rows("SELECT count(*) FROM subscription_items") == [(12,)]


# --- what is refused -----------------------------------------------------------------------------------------------


def test_an_unknown_type_is_on_record_as_ignored(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    [outcome] = shop.apply([edited(shop.events()[-1], id="evt_odd", type="radar.early_fraud_warning.created")])

    assert (outcome.status, outcome.reason) == ("ignored", "type_not_handled")
    assert shop.rows("SELECT status FROM inbox WHERE event_id = 'evt_odd'") == [("ignored",)]


def test_a_live_event_at_a_test_stage_is_rejected(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    live = edited(of_kind(shop.events(), "customer.subscription.created"), livemode=True)

    [outcome] = shop.apply([live])

    assert outcome.status == "rejected_mode"
    assert shop.check("ann", "export")["reason"] == "no_source"


ENVELOPE = b'{"version":"0","id":"6f9c","detail-type":"customer.created","source":"aws.partner/stripe.com","detail":{}}'


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"1", b"\xff", b"{}", b"[" * 5000, b'{"object":"v2.core.event"}', ENVELOPE]
)
def test_a_signed_body_that_is_no_event_is_kept_as_failed(shop: Shop, body: bytes) -> None:
    first, second = shop.apply([body, body])

    assert (first.status, first.repeated, second.repeated) == ("failed", False, True)
    assert shop.rows("SELECT status, body FROM inbox") == [("failed", body)]


def test_an_event_about_a_product_of_no_project_fails_and_forged_metadata_does_not_help(shop: Shop) -> None:
    foreign = shop.stripe.v1.products.create({"name": "Foreign", "metadata": {"billing_project_id": "notes"}})
    shop.stripe.v1.products.update(foreign.id, {"name": "Ours, honestly"})

    outcomes = shop.apply(body for body in shop.events() if foreign.id.encode() in body)

    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert all((outcome.reason or "").startswith("unknown_project") for outcome in outcomes)


def test_a_customer_this_service_did_not_make_fails_with_the_reason(shop: Shop) -> None:
    stranger = shop.stripe.v1.customers.create({"name": "Stranger"})
    shop.double.control.set_card(stranger.id, "ok")
    shop.stripe.v1.subscriptions.create(
        {
            "customer": stranger.id,
            "items": [{"price": shop.price("pro_monthly")}],
            "collection_method": "send_invoice",
            "days_until_due": 7,
        }
    )

    [outcome] = shop.apply([of_kind(shop.events(), "customer.subscription.created")])

    assert outcome.status == "failed"
    assert (outcome.reason or "").startswith("unknown_customer")


def test_a_null_character_in_metadata_does_no_harm(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    body = of_kind(shop.events(), "customer.subscription.created")
    event = json.loads(body)
    event["data"]["object"]["metadata"] = {"note": "a\u0000b\ud800", "size": "HUGE"}

    [outcome] = shop.apply([json.dumps(event).encode().replace(b'"HUGE"', b"1e200000")])

    assert outcome.status == "applied"


def test_a_foreign_api_version_is_settled_by_fetching_the_pinned_shape(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly", quantity=6)
    event = json.loads(of_kind(shop.events(), "customer.subscription.created"))
    event["api_version"] = "2020-08-27"
    event["data"]["object"]["items"]["data"][0]["quantity"] = 1

    shop.apply([json.dumps(event).encode()])

    assert shop.check("ann", "seats")["value"] == 6


def test_an_unknown_status_gives_no_access_and_is_told(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    event = json.loads(of_kind(shop.events(), "customer.subscription.created"))
    event["data"]["object"]["status"] = "hibernating"

    [outcome] = shop.apply([json.dumps(event).encode()])

    assert outcome.unknown_status == "hibernating"
    assert shop.check("ann", "export")["reason"] == "no_source"


# --- faults --------------------------------------------------------------------------------------------------------


def test_while_stripe_is_down_nothing_is_half_done_and_the_next_try_settles_it(shop: Shop) -> None:
    shop.buy("ann", "badge")
    completed = of_kind(shop.events(), "checkout.session.completed")
    shop.double.control.add_fault(action="503", match="/v1/checkout/sessions", times=None)

    with pytest.raises(Transient):
        shop.apply([completed])
    assert shop.rows("SELECT 1 FROM inbox") == []

    shop.double.control.clear_faults()
    shop.apply([completed])
    assert shop.check("ann", "badge")["allowed"]


def test_dunning_that_never_ends_gives_no_new_grace_every_period(shop: Shop) -> None:
    shop.double.control.set_dunning(then="past_due")
    shop.buy("ann", "pro_monthly")
    history = shop.events()
    shop.double.control.set_card(shop.customer("ann"), "decline")
    for _ in range(3):
        shop.double.control.advance_clock(advance_seconds=20 * DAY)
        history += shop.events()
    shop.double.control.advance_clock(advance_seconds=5 * DAY)

    shop.apply(history + shop.events())

    assert shop.rows("SELECT status FROM subscriptions") == [("past_due",)]
    assert shop.check("ann", "export")["reason"] == "past_due_grace_ended"


def test_a_payment_of_nothing_beside_an_invoice_still_open_puts_grace_back_no_further_than_itself(shop: Shop) -> None:
    """A change of plan may make an invoice over nothing, paid at once, while the one that failed is still tried."""
    shop.double.control.set_dunning(retry_days=[1, 2, 3, 4], then="past_due")
    subscription_id = shop.buy("ann", "pro_monthly")
    shop.double.control.advance_clock(advance_seconds=20 * DAY)
    shop.double.control.set_card(shop.customer("ann"), "decline")
    item = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"]["data"][0]
    for seats, then in ((3, DAY), (1, 2 * DAY)):  # more, which is charged and declined; then less
        change: Any = {"items": [{"id": item["id"], "quantity": seats}], "proration_behavior": "always_invoice"}
        shop.stripe.v1.subscriptions.update(subscription_id, change)
        shop.double.control.advance_clock(advance_seconds=then)

    shop.apply(shop.events())

    assert shop.rows("SELECT status FROM subscriptions") == [("past_due",)]
    [(paid_at,)] = shop.rows("SELECT max(paid_at) FROM invoices")
    [(failed_at,)] = shop.rows("SELECT first_failed_at FROM invoices WHERE paid_at IS NULL")
    assert failed_at < paid_at
    assert shop.check("ann", "export", at=paid_at + timedelta(days=7, seconds=-1))["allowed"]
    assert shop.check("ann", "export", at=paid_at + timedelta(days=7))["reason"] == "past_due_grace_ended"


def test_a_storm_of_ties_asks_stripe_no_more_than_its_budget_and_loses_nothing(shop: Shop) -> None:
    """Checkouts need the account's rate limit too. What is over the budget comes again."""
    shop.double.control.freeze_clock()  # created and updated in one second, however slow the machine
    users = [f"user{n}" for n in range(6)]
    for user in users:
        shop.buy(user, "pro_monthly")
    ties = [body for body in shop.events() if b'"customer.subscription.updated"' in body]
    thrifty = replace(shop.worker, fetches_per_second=1)
    shop.apply(of_kind_all(shop.events(), "customer.subscription.created"))

    asked_before = len(shop.double.control.requests())
    refused = []
    for body in ties:
        try:
            apply_event(thrifty, body)
        except Transient as fault:
            refused.append(fault.code)
    assert set(refused) == {"fetch_budget_spent"}
    assert len(shop.double.control.requests()) - asked_before == len(ties) - len(refused)

    shop.apply(ties)
    assert all(shop.check(user, "export")["allowed"] for user in users)


def of_kind_all(bodies: list[bytes], kind: str) -> list[bytes]:
    return [body for body in bodies if json.loads(body)["type"] == kind]
