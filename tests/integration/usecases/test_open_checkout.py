"""FAILURES C4, C8, C19: one customer and one session, whoever races and wherever it crashes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from billing.errors import Transient
from billing.payments import sessions
from billing.store.connection import close
from billing.usecases.ensure_customer import Linked, ensure_customer
from billing.usecases.once import Outcome, Request
from billing.usecases.open_checkout import open_checkout
from billing.usecases.price_order import Seller, Wanted, WantedLine
from tests.support.shop import Shop

T = TypeVar("T")
SELLER = Seller("notes", "notes", ("https://notes.example",))


def sell(shop: Shop, user_id: str = "ann", key: str | None = None) -> Outcome:
    wanted = Wanted(
        user_id=user_id,
        lines=(WantedLine("/lookup_key", None, "pro_monthly", 1),),
        success_url="https://notes.example/done?id={CHECKOUT_SESSION_ID}",
        cancel_url="https://notes.example/",
    )
    request = Request("notes", "POST /api/v1/checkout", key, b"b" * 32)
    return open_checkout(shop.worker.database_url, shop.stripe, SELLER, request, wanted, shop.worker.now)


def ensure(shop: Shop, user_id: str = "ann") -> Linked:
    return ensure_customer(shop.worker.database_url, shop.stripe, "notes", user_id)


def at_once(shop: Shop, count: int, call: Callable[[], T]) -> list[T]:
    """`count` threads, each with its own connection, as Lambda's instances have."""

    def one(_: int) -> T:
        try:
            return call()
        finally:
            close(shop.worker.database_url)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def stripe_customers(shop: Shop) -> list[str]:
    return [customer.id for customer in shop.stripe.v1.customers.list({"limit": 100}).data]


def linked(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows("SELECT id FROM stripe_customers WHERE deleted_at IS NULL")


def test_fifty_first_checkouts_at_once_make_one_customer(shop: Shop) -> None:
    outcomes = at_once(shop, 50, lambda: sell(shop))

    assert {outcome.status for outcome in outcomes} == {201}
    assert len({outcome.body for outcome in outcomes}) == 50
    assert linked(shop) == [(stripe_customers(shop)[0],)]
    assert len(stripe_customers(shop)) == 1
    assert shop.rows("SELECT count(*) FROM customers") == [(1,)]
    assert shop.rows("SELECT count(*) FROM checkout_sessions") == [(50,)]


def test_fifty_at_once_after_crashes_behind_the_stripe_call_still_make_one(shop: Shop) -> None:
    left_behind = sessions.create_customer(shop.stripe, "notes", "ann", 0)  # and the process died
    shop.double.control.add_fault("reset", match="POST /v1/customers", times=10, apply="after")

    at_once(shop, 50, lambda: attempted(lambda: ensure(shop)))

    assert ensure(shop).stripe_id == left_behind
    assert stripe_customers(shop) == [left_behind]
    assert linked(shop) == [(left_behind,)]


def attempted(call: Callable[[], T]) -> T | Transient:
    """A call whose client goes away with a 503 in the worst case."""
    try:
        return call()
    except Transient as fault:
        return fault


def test_many_users_at_once_make_a_customer_each(shop: Shop) -> None:
    users = [f"user-{n}" for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        made = list(pool.map(lambda user: at_once(shop, 2, lambda: ensure(shop, user)), users))
    assert len({pair[0].stripe_id for pair in made}) == 12
    assert all(one == two for one, two in made)


def test_equal_user_ids_of_two_namespaces_are_strangers(shop: Shop) -> None:
    other = ensure_customer(shop.worker.database_url, shop.stripe, "elsewhere", "ann")
    assert ensure(shop).stripe_id != other.stripe_id


def test_a_customer_made_before_a_crash_is_adopted_by_its_event(shop: Shop) -> None:
    left_behind = sessions.create_customer(shop.stripe, "notes", "ann", 0)
    shop.apply(shop.events())
    shop.double.control.advance_clock(advance_seconds=25 * 3600)  # Stripe forgets idempotency keys after 24 h

    assert ensure(shop).stripe_id == left_behind


def test_a_customer_deleted_in_stripe_gets_a_successor(shop: Shop) -> None:
    first = ensure(shop).stripe_id
    shop.stripe.v1.customers.delete(first)
    shop.apply(shop.events())

    second = ensure(shop).stripe_id

    assert second != first
    assert linked(shop) == [(second,)]


def test_a_checkout_notices_by_itself_that_the_customer_was_deleted(shop: Shop) -> None:
    first = ensure(shop).stripe_id
    shop.stripe.v1.customers.delete(first)

    assert sell(shop).status == 201

    assert linked(shop) != [(first,)]
    assert shop.rows("SELECT count(*) FROM stripe_customers") == [(2,)]


def test_a_customer_deleted_before_it_was_ever_recorded_gets_a_successor(shop: Shop) -> None:
    left_behind = sessions.create_customer(shop.stripe, "notes", "ann", 0)
    shop.stripe.v1.customers.delete(left_behind)

    assert sell(shop).status == 201

    assert left_behind not in [row[0] for row in linked(shop)]


def test_a_crash_after_the_session_was_made_leads_to_the_same_session(shop: Shop) -> None:
    """The answer and the rows were lost with the process; its lease is over."""
    first = sell(shop, key="key-1")
    shop.rows("DELETE FROM checkout_sessions RETURNING id")
    shop.rows(
        "UPDATE idempotency_keys SET status = NULL, response = NULL, lease_until = now() - interval '1s' RETURNING key"
    )

    second = sell(shop, key="key-1")

    assert (second.body, second.replayed) == (first.body, False)
    assert shop.rows("SELECT count(*) FROM checkout_sessions") == [(1,)]
    assert len(shop.stripe.v1.checkout.sessions.list().data) == 1


@pytest.mark.parametrize("match", ["POST /v1/customers", "POST /v1/checkout/sessions"])
@pytest.mark.parametrize("apply", ["before", "after"])
def test_stripe_going_down_half_way_leaves_nothing_that_a_retry_does_not_mend(
    shop: Shop, match: str, apply: str
) -> None:
    shop.double.control.add_fault("503", match=match, times=3, apply=apply)  # type: ignore[arg-type]
    with pytest.raises(Transient) as caught:
        sell(shop, key="key-1")
    assert caught.value.code == "stripe_unavailable"
    assert shop.rows("SELECT count(*) FROM idempotency_keys") == [(0,)]

    assert sell(shop, key="key-1").status == 201

    assert len(stripe_customers(shop)) == 1
    assert len(shop.stripe.v1.checkout.sessions.list().data) == 1
    assert linked(shop) == [(stripe_customers(shop)[0],)]


def test_no_database_transaction_is_open_while_stripe_is_asked(shop: Shop) -> None:
    shop.double.control.add_fault("slow", match="POST /v1/(customers|checkout)", times=2, seconds=1)
    with ThreadPoolExecutor(1) as pool:
        selling = pool.submit(at_once, shop, 1, lambda: sell(shop, key="key-1"))
        seen: set[str] = set()
        while not selling.done():
            seen |= {row[0] for row in shop.rows(OTHERS)}
        assert selling.result()[0].status == 201
    assert "idle" in seen
    assert "idle in transaction" not in seen


OTHERS = """
SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
AND state_change < now() - interval '0.5 seconds' AND state IS NOT NULL
"""
