"""Many events in one transaction: what each comes to is what it comes to alone."""

import json
import random
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from billing.store.connection import close
from billing.usecases.apply_batch import Settled, apply_batch
from billing.usecases.apply_event import apply_event
from tests.support.cut_postgres import Cut, run_cut_postgres
from tests.support.postgres import Databases
from tests.support.shop import Shop

USERS = ("ann", "bob", "cyn")


def together(shop: Shop, bodies: Iterable[bytes]) -> dict[str, Settled]:
    return apply_batch(shop.worker, {id_of(body): body for body in bodies})


def id_of(body: bytes) -> str:
    return str(json.loads(body)["id"])


def of_kind(shop: Shop, kind: str) -> list[bytes]:
    return [body for body in shop.events() if json.loads(body)["type"] == kind]


def changed(body: bytes, **members: Any) -> bytes:
    document = json.loads(body)
    document["data"]["object"] |= members.pop("subject", {})
    return json.dumps({**document, **members}).encode()


@pytest.fixture
def created(shop: Shop) -> list[bytes]:
    """The news of three subscriptions, each of another user."""
    for user in USERS:
        shop.buy(user, "pro_monthly", quantity=2)
    return of_kind(shop, "customer.subscription.created")


def test_events_of_different_customers_are_settled_in_one_transaction(shop: Shop, created: list[bytes]) -> None:
    settled = together(shop, created)

    assert {one.outcome.status for one in settled.values()} == {"applied"}
    assert [len(one.customer_ids) for one in settled.values()] == [1, 1, 1]
    assert shop.rows("SELECT count(*), count(DISTINCT xmin::text) FROM inbox") == [(3, 1)]
    assert shop.rows("SELECT version, jsonb_array_length(holdings) FROM customers") == [(1, 1)] * 3


def test_no_two_events_of_one_customer_are_in_one_transaction(shop: Shop, created: list[bytes]) -> None:
    later = [
        changed(body, id=f"evt_later_{place}", created=json.loads(body)["created"] + 9)
        for place, body in enumerate(created)
    ]

    settled = together(shop, [*created, *later])

    assert len(settled) == 6
    assert shop.rows("SELECT count(*) FROM inbox GROUP BY xmin::text") == [(3,), (3,)]


@pytest.mark.parametrize("seed", [1, 2])
def test_in_batches_of_any_order_all_ends_as_it_does_alone(
    shop: Shop, created: list[bytes], databases: Databases, seed: int
) -> None:
    assert created
    shop.double.control.advance_clock(advance_seconds=32 * 86_400)
    events = shop.events()
    with databases.fresh() as url:
        alone = shop.beside(url)
        alone.apply(events)
        random.Random(seed).shuffle(events)  # noqa: S311  no secret

        while events:
            batch, events = events[:10], events[10:]
            settled = together(shop, batch)
            shop.apply(body for body in batch if id_of(body) not in settled)

        assert shop.digest() == alone.digest()
        of_ledger = "SELECT subscription_id, currency, divisor, amount FROM mrr_changes ORDER BY 1, since"
        assert shop.rows(of_ledger) == alone.rows(of_ledger)
        close(url)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"created": 1, "livemode": True}, id="another mode"),
        pytest.param({"api_version": "2020-01-01"}, id="another version's shape"),
        pytest.param({"type": "plan.created"}, id="a type nobody acts on"),
        pytest.param({"subject": {"customer": "cus_stranger"}}, id="a customer not met before"),
        pytest.param({"subject": {"discounts": ["di_1"]}}, id="a discount whose terms are not known"),
        pytest.param({"subject": {"items": {"data": [], "has_more": True}}}, id="items cut short"),
    ],
)
def test_what_is_not_ordinary_is_left_as_it_was_and_its_mates_are_settled(
    shop: Shop, created: list[bytes], odd: dict[str, Any]
) -> None:
    first, *mates = created

    settled = together(shop, [changed(first, **odd), *mates])

    assert settled.keys() == {id_of(mate) for mate in mates}
    assert shop.rows("SELECT count(*) FROM inbox") == [(2,)]


