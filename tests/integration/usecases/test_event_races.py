"""Two workers, a hanging Stripe, a lost commit: an event has one effect, and what is newest stays."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from typing import Any, cast

import psycopg
import pytest
import stripe
from stripe import StripeClient

from billing.errors import Transient
from billing.store.connection import close
from billing.usecases.apply_event import MOST_FETCHES, Worker, apply_event
from tests.support.cut_postgres import Cut, run_cut_postgres
from tests.support.interrupted_stripe import InterruptedStripe
from tests.support.shop import Shop

pytestmark = pytest.mark.alone

OTHERS = """
SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS NOT NULL
"""


def of_kind(shop: Shop, kind: str) -> list[bytes]:
    return [body for body in shop.events() if json.loads(body)["type"] == kind]


def in_the_same_second(body: bytes) -> bytes:
    """Another event of the same second about the same object: only Stripe knows which of the two is newer."""
    return json.dumps({**json.loads(body), "id": "evt_same_second"}).encode()


def change_seats(shop: Shop, subscription_id: str, more: int = 1) -> bytes:
    """Returns the event that tells of it."""
    [item] = shop.stripe.v1.subscriptions.retrieve(subscription_id)["items"].data
    shop.double.control.advance_clock(advance_seconds=10)
    quantity = (item.quantity or 0) + more
    shop.stripe.v1.subscriptions.update(subscription_id, {"items": [{"id": item.id, "quantity": quantity}]})
    return of_kind(shop, "customer.subscription.updated")[-1]


# --- two workers ---------------------------------------------------------------------------------------------------


def test_what_was_fetched_before_another_worker_wrote_is_not_stored_but_fetched_again(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly", quantity=2)
    [created] = of_kind(shop, "customer.subscription.created")
    shop.apply([created])
    slow = InterruptedStripe(
        shop.stripe, "/v1/subscriptions/", lambda: shop.apply([change_seats(shop, subscription_id, 7)])
    )

    apply_event(slow.of(shop.worker), in_the_same_second(created))

    assert slow.asked == 2
    assert shop.check("ann", "seats")["value"] == 9


def test_an_object_that_changes_at_each_fetch_is_left_to_a_later_try(shop: Shop) -> None:
    subscription_id = shop.buy("ann", "pro_monthly")
    [created] = of_kind(shop, "customer.subscription.created")
    shop.apply([created])
    restless = InterruptedStripe(
        shop.stripe, "/v1/subscriptions/", lambda: shop.apply([change_seats(shop, subscription_id)]), always=True
    )

    with pytest.raises(Transient) as given_up:
        apply_event(restless.of(shop.worker), in_the_same_second(created))

    assert (given_up.value.code, restless.asked) == ("contended", MOST_FETCHES)
    assert shop.rows("SELECT 1 FROM inbox WHERE event_id = 'evt_same_second'") == []


def test_a_fetch_of_what_another_worker_stored_first_makes_no_second_row(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly", quantity=2)
    [active], [paid] = of_kind(shop, "customer.subscription.updated"), of_kind(shop, "invoice.paid")
    slow = InterruptedStripe(shop.stripe, "/v1/subscriptions/", lambda: shop.apply([active]))

    apply_event(slow.of(shop.worker), paid)

    assert slow.asked == 1
    assert shop.rows("SELECT count(*) FROM subscriptions") == [(1,)]
    assert shop.check("ann", "seats")["value"] == 2


def test_all_events_of_a_purchase_on_eight_workers_at_once_make_one_row_of_each_and_no_deadlock(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly", quantity=3)
    shop.buy("ann", "badge")
    history = shop.events() * 3

    def apply(body: bytes) -> str:
        with shop.own_worker() as worker:
            return apply_event(worker, body).status

    with ThreadPoolExecutor(8) as threads:
        statuses = set(threads.map(apply, history))

    assert statuses <= {"applied", "superseded", "ignored"}
    assert shop.rows("SELECT count(*) FROM subscriptions") == [(1,)]
    assert shop.rows("SELECT count(*) FROM purchases") == [(1,)]
    assert shop.rows("SELECT count(*) FROM stripe_customers") == [(1,)]
    assert (shop.check("ann", "seats")["value"], shop.check("ann", "badge")["allowed"]) == (3, True)
    assert shop.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]


# --- Stripe --------------------------------------------------------------------------------------------------------


class _Lost:
    """Stripe, which knows nothing of what it is asked about."""

    def raw_request(self, _method: str, _path: str, **_params: Any) -> Any:
        raise stripe.InvalidRequestError(  # type: ignore[no-untyped-call]  # the SDK does not annotate it
            "No such subscription", "id", http_status=404, headers={"Date": formatdate(usegmt=True)}
        )


def test_a_subscription_that_stripe_no_longer_has_when_a_tie_is_settled_has_ended(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    [created] = of_kind(shop, "customer.subscription.created")
    shop.apply([created])

    lost = replace(shop.worker, stripe=cast("StripeClient", _Lost()))
    outcome = apply_event(lost, in_the_same_second(created))

    assert outcome.status == "applied"
    assert shop.rows("SELECT status FROM subscriptions") == [("canceled",)]


def test_no_database_transaction_is_open_while_stripe_is_asked(shop: Shop) -> None:
    shop.buy("ann", "badge")
    [completed] = of_kind(shop, "checkout.session.completed")
    seen: set[str] = set()

    def look() -> None:
        with psycopg.connect(shop.worker.database_url) as other:
            seen.update(state for (state,) in other.execute(OTHERS))

    apply_event(InterruptedStripe(shop.stripe, "/v1/checkout/sessions/", look).of(shop.worker), completed)

    assert seen == {"idle"}


# --- the store -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cut", "committed"), [("question", False), ("answer", True)])
def test_a_commit_whose_answer_was_lost_is_tried_again_and_has_one_effect(
    shop: Shop, cut: Cut, committed: bool
) -> None:
    """The worker cannot know whether it was committed; either way the next try ends in the same state, published."""
    shop.buy("ann", "pro_monthly", quantity=2)
    [created] = of_kind(shop, "customer.subscription.created")
    with run_cut_postgres(shop.worker.database_url) as line:
        worker = over(shop.worker, line.url)
        line.cuts.append(cut)
        with pytest.raises(Transient):
            apply_event(worker, created)
        assert shop.rows("SELECT count(*) FROM inbox") == [(int(committed),)]

        again = apply_event(worker, created)
        close(line.url)

    assert again.repeated is committed
    assert shop.rows("SELECT version FROM customers") == [(1,)]
    assert shop.rows("SELECT count(*) FROM outbox") == [(0,)]


def test_while_the_store_is_down_no_event_passes_for_one_that_was_seen(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    [created] = of_kind(shop, "customer.subscription.created")
    nowhere = over(shop.worker, "postgresql://nobody@127.0.0.1:9/nothing")

    for _ in range(2):
        with pytest.raises(Transient):
            apply_event(nowhere, created)

    assert apply_event(shop.worker, created).repeated is False


def over(worker: Worker, database_url: str) -> Worker:
    return replace(worker, publisher=replace(worker.publisher, database_url=database_url))
