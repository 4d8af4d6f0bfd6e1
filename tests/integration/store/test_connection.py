"""The one connection: nothing that would pin it at RDS Proxy, and no fault of the server's that comes out raw."""

from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from billing.errors import Transient
from billing.store.connection import close, connect, current, transaction


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