def test_a_price_not_met_before_leaves_out_its_event_alone(shop: Shop, created: list[bytes]) -> None:
    first, *mates = created
    items = json.loads(first)["data"]["object"]["items"]
    items["data"][0]["price"]["id"] = "price_new"

    settled = together(shop, [changed(first, subject={"items": items}), *mates])

    assert settled.keys() == {id_of(mate) for mate in mates}
    assert shop.rows("SELECT count(*) FROM subscriptions") == [(2,)]


def test_an_event_of_the_same_second_is_left_for_stripe_to_settle(shop: Shop, created: list[bytes]) -> None:
    first, *mates = created
    shop.apply([first])

    settled = together(shop, [changed(first, id="evt_same_second"), *mates])

    assert settled.keys() == {id_of(mate) for mate in mates}


def test_what_was_settled_before_is_left_to_be_published_again(shop: Shop, created: list[bytes]) -> None:
    first, *mates = created
    shop.apply([first])

    assert together(shop, created).keys() == {id_of(mate) for mate in mates}
    assert shop.apply([first])[0].repeated


def test_an_older_event_in_a_batch_changes_nothing_and_says_so(shop: Shop, created: list[bytes]) -> None:
    shop.apply(created)
    older = [changed(body, id=f"evt_older_{place}", created=1) for place, body in enumerate(created)]

    settled = together(shop, older)

    assert {one.outcome.status for one in settled.values()} == {"superseded"}
    assert shop.rows("SELECT count(*) FROM inbox WHERE status = 'superseded'") == [(3,)]
    assert shop.rows("SELECT DISTINCT version FROM customers") == [(1,)]


def test_a_batch_of_which_one_breaks_leaves_no_trace(shop: Shop, created: list[bytes]) -> None:
    shop.rows("ALTER TABLE subscriptions ADD CHECK (start_at < 'epoch') NOT VALID")

    assert together(shop, created) == {}
    assert shop.rows("SELECT 1 FROM inbox") == []
    assert shop.rows("SELECT DISTINCT version FROM customers") == [(0,)]


@pytest.mark.parametrize(("cut", "committed"), [("question", False), ("answer", True)])
def test_a_batch_whose_commit_was_lost_is_settled_alone_and_has_one_effect(
    shop: Shop, created: list[bytes], cut: Cut, committed: bool
) -> None:
    with run_cut_postgres(shop.worker.database_url) as line:
        worker = replace(shop.worker, publisher=replace(shop.worker.publisher, database_url=line.url))
        line.cuts.append(cut)

        assert apply_batch(worker, {id_of(body): body for body in created}) == {}
        again = [apply_event(worker, body) for body in created]
        close(line.url)

    assert {outcome.repeated for outcome in again} == {committed}
    assert shop.rows("SELECT DISTINCT version FROM customers") == [(1,)]
    assert shop.rows("SELECT count(*) FROM outbox") == [(0,)]


def test_workers_with_the_same_events_at_once_wait_for_each_other_and_settle_each_once(
    shop: Shop, created: list[bytes]
) -> None:
    def orders() -> Iterator[list[bytes]]:
        for seed in range(6):
            mixed = list(created)
            random.Random(seed).shuffle(mixed)  # noqa: S311  no secret
            yield mixed

    def work(mixed: list[bytes]) -> int:
        with shop.own_worker() as worker:
            settled = apply_batch(worker, {id_of(body): body for body in mixed})
            alone = [apply_event(worker, body) for body in mixed if id_of(body) not in settled]
            return len(settled) + sum(not outcome.repeated for outcome in alone)

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(work, orders())) == 3

    assert shop.rows("SELECT DISTINCT version FROM customers") == [(1,)]
