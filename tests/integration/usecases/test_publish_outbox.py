"""What a commit owes is published before anyone is told it is done, and by the sweep after a crash."""

import json
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from billing.cache import entitlements
from billing.cache.client import Client
from billing.domain import keys
from billing.domain.snapshot import from_document
from billing.errors import Transient
from billing.messages.bus import Bus
from billing.runtime.aws import EVENTBRIDGE, AwsClient
from billing.store.connection import transaction
from billing.store.holdings import record_change
from billing.store.outbox import Backlog, backlog, due_debts
from billing.usecases.publish_outbox import (
    FRESH_AT_ONCE,
    NEEDED_SECONDS,
    TRIED_AT_ONCE,
    Publisher,
    Swept,
    publish_customer,
    publish_project,
    sweep,
)
from billing.usecases.refill_snapshot import refill_key, refill_snapshot
from tests.support.faulty_dynamodb import run_faulty_dynamodb
from tests.support.world import START, World, make_world

pytestmark = pytest.mark.alone

NOW = START + timedelta(days=1)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@pytest.fixture
def world(publisher: Publisher) -> World:
    return make_world(publisher.database_url)


def cached_version(cache: Client, user_id: str) -> int | None:
    item = entitlements.read_snapshot(cache, keys.tag("notes"), user_id)
    return None if item is None else item.version


def test_a_commit_is_published_and_its_debt_paid(world: World, cache: Client, publisher: Publisher) -> None:
    customer_id = world.subscribe("ann")

    assert publish_customer(publisher, customer_id, NOW)

    assert cached_version(cache, "ann") == 2  # the customer's first change, the catalog's first epoch
    assert world.debts() == 0


def test_where_nothing_is_owed_nothing_is_written(world: World, cache: Client, publisher: Publisher) -> None:
    customer_id = world.subscribe("ann")
    publish_customer(publisher, customer_id, NOW)

    assert publish_customer(publisher, customer_id, NOW)
    assert cached_version(cache, "ann") == 2


def test_a_debt_stays_until_the_cache_has_taken_it(
    world: World, cache: Client, publisher: Publisher, dead_publisher: Publisher
) -> None:
    customer_id = world.subscribe("ann")

    with pytest.raises(Transient):
        publish_customer(dead_publisher, customer_id, NOW)
    assert world.debts() == 1

    publish_customer(publisher, customer_id, NOW)
    assert (cached_version(cache, "ann"), world.debts()) == (2, 0)


def test_a_late_publisher_never_overwrites_a_newer_snapshot(world: World, cache: Client, publisher: Publisher) -> None:
    world.subscribe("ann")
    stale = refill_snapshot(world.database_url, cache, "notes", "ann", NOW)
    customer_id = world.subscribe("ann", quantity=5)
    publish_customer(publisher, customer_id, NOW)

    entitlements.put_snapshot(cache, stale, refill=False)

    assert cached_version(cache, "ann") == stale.version + 1


def test_the_sweep_publishes_what_crashes_left_behind(world: World, cache: Client, publisher: Publisher) -> None:
    for user_id in ("ann", "ben", "eve"):
        world.subscribe(user_id)
    world.give("theme", {"dark": True})

    assert sweep(publisher, NOW) == Swept(paid=4, unpaid=0)

    assert [cached_version(cache, user) for user in ("ann", "ben", "eve")] == [3, 3, 3]
    assert world.debts() == 0


def test_a_sweep_that_cannot_publish_says_so_and_keeps_the_debts(world: World, dead_publisher: Publisher) -> None:
    world.subscribe("ann")
    world.key()
    world.give("theme", {"dark": True})

    assert sweep(dead_publisher, NOW) == Swept(paid=0, unpaid=2)

    assert world.debts() == 2


def test_a_catalog_edit_reaches_the_key_records(world: World, cache: Client, publisher: Publisher) -> None:
    key = world.key()
    before = refill_key(world.database_url, cache, keys.digest(key), NOW)
    world.give("theme", {"dark": True})

    publish_project(publisher, "notes", NOW)

    found = entitlements.read(cache, keys.digest(key), keys.tag("notes"), "ann", None)
    assert before is not None
    assert found.key is not None
    assert (found.key.epoch, found.key.version) == (before.epoch + 1, before.version + 1)


