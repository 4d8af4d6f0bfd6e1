"""A replay beside deliveries, faults and the end of its time: one effect, nothing lost, nothing held up."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from billing.errors import Transient
from billing.store.connection import transaction
from billing.store.inbox import GIVEN_UP
from billing.store.replays import Place, Wanted
from billing.usecases.apply_event import Worker, apply_event, fail_event
from billing.usecases.operator import Operator
from billing.usecases.publish_outbox import Publisher
from billing.usecases.replay_event import NEEDED_SECONDS, Order, publish_events, replay_event, replay_events
from tests.support.interrupted_stripe import InterruptedStripe
from tests.support.shop import Shop

ORDER = Order(Operator("ann", "key_1", "req-1"), "because")
FAILED = Wanted("failed")


def given_up(shop: Shop, kind: str) -> tuple[str, bytes]:
    """An event that the queue gave up: a delivery takes it up again, and so does a replay."""
    body = next(body for body in shop.events() if json.loads(body)["type"] == kind)
    fail_event(shop.worker, body, f"{GIVEN_UP}KeyError")
    return json.loads(body)["id"], body


def effects(shop: Shop) -> tuple[int, int, int]:
    """The customer's version, the changes recorded, the purchases."""
    [row] = shop.rows(
        "SELECT (SELECT max(version) FROM customers), (SELECT count(*) FROM holdings_changes),"
        " (SELECT count(*) FROM purchases)"
    )
    return row


def replays_on_record(shop: Shop) -> int:
    [(count,)] = shop.rows("SELECT count(*) FROM audit WHERE action = 'event.replay'")
    return int(count)


def seconds(*left: float) -> Callable[[], float]:
    return iter(left).__next__


def test_deliveries_and_replays_at_once_have_one_effect(shop: Shop) -> None:
    shop.buy("ann", "badge")
    event_id, body = given_up(shop, "checkout.session.completed")

    def settle(place: int) -> str:
        with shop.own_worker() as worker:
            if place % 2:
                return apply_event(worker, body).status
            done = replay_event(worker, event_id, ORDER)
            publish_events(worker, [event_id])
            return done.status

    with ThreadPoolExecutor(8) as threads:
        statuses = set(threads.map(settle, range(16)))

    assert statuses == {"applied"}
    assert effects(shop) == (1, 1, 1)
    assert replays_on_record(shop) == 8
    assert shop.check("ann", "badge")["allowed"]
    assert shop.rows("SELECT count(*) FROM outbox WHERE customer_id IS NOT NULL") == [(0,)]


def test_a_delivery_while_a_replay_asks_stripe_has_the_effect_and_the_replay_none(shop: Shop) -> None:
    shop.buy("ann", "badge")
    event_id, body = given_up(shop, "checkout.session.completed")
    slow = InterruptedStripe(shop.stripe, "/v1/checkout/sessions/", lambda: apply_event(shop.worker, body))

    done = replay_event(slow.of(shop.worker), event_id, ORDER)

    assert slow.asked == 1
    assert (done.status, done.previous_status) == ("applied", "applied")
    assert effects(shop) == (1, 1, 1)


def test_what_could_not_be_published_is_owed_and_published_by_the_next_try(
    shop: Shop, dead_publisher: Publisher
) -> None:
    shop.buy("ann", "pro_monthly")
    event_id, _ = given_up(shop, "customer.subscription.updated")
    unheard = replace(shop.worker, publisher=dead_publisher)

    assert replay_event(unheard, event_id, ORDER).status == "applied"
    with pytest.raises(Transient):
        publish_events(unheard, [event_id])

    assert shop.rows("SELECT count(*) FROM outbox WHERE customer_id IS NOT NULL") == [(1,)]
    publish_events(shop.worker, [event_id])
    assert shop.rows("SELECT count(*) FROM outbox WHERE customer_id IS NOT NULL") == [(0,)]


def test_many_stop_before_their_time_is_over_and_say_where_to_go_on(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    for kind in ("customer.created", "customer.subscription.created", "customer.subscription.updated", "invoice.paid"):
        given_up(shop, kind)

    def go_on(worker: Worker, after: Place | None, *left: float) -> tuple[list[str], Place | None, bool]:
        batch = replay_events(worker, FAILED, ORDER, after=after, limit=10, left=seconds(*left))
        return [one.event_id for one in batch.replayed], batch.last, batch.has_more

    first, last, more = go_on(shop.worker, None, 30, NEEDED_SECONDS, NEEDED_SECONDS - 0.1)
    none, still, _ = go_on(shop.worker, last, 1)
    rest, _, over = go_on(shop.worker, still, 30, 30)

    assert (len(first), more) == (2, True)
    assert (none, still) == ([], last)
    assert (len(rest), over) == (2, False)
    assert shop.rows("SELECT count(*) FROM inbox WHERE status = 'failed'") == [(0,)]


def test_one_that_breaks_holds_up_no_other(shop: Shop) -> None:
    shop.buy("ann", "badge")
    shop.buy("ann", "pro_monthly")
    broken, _ = given_up(shop, "checkout.session.completed")
    given_up(shop, "customer.subscription.updated")

    def explode() -> None:
        raise KeyError("surprise")

    worker = InterruptedStripe(shop.stripe, "/v1/checkout/sessions/", explode, always=True).of(shop.worker)
    batch = replay_events(worker, FAILED, ORDER, after=None, limit=10, left=lambda: 30)

    by_id = {one.event_id: one for one in batch.replayed}
    assert (by_id[broken].status, by_id[broken].error) == ("failed", "internal")
    assert isinstance(by_id[broken].fault, KeyError)
    assert [one.status for one in batch.replayed if one.event_id != broken] == ["applied"]


def test_the_audit_has_the_replay_with_its_work_or_not_at_all(shop: Shop) -> None:
    shop.buy("ann", "badge")
    event_id, _ = given_up(shop, "checkout.session.completed")
    shop.double.control.add_fault("503", match="/v1/checkout/sessions", times=None)

    with pytest.raises(Transient):
        replay_event(shop.worker, event_id, ORDER)

    assert replays_on_record(shop) == 0
    with transaction(shop.worker.database_url) as connection:
        assert connection.execute("SELECT status FROM inbox WHERE event_id = %s", (event_id,)).fetchone() == ("failed",)
