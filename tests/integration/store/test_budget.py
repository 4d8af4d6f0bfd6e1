import time
from concurrent.futures import ThreadPoolExecutor

from billing.store.budget import FETCHES_PER_SECOND, take_token
from billing.store.connection import connect


def test_all_workers_together_get_no_more_than_the_bucket_and_what_flows_in(database_url: str) -> None:
    def ask(_: int) -> int:
        with connect(database_url) as connection:
            return [take_token(connection) for _ in range(100)].count(True)

    with connect(database_url) as connection:
        connection.execute("UPDATE fetch_budget SET tokens = 3, filled_at = clock_timestamp()")
        begun = time.perf_counter()
        with ThreadPoolExecutor(4) as threads:
            taken = sum(threads.map(ask, range(4)))
        seconds = time.perf_counter() - begun

    assert 3 <= taken <= 3 + FETCHES_PER_SECOND * seconds


def test_an_idle_hour_fills_the_bucket_and_no_further(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("UPDATE fetch_budget SET tokens = 0, filled_at = clock_timestamp() - interval '1 hour'")
        taken = [take_token(connection) for _ in range(FETCHES_PER_SECOND)]
        row = connection.execute("SELECT tokens FROM fetch_budget").fetchone()

    assert all(taken)
    assert row is not None
    assert row[0] < FETCHES_PER_SECOND


def test_an_empty_bucket_gives_nothing(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("UPDATE fetch_budget SET tokens = 0.2, filled_at = clock_timestamp() + interval '1 minute'")
        assert not take_token(connection)
