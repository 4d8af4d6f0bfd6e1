from collections.abc import Iterator
from datetime import timedelta

import pytest

from billing.store import idempotency
from billing.store.connection import Connection, connect
from billing.store.idempotency import KeyScope

SCOPE = KeyScope("notes", "POST /x", "key-1")
LEASE = timedelta(seconds=45)
OVER = timedelta(seconds=-1)
BODY = b"b" * 32


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as opened:
        yield opened


def test_a_key_is_taken_once(connection: Connection) -> None:
    assert idempotency.claim(connection, SCOPE, BODY, "first", LEASE)
    assert not idempotency.claim(connection, SCOPE, BODY, "second", LEASE)


@pytest.mark.parametrize(
    "other",
    [
        KeyScope("other", "POST /x", "key-1"),
        KeyScope("notes", "POST /y", "key-1"),
        KeyScope("notes", "POST /x", "key-2"),
    ],
)
def test_keys_of_other_projects_and_routes_are_other_keys(connection: Connection, other: KeyScope) -> None:
    assert idempotency.claim(connection, SCOPE, BODY, "first", LEASE)
    assert idempotency.claim(connection, other, BODY, "second", LEASE)


def test_a_key_whose_lease_is_over_is_taken_over_for_the_same_body_only(connection: Connection) -> None:
    idempotency.claim(connection, SCOPE, BODY, "crashed", OVER)
    assert not idempotency.claim(connection, SCOPE, b"c" * 32, "stranger", LEASE)
    assert idempotency.claim(connection, SCOPE, BODY, "heir", LEASE)
    row = idempotency.find(connection, SCOPE)
    assert row is not None
    assert row.holder == "heir"


def test_only_the_holder_settles_and_only_once(connection: Connection) -> None:
    idempotency.claim(connection, SCOPE, BODY, "crashed", OVER)
    idempotency.claim(connection, SCOPE, BODY, "heir", LEASE)

    assert not idempotency.settle(connection, SCOPE, "crashed", 201, "late")
    assert idempotency.settle(connection, SCOPE, "heir", 201, "done")
    assert not idempotency.settle(connection, SCOPE, "heir", 201, "again")

    row = idempotency.find(connection, SCOPE)
    assert row is not None
    assert (row.status, row.response) == (201, "done")


def test_a_settled_key_is_never_taken_over(connection: Connection) -> None:
    idempotency.claim(connection, SCOPE, BODY, "first", OVER)
    idempotency.settle(connection, SCOPE, "first", 201, "done")
    assert not idempotency.claim(connection, SCOPE, BODY, "second", LEASE)


def test_a_released_key_is_free_and_a_settled_one_stays(connection: Connection) -> None:
    idempotency.claim(connection, SCOPE, BODY, "first", LEASE)
    idempotency.release(connection, SCOPE, "another")
    assert idempotency.find(connection, SCOPE) is not None
    idempotency.release(connection, SCOPE, "first")
    assert idempotency.find(connection, SCOPE) is None

    idempotency.claim(connection, SCOPE, BODY, "second", LEASE)
    idempotency.settle(connection, SCOPE, "second", 201, "done")
    idempotency.release(connection, SCOPE, "second")
    assert idempotency.find(connection, SCOPE) is not None


def test_old_keys_are_forgotten_and_young_ones_kept(connection: Connection) -> None:
    idempotency.claim(connection, SCOPE, BODY, "first", LEASE)
    assert idempotency.prune(connection, timedelta(hours=1)) == 0
    assert idempotency.prune(connection, timedelta(seconds=-1)) == 1
    assert idempotency.find(connection, SCOPE) is None