def test_refilling_an_unknown_user_stores_an_empty_snapshot(world: World, cache: Client) -> None:
    item = refill_snapshot(world.database_url, cache, "notes", "nobody", NOW)

    assert '"entitlements":[]' in item.body
    assert cached_version(cache, "nobody") == item.version == 1


def test_an_unknown_users_purchase_overrides_the_empty_snapshot_at_once(
    world: World, cache: Client, publisher: Publisher
) -> None:
    refill_snapshot(world.database_url, cache, "notes", "ann", NOW)

    publish_customer(publisher, world.subscribe("ann"), NOW)

    item = entitlements.read_snapshot(cache, keys.tag("notes"), "ann")
    assert item is not None
    assert '"feature":"export"' in item.body


def test_a_refill_of_the_same_version_makes_the_item_fresh_again(world: World, cache: Client) -> None:
    """A strict `>` would leave it stale for ever, and send every check to PostgreSQL."""
    refill = partial(refill_snapshot, world.database_url, cache, "notes", "ann")
    first = refill(NOW)

    second = refill(NOW + timedelta(minutes=6))

    item = entitlements.read_snapshot(cache, keys.tag("notes"), "ann")
    assert item is not None
    assert (item.version, item.fresh_until) == (first.version, second.fresh_until)
    assert second.fresh_until > first.fresh_until


def test_a_refill_that_comes_late_answers_with_the_newer_item_it_found(
    world: World, cache: Client, publisher: Publisher
) -> None:
    """Answering with its own older copy would show some client a step back in time."""
    old = refill_snapshot(world.database_url, cache, "notes", "ann", NOW)
    publish_customer(publisher, world.subscribe("ann"), NOW)

    found = entitlements.put_snapshot(cache, old, refill=True)

    assert found is not None
    assert found.version == old.version + 1


def test_a_refill_answers_from_the_store_while_the_cache_is_down(world: World, dead_publisher: Publisher) -> None:
    world.subscribe("ann")

    item = refill_snapshot(world.database_url, dead_publisher.cache, "notes", "ann", NOW)

    assert '"feature":"export"' in item.body


def test_an_unknown_key_is_no_record(world: World, cache: Client) -> None:
    assert refill_key(world.database_url, cache, bytes(32), NOW) is None


def test_the_stored_document_evaluates_like_the_store(world: World, cache: Client) -> None:
    world.subscribe("ann", quantity=3)

    item = refill_snapshot(world.database_url, cache, "notes", "ann", NOW)

    seats = from_document(item.document).features["seats"].sources
    assert [source.value for source in seats] == [6]


