"""FAILURES C1-C6: what an Idempotency-Key is worth."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Never

import pytest

from billing.errors import Refused, Transient
from billing.store.connection import Connection, close, transaction
from billing.usecases.once import Finished, Outcome, Request, once

BODY, OTHER_BODY = b"b" * 32, b"c" * 32


@pytest.fixture
def store(database_url: str) -> Iterator[str]:
    yield database_url
    close(database_url)


def request(key: str | None = "key-1", body: bytes = BODY, project: str = "notes", route: str = "POST /x") -> Request:
    return Request(project, route, key, body)


def note(connection: Connection) -> None:
    connection.execute("INSERT INTO customers (namespace, user_id) VALUES ('notes', gen_random_uuid()::text)")


def done(body: str = "{}") -> Finished:
    return Finished(201, body, note)


def notes(store: str) -> int:
    with transaction(store) as connection:
        row = connection.execute("SELECT count(*) FROM customers").fetchone()
    assert row is not None
    return int(row[0])


class Died(BaseException):
    """The process ends here: nothing is cleaned up."""


def die() -> Never:
    raise Died


def crash(store: str, lease: timedelta = timedelta(seconds=-1)) -> None:
    with pytest.raises(Died):
        once(store, request(), die, lease=lease)


def test_the_second_request_gets_the_first_ones_answer(store: str) -> None:
    first = once(store, request(), lambda: done('{"n":1}'))
    second = once(store, request(), lambda: done('{"n":2}'))
    assert first == Outcome(201, '{"n":1}')
    assert second == Outcome(201, '{"n":1}', replayed=True)
    assert notes(store) == 1


def test_without_a_key_each_request_is_a_new_one(store: str) -> None:
    once(store, request(key=None), done)
    assert not once(store, request(key=None), done).replayed
    assert notes(store) == 2
    assert request(key=None).seed != request(key=None).seed


def test_another_body_under_the_key_is_refused(store: str) -> None:
    once(store, request(), done)
    with pytest.raises(Refused) as caught:
        once(store, request(body=OTHER_BODY), done)
    assert caught.value.code == "idempotency_mismatch"


def test_the_same_key_elsewhere_is_another_key(store: str) -> None:
    once(store, request(), done)
    assert not once(store, request(project="other"), done).replayed
    assert not once(store, request(route="POST /y"), done).replayed


def test_while_the_first_is_at_work_the_second_is_told_to_come_again(store: str) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def slow() -> Finished:
        at_work.set()
        assert go_on.wait(10)
        return done()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(in_thread, store, slow)
        assert at_work.wait(10)
        with pytest.raises(Transient) as caught:
            once(store, request(), done)
        with pytest.raises(Refused):
            once(store, request(body=OTHER_BODY), done)
        go_on.set()
        assert first.result(10).status == 201
    assert caught.value.code == "in_flight"
    assert once(store, request(), done).replayed


@pytest.mark.parametrize(
    "fault", [Refused("price_not_found", ""), Transient("stripe_unavailable", ""), KeyError("bug")]
)
def test_what_fails_gives_the_key_back_and_writes_nothing(store: str, fault: Exception) -> None:
    def fail() -> Never:
        raise fault

    with pytest.raises(type(fault)):
        once(store, request(), fail)
    assert not once(store, request(body=OTHER_BODY), done).replayed
    assert notes(store) == 1


def test_a_failure_while_recording_rolls_the_outcome_back_with_it(store: str) -> None:
    def record(connection: Connection) -> None:
        note(connection)
        raise Transient("database_unavailable", "")

    with pytest.raises(Transient):
        once(store, request(), lambda: Finished(201, "{}", record))
    assert notes(store) == 0
    assert not once(store, request(), done).replayed


def test_a_crashed_holder_keeps_the_key_until_its_lease_is_over(store: str) -> None:
    crash(store, lease=timedelta(seconds=45))
    with pytest.raises(Transient) as caught:
        once(store, request(), done)
    assert caught.value.code == "in_flight"


def test_a_crashed_holders_key_is_taken_over_with_the_same_seed(store: str) -> None:
    crash(store)
    assert once(store, request(), done) == Outcome(201, "{}")
    assert request().seed == request().seed
    assert notes(store) == 1


def test_a_holder_that_was_only_slow_does_not_finish_over_its_heir(store: str) -> None:
    def slow() -> Finished:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_thread, store, lambda: done('{"by":"heir"}')).result(10)
        return done('{"by":"slow"}')

    with pytest.raises(Transient):
        once(store, request(), slow, lease=timedelta(seconds=-1))

    assert once(store, request(), done).body == '{"by":"heir"}'
    assert notes(store) == 1


def test_fifty_at_once_do_it_once(store: str) -> None:
    def attempt(_: int) -> str:
        try:
            return in_thread(store, done).body
        except Transient as fault:
            return fault.code

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(attempt, range(50)))

    assert set(answers) <= {"{}", "in_flight"}
    assert "{}" in answers
    assert notes(store) == 1


def in_thread(store: str, work: Callable[[], Finished]) -> Outcome:
    """As `once`, closing this thread's connection."""
    try:
        return once(store, request(), work)
    finally:
        close(store)
