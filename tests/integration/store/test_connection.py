"""The one connection: nothing that would pin it at RDS Proxy, and no fault of the server's that comes out raw."""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from billing.errors import Transient
from billing.store.connection import Connection, close, connect, current, transaction
from billing.store.exchange import numbers as numbers_of
from billing.store.exchange import texts


def test_nothing_is_prepared_however_often_it_is_asked(database_url: str) -> None:
    with transaction(database_url) as connection:
        for number in range(20):
            connection.execute("SELECT %s::int", (number,))
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    close(database_url)


def test_a_connection_whose_server_went_away_is_replaced_unnoticed(database_url: str) -> None:
    before = current(database_url).info.backend_pid
    with psycopg.connect(database_url) as other:
        assert other.execute("SELECT pg_terminate_backend(%s, 5000)", (before,)).fetchone() == (True,)

    with transaction(database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.info.backend_pid != before
    close(database_url)


def test_a_server_with_no_connection_to_spare_is_a_fault_of_the_moment(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1")
        narrow = urlunsplit(urlsplit(database_url)._replace(netloc=f"narrow@{owner.info.host}:{owner.info.port}"))
        try:
            with connect(narrow), pytest.raises(Transient) as refused:
                connect(narrow)
        finally:
            owner.execute("DROP ROLE narrow")
    assert refused.value.code == "database_unavailable"


def test_a_server_out_of_reach_is_a_fault_of_the_moment() -> None:
    with pytest.raises(Transient), transaction("postgresql://nobody@127.0.0.1:9/nothing"):
        raise AssertionError("there is no transaction to be in")


# --- held transactions -----------------------------------------------------------------------------------------------


@pytest.fixture
def numbers(database_url: str) -> Iterator[Connection]:
    connection = current(database_url)
    connection.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
    yield connection
    close(database_url)


def kept(connection: Connection) -> list[int]:
    return [n for (n,) in connection.execute("SELECT n FROM numbers ORDER BY n")]


def test_what_a_held_transaction_was_told_is_committed_with_it(database_url: str, numbers: Connection) -> None:
    with transaction(database_url, held=True) as connection:
        connection.tell("INSERT INTO numbers VALUES ($1)", "1")
        assert connection.ask("SELECT count(*) FROM numbers") == (b"1",)
        connection.tell("INSERT INTO numbers VALUES ($1)", "2")
    assert kept(numbers) == [1, 2]


def test_psycopgs_own_statements_come_after_what_was_told_before_them(database_url: str, numbers: Connection) -> None:
    with transaction(database_url, held=True) as connection:
        connection.tell("INSERT INTO numbers VALUES (1)")
        assert kept(connection) == [1]
        connection.execute("INSERT INTO numbers VALUES (2)")
    assert kept(numbers) == [1, 2]


def test_what_is_told_outside_a_held_transaction_is_done_at_once(database_url: str, numbers: Connection) -> None:
    with transaction(database_url) as connection:
        connection.tell("INSERT INTO numbers VALUES (1)")
        assert connection.pgconn.transaction_status == TransactionStatus.INTRANS
    assert kept(numbers) == [1]


@pytest.mark.parametrize("asked", [True, False], ids=["shown by the next that asks", "shown at the end"])
def test_a_fault_of_what_was_told_undoes_the_held_transaction(
    database_url: str, numbers: Connection, asked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation), transaction(database_url, held=True) as connection:  # noqa: PT012
        connection.tell("INSERT INTO numbers VALUES (1), (2)")
        connection.tell("INSERT INTO numbers VALUES (1)")
        if asked:
            connection.ask("SELECT 1")
    assert kept(numbers) == []
    assert caplog.records == []  # psycopg's would quote the row


def test_an_exception_undoes_a_held_transaction_and_what_was_told_but_not_sent(
    database_url: str, numbers: Connection
) -> None:
    with pytest.raises(LookupError), transaction(database_url, held=True) as connection:  # noqa: PT012
        connection.tell("INSERT INTO numbers VALUES (1)")
        connection.ask("SELECT 1")
        connection.tell("INSERT INTO numbers VALUES (2)")
        raise LookupError
    with transaction(database_url, held=True) as connection:
        connection.tell("INSERT INTO numbers VALUES (3)")
    assert kept(numbers) == [3]


def test_a_held_trial_is_rolled_back(database_url: str, numbers: Connection) -> None:
    with transaction(database_url, held=True, commit=False) as connection:
        connection.tell("INSERT INTO numbers VALUES (1)")
    assert kept(numbers) == []


def test_a_held_transaction_within_another_is_a_part_of_it(database_url: str, numbers: Connection) -> None:
    with pytest.raises(LookupError), transaction(database_url):  # noqa: PT012
        with transaction(database_url, held=True) as connection:
            connection.tell("INSERT INTO numbers VALUES (1)")
        raise LookupError
    assert kept(numbers) == []


def test_a_server_that_goes_away_in_a_held_transaction_is_a_fault_of_the_moment(
    database_url: str, numbers: Connection
) -> None:
    with pytest.raises(Transient), transaction(database_url, held=True) as connection:
        connection.ask("SELECT pg_terminate_backend(pg_backend_pid())")
    with transaction(database_url, held=True) as connection:
        assert connection.ask("SELECT count(*) FROM numbers") == (b"0",)
    assert numbers.closed


def test_a_message_larger_than_any_buffer_arrives_whole(database_url: str) -> None:
    with transaction(database_url, held=True) as connection:
        assert connection.ask("SELECT length($1::bytea)", b"\x00" * 20_000_000) == (b"20000000",)
    close(database_url)


def test_arrays_are_read_as_they_were_given(database_url: str) -> None:
    odd = ["", "a b", 'quote"', "back\\slash", "{brace}", "NULL", "comma,"]
    with transaction(database_url, held=True) as connection:
        assert connection.ask("SELECT to_jsonb($1::text[])", texts(odd)) == (json.dumps(odd).encode(),)
        assert connection.ask("SELECT to_jsonb($1::bigint[])", numbers_of([1, -2])) == (b"[1, -2]",)
    close(database_url)
