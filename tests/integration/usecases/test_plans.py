"""What the hot statements read is found by index, whatever the planner knew when it made its plan."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from billing.payments.events import parse_event
from billing.store.connection import close, current, transaction
from billing.store.reports import sum_movements, sum_revenue
from billing.usecases.apply_batch import apply_batch
from billing.usecases.apply_event import settle_event
from billing.usecases.customer_page import customer_page
from tests.bench.burst_events import PERIOD_START, event_body
from tests.bench.burst_scene import MAKE_CUSTOMERS
from tests.bench.events import make_worker
from tests.support.world import make_world

NOW = datetime(2026, 4, 1, tzinfo=UTC)
SMALL = {"projects", "features", "benefits"}
"""Tables that do not grow with the customers."""

_EXPLAIN = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_level = 'notice'
"""


@pytest.fixture
def plans(database_url: str) -> Iterator[list[str]]:
    """The plans of all that this thread's connection runs from now on, of functions' statements too."""
    make_world(database_url)
    connection = current(database_url)
    connection.execute(MAKE_CUSTOMERS, (50,))
    connection.execute("ANALYZE")  # the planner now knows that there are no subscriptions, and hardly any customers
    seen: list[str] = []
    connection.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))
    for statement in _EXPLAIN.split(";"):
        connection.execute(statement.encode())
    yield seen
    close(database_url)


def read_whole(plans: list[str]) -> set[str]:
    return {table for plan in plans for table in re.findall(r"Seq Scan on (\w+)", plan)}


def test_an_event_reads_no_table_whole_though_its_plans_were_made_when_all_were_empty(
    database_url: str, plans: list[str]
) -> None:
    worker = make_worker(database_url)
    bodies = [event_body(f"evt_{n}", n, second=PERIOD_START + n, quantity=n) for n in range(1, 30)]

    for body in bodies[:10]:
        settle_event(worker, parse_event(body), body)
    apply_batch(worker, {str(n): body for n, body in enumerate(bodies[10:])})

    assert len(plans) > 100
    assert read_whole(plans) == set()


def test_a_customers_page_and_the_reports_of_revenue_can_go_by_index(database_url: str, plans: list[str]) -> None:
    """With the few rows of a test reading a table whole is cheapest: this shows that there is another way."""
    worker = make_worker(database_url)
    body = event_body("evt_1", 1, second=PERIOD_START, quantity=1)
    settle_event(worker, parse_event(body), body)
    current(database_url).execute("SET enable_seqscan = off")
    plans.clear()

    customer_page(database_url, "notes", "1", NOW)
    with transaction(database_url) as connection:
        sum_revenue(connection, ["notes"], NOW)
        sum_movements(connection, ["notes"], NOW - timedelta(days=30), NOW)

    assert len(plans) > 4
    assert read_whole(plans) <= SMALL