def test_a_bus_that_refuses_holds_up_no_acknowledgement_and_stays_owed(
    world: World, cache: Client, publisher: Publisher
) -> None:
    nowhere = AwsClient(EVENTBRIDGE, 0.2, {**CREDENTIALS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    customer_id = world.subscribe("ann")

    done = publish_customer(Publisher(world.database_url, cache, Bus(nowhere, "default")), customer_id, NOW)

    assert (done, cached_version(cache, "ann"), world.debts()) == (False, 2, 1)
    assert sweep(publisher, NOW) == Swept(paid=1, unpaid=0)


def test_a_change_that_takes_everything_away_is_announced_too(
    world: World, publisher: Publisher, aws_endpoint: str
) -> None:
    customer_id = world.subscribe("ann")
    publish_customer(publisher, customer_id, NOW)
    with transaction(world.database_url) as connection:
        connection.execute("DELETE FROM subscription_items")
        record_change(connection, customer_id, cause_kind="event", cause_id="evt_2", now=NOW)

    with run_faulty_dynamodb(aws_endpoint) as recorder:
        client = AwsClient(EVENTBRIDGE, 2, {**CREDENTIALS, "AWS_ENDPOINT_URL": recorder.url})
        publish_customer(replace(publisher, bus=Bus(client, "default")), customer_id, NOW)
        client.close()

    [(_, request)] = recorder.calls
    announced = json.loads(request["Entries"][0]["Detail"])
    assert (announced["user_id"], announced["version"], announced["entitlements"]) == ("ann", 3, [])


def test_a_debt_that_breaks_its_publication_is_told_and_holds_up_no_other(world: World, publisher: Publisher) -> None:
    """A defect in one customer's rows must not leave everybody behind them unpublished."""
    for user_id in ("ann", "ben", "eve"):
        world.subscribe(user_id)
    with transaction(world.database_url) as connection:
        connection.execute("UPDATE customers SET holdings = '[{}]' WHERE user_id = 'ann'")

    swept = sweep(publisher, NOW)

    assert (swept.paid, swept.unpaid) == (2, 1)
    assert [type(fault) for fault in swept.broken] == [KeyError]
    assert world.debts() == 1


def test_two_hundred_stuck_debts_hold_up_no_newer_one(world: World, cache: Client, publisher: Publisher) -> None:
    for number in range(200):
        world.subscribe(f"stuck-{number}")
    with transaction(world.database_url) as connection:
        connection.execute("UPDATE customers SET holdings = '[{}]'")
    assert sweep(publisher, NOW).unpaid == 200
    world.subscribe("eve")

    swept = sweep(publisher, NOW + timedelta(hours=1))  # by then all of them are due again

    assert (swept.paid, swept.unpaid) == (1, 200)
    assert cached_version(cache, "eve") == 2


def test_debts_without_end_that_are_new_do_not_starve_those_tried_before(world: World, publisher: Publisher) -> None:
    world.subscribe("ann")
    with transaction(world.database_url) as connection:
        connection.execute("UPDATE outbox SET attempts = 3, next_try_at = %s", (NOW,))
    for number in range(FRESH_AT_ONCE + 10):
        world.subscribe(f"new-{number}")

    with transaction(world.database_url) as connection:
        due = due_debts(connection, NOW, fresh=FRESH_AT_ONCE, tried=TRIED_AT_ONCE)

    assert len(due) == FRESH_AT_ONCE + 1
    assert due[-1].customer_id == world.customer("ann")


def test_a_debt_that_could_not_be_paid_steps_back_longer_each_time_to_ten_minutes(
    world: World, dead_publisher: Publisher
) -> None:
    world.subscribe("ann")
    waits = []
    now = NOW
    for _ in range(7):
        assert sweep(dead_publisher, now).unpaid == 1
        assert sweep(dead_publisher, now) == Swept(paid=0, unpaid=0)
        with transaction(world.database_url) as connection:
            [(due,)] = connection.execute("SELECT next_try_at FROM outbox").fetchall()
        waits.append((due - now).total_seconds())
        now = due

    assert waits == [45, 90, 180, 360, 600, 600, 600]


def test_a_new_change_of_a_customer_who_stepped_back_is_tried_at_once(
    world: World, cache: Client, publisher: Publisher, dead_publisher: Publisher
) -> None:
    world.subscribe("ann")
    sweep(dead_publisher, NOW)
    world.subscribe("ann", quantity=2)

    assert sweep(publisher, NOW) == Swept(paid=1, unpaid=0)

    assert (cached_version(cache, "ann"), world.debts()) == (3, 0)


def test_a_sweep_begins_no_debt_it_has_no_time_for(world: World, publisher: Publisher) -> None:
    for user_id in ("ann", "ben", "eve"):
        world.subscribe(user_id)
    clock = iter([20.0, 10.0, NEEDED_SECONDS - 1])

    assert sweep(publisher, NOW, lambda: next(clock)) == Swept(paid=2, unpaid=0)

    assert world.debts() == 1


def test_the_backlog_says_how_many_are_owed_how_many_were_tried_and_since_when(
    world: World, dead_publisher: Publisher
) -> None:
    world.subscribe("ann")
    sweep(dead_publisher, NOW)
    world.subscribe("ben")
    with transaction(world.database_url) as connection:
        connection.execute("UPDATE outbox SET created_at = created_at - interval '1 hour' WHERE attempts > 0")

        owed = backlog(connection)

    assert (owed.debts, owed.tried) == (2, 1)
    assert 3600 <= owed.oldest_seconds < 3700


def test_where_nothing_is_owed_the_backlog_is_empty(world: World) -> None:
    with transaction(world.database_url) as connection:
        assert backlog(connection) == Backlog(0, 0, 0)
