"""One project's numbers are found by its own indexes, however much the others have sold."""

from collections.abc import Iterator
from typing import Any

import pytest

from billing.domain.windows import from_seconds
from billing.store import reports
from billing.store.connection import Connection, close, transaction
from tests.support import random_revenue
from tests.support.random_revenue import NOW

FILL = b"""
INSERT INTO mrr_changes
SELECT o.project_id, i.subscription_id, r.currency, 1, to_timestamp(1000000 * place), k.customer_id, 100
FROM subscription_items AS i JOIN subscriptions AS s ON s.id = i.subscription_id
JOIN stripe_customers AS k ON k.id = s.stripe_customer_id JOIN prices AS r ON r.id = i.price_id
JOIN products AS o ON o.id = r.product_id, generate_series(1, 2) AS place
ON CONFLICT DO NOTHING;

INSERT INTO purchases (session_id, line_item_id, stripe_customer_id, price_id, quantity, amount, currency, paid_at)
SELECT i.id, 'li', s.stripe_customer_id, i.price_id, 1, 500, 'usd', to_timestamp(1790000000)
FROM subscription_items AS i JOIN subscriptions AS s ON s.id = i.subscription_id;

INSERT INTO features (project_id, code, type) SELECT id, 'export', 'boolean' FROM projects;
INSERT INTO grants (id, customer_id, project_id, feature_code, value, valid_from, reason, actor)
SELECT p.id || '-' || c.id, c.id, p.id, 'export', 'true', to_timestamp(0), 'test', 'test'
FROM projects AS p, customers AS c;

ANALYZE;
"""


@pytest.fixture
def crowded(database_url: str) -> Iterator[Connection]:
    """Forty projects, three thousand subscriptions; where there is a road by an index, it is taken."""
    projects = [f"project-{number}" for number in range(40)]
    subscriptions, owners = random_revenue.account(7, 150, projects)
    with transaction(database_url) as connection:
        random_revenue.store(connection, subscriptions, owners)
        random_revenue.multiply(connection, 20)
        connection.execute(FILL)
        connection.execute("SET LOCAL enable_seqscan = off")
        yield connection
    close(database_url)


def scanned(plan: Any) -> set[str]:
    """Tables that a plan reads from end to end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(scanned(part) for part in plan.get("Plans", ())))


def test_no_table_must_be_read_whole_for_one_project(crowded: Connection) -> None:
    one = {"projects": ["project-3"], "now": from_seconds(NOW), "start": from_seconds(0), "end": from_seconds(NOW)}
    asked: dict[bytes, Any] = {
        reports._STATUSES.encode(): (["project-3"], ["active"]),
        reports._REVENUE: one,
        reports._MOVEMENTS.encode(): one,
        reports._PURCHASES.encode(): one,
        reports._REFUNDS.encode(): one,
        reports._GRANTS.encode(): one,
    }

    for sql, params in asked.items():
        [([explained],)] = crowded.execute(b"EXPLAIN (FORMAT JSON) " + sql, params).fetchall()
        assert not scanned(explained["Plan"]), sql
