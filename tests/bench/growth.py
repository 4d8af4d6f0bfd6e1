"""What an event and a refill cost among a million customers ÷ among a thousand. Each event is a renewal of anyone.

Both stores are on one server, so they share its memory and its noise. Wall time.
"""

import time
from collections.abc import Iterator
from functools import partial

from billing.store.connection import close, current, transaction
from billing.store.snapshots import snapshot_of
from billing.usecases.apply_batch import MOST_AT_ONCE
from tests.bench.events import Load, rate
from tests.bench.table import Row, medians, pairs, ratios
from tests.support.postgres import run_databases
from tests.support.world import make_world

FEW, MANY = 1_000, 1_000_000
TARGETS = {1: 1.3, MOST_AT_ONCE: 1.7}
"""By events a transaction."""

READS = 500

# Without the checks of foreign keys: they would take most of the time.
_FILL = """
SET session_replication_role = replica;
INSERT INTO customers (namespace, user_id, version, changed_at, holdings)
SELECT 'notes', n::text, 1, now(), jsonb_build_array(jsonb_build_object(
  'kind', 'subscription_item', 'id', 'si_' || n, 'subscription_id', 'sub_' || n, 'price_id', 'price_pro',
  'product_id', 'prod_pro', 'quantity', 1, 'status', 'active', 'start', '2026-03-01T00:00:00Z',
  'period_start', '2026-03-01T00:00:00Z', 'period_end', '2100-01-01T00:00:00Z', 'cancel_at_period_end', false))
FROM generate_series(1, {customers}) AS n;
INSERT INTO stripe_customers (id, customer_id) SELECT 'cus_' || user_id, id FROM customers;
INSERT INTO subscriptions (id, stripe_customer_id, status, start_at, watermark)
SELECT 'sub_' || n, 'cus_' || n, 'active', '2026-03-01Z', 1 FROM generate_series(1, {customers}) AS n;
INSERT INTO subscription_items (id, subscription_id, price_id, quantity, period_start, period_end)
SELECT 'si_' || n, 'sub_' || n, 'price_pro', 1, '2026-03-01Z', '2100-01-01Z' FROM generate_series(1, {customers}) AS n;
INSERT INTO holdings_changes (customer_id, version, holdings, changed_at, cause_kind, cause_id)
SELECT id, 1, holdings, now(), 'event', 'evt_' || id FROM customers;
INSERT INTO mrr_changes (project_id, subscription_id, currency, divisor, since, customer_id, amount)
SELECT 'notes', 'sub_' || user_id, 'usd', 1, '2026-03-01Z', id, 900 FROM customers;
SET session_replication_role = DEFAULT;
VACUUM ANALYZE
"""


def rows(count: int) -> Iterator[Row]:
    with run_databases() as databases, databases.fresh() as few, databases.fresh() as many:
        fill(few, FEW)
        fill(many, MANY)
        for at_once, target in TARGETS.items():
            how = "alone" if at_once == 1 else f"by {at_once}"
            seen = pairs(partial(event, many, MANY, at_once), partial(event, few, FEW, at_once), count)
            yield compared(f"event {how}", seen, target)
        seen = pairs(partial(refill, many, MANY), partial(refill, few, FEW), count)
        yield compared("refill's snapshot", seen, 1.3)
        close(few)
        close(many)


def compared(what: str, seen: tuple[tuple[float, float], ...], target: float) -> Row:
    most, least = medians(seen)
    note = f"{most:.0f} µs ÷ {least:.0f} µs"
    return Row(f"{what}, {MANY:,} customers ÷ {FEW:,}", ratios(seen), target, note=note)


def fill(database_url: str, customers: int) -> None:
    make_world(database_url)
    for statement in _FILL.format(customers=customers).split(";\n"):
        current(database_url).execute(statement.encode())


def event(database_url: str, customers: int, at_once: int) -> float:
    """Microseconds an event."""
    return 1e6 / rate(Load(database_url, 1, customers, at_once))


def refill(database_url: str, customers: int) -> float:
    """Microseconds a snapshot of anyone."""
    begun = time.perf_counter()
    for place in range(READS):
        with transaction(database_url) as connection:
            if snapshot_of(connection, "notes", str(1 + (place * 7919) % customers)) is None:
                raise RuntimeError("a customer is missing")
    return (time.perf_counter() - begun) / READS * 1e6
