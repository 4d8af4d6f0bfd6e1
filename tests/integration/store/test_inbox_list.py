"""The inbox as operators look through it: every event once, newest first, at the same small cost on every page."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from billing.store import inbox_list, replays
from billing.store.connection import Connection, close, transaction
from billing.store.inbox_list import Wanted, list_events
from billing.store.replays import Place, events_to_replay
from tests.support.postgres import Databases

EVENTS = 12_000
LIMIT = 21
START = datetime(2026, 3, 1, tzinfo=UTC)
MIDDLE = START + timedelta(minutes=EVENTS // 6)

# Three a minute: pages end amid an instant. One in a hundred failed, one in fifty is a dispute.
FILL = """
INSERT INTO inbox (event_id, type, status, reason, body, created, object_id, customer_ids, received_at)
SELECT 'evt_' || lpad(((n * 7919) %% %(events)s)::text, 6, '0'),
  CASE WHEN n %% 50 = 7 THEN 'charge.dispute.created' ELSE 'customer.subscription.updated' END,
  CASE WHEN n %% 100 = 5 THEN 'failed' WHEN n %% 100 = 6 THEN 'ignored' ELSE 'applied' END,
  CASE WHEN n %% 100 = 5 THEN 'unmapped_price: no project' END,
  '{}', CASE WHEN n %% 1000 <> 5 THEN 1772323200 + n * 7 %% 5000 END, 'sub_' || n %% 2000, ARRAY[1 + n %% 400],
  %(start)s::timestamptz + n / 3 * interval '1 minute'
FROM generate_series(0, %(events)s - 1) AS n
"""
CUSTOMERS = """
WITH made AS (INSERT INTO customers (namespace, user_id) SELECT 'notes', 'u' || n FROM generate_series(1, 400) AS n
              RETURNING id)
INSERT INTO stripe_customers (id, customer_id) SELECT 'cus_' || id, id FROM made
"""
COST = "SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'inbox'"


@pytest.fixture(scope="module")
def filled(databases: Databases) -> Iterator[str]:
    with databases.lent() as url:
        with transaction(url) as filling:
            filling.execute(CUSTOMERS)
            filling.execute(FILL, {"events": EVENTS, "start": START})
            filling.execute("ANALYZE")
        yield url
        close(url)


@pytest.fixture
def connection(filled: str) -> Iterator[Connection]:
    """Within one transaction, whose own counters tell what a list reads."""
    with transaction(filled) as reading:
        yield reading


def page(
    connection: Connection, wanted: Wanted, after: tuple[datetime, str] | None = None
) -> tuple[list[inbox_list.Row], int, int]:
    """Rows; how often the whole table was walked, and how many of its rows were fetched for it."""
    scans, fetched = cost(connection)
    rows = list_events(connection, wanted, after=after, limit=LIMIT)
    scans_after, fetched_after = cost(connection)
    return rows, scans_after - scans, fetched_after - fetched


def cost(connection: Connection) -> tuple[int, int]:
    row = connection.execute(COST).fetchone()
    assert row is not None
    return row[0], row[1] or 0


def test_pages_tell_every_event_once_newest_first(connection: Connection) -> None:
    seen: list[tuple[datetime, str]] = []
    after = None
    while rows := list_events(connection, Wanted(), after=after, limit=100):
        seen += [(row.received_at, row.event_id) for row in rows]
        after = seen[-1]
    assert len(seen) == EVENTS
    assert seen == sorted(set(seen), reverse=True)


@pytest.mark.parametrize("after", [None, (MIDDLE, "evt_005000"), (START + timedelta(minutes=1), "evt_999999")])
def test_a_page_costs_the_same_wherever_it_lies(connection: Connection, after: tuple[datetime, str] | None) -> None:
    rows, scans, fetched = page(connection, Wanted(), after)
    assert rows
    assert (scans, fetched <= LIMIT + 1) == (0, True)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted(status="failed"), 120),
        (Wanted(type="charge.dispute.created"), 240),
        (Wanted(object_id="sub_77"), 6),
        (Wanted(customer="cus_77"), 30),
        (Wanted(received_from=MIDDLE, received_to=MIDDLE + timedelta(minutes=5)), 15),
        (Wanted(status="failed", type="charge.dispute.created"), 0),
        (Wanted(object_id="sub_nobody"), 0),
        (Wanted(customer="cus_nobody"), 0),
    ],
    ids=str,
)
def test_a_filter_reads_what_it_tells_and_little_more(connection: Connection, wanted: Wanted, count: int) -> None:
    rows, scans, fetched = page(connection, wanted)
    assert len(rows) == min(count, LIMIT)
    assert scans == 0
    assert fetched <= 240  # the rarest of two filters decides


def test_filters_narrow_each_other(connection: Connection) -> None:
    wanted = Wanted(status="failed", type="customer.subscription.updated", received_from=MIDDLE)
    rows = list_events(connection, wanted, after=None, limit=100)
    assert len(rows) == 60
    assert all(row.status == "failed" and row.received_at >= MIDDLE for row in rows)


def test_what_may_be_replayed_comes_in_the_order_of_stripes_clock(connection: Connection) -> None:
    failed: list[Place] = []
    wanted = replays.Wanted("failed")
    while found := events_to_replay(connection, wanted, after=failed[-1] if failed else None, limit=50):
        failed += found
    assert len(failed) == 120
    assert failed == sorted(failed, key=lambda place: (place.created, place.event_id))
    assert sum(place.created == 0 for place in failed) == EVENTS // 1000


def test_what_may_be_replayed_is_found_by_its_index(connection: Connection) -> None:
    scans, fetched = cost(connection)
    found = events_to_replay(connection, replays.Wanted("failed"), after=Place(1772325000, ""), limit=LIMIT)
    scans_after, fetched_after = cost(connection)
    assert len(found) == LIMIT
    assert (scans_after - scans, fetched_after - fetched <= LIMIT + 1) == (0, True)
