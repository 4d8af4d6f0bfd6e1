"""Events applied a second ÷ pgbench running the same statements one by one, by 1 and by 4 workers.

Alone, and by 20 in a transaction. Each event is a renewal; wall time, for both wait for PostgreSQL. Publishing is left
out on both sides: this is the event's transaction.
"""

import multiprocessing
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from billing.cache import client as cache
from billing.messages.bus import Bus
from billing.payments.client import connect
from billing.payments.events import parse_event
from billing.runtime.aws import EVENTBRIDGE, AwsClient
from billing.store.connection import transaction
from billing.usecases.apply_batch import MOST_AT_ONCE, apply_batch
from billing.usecases.apply_event import Worker, settle_event
from billing.usecases.publish_outbox import Publisher
from infra.local.postgres import server_program
from tests.bench.burst_events import PERIOD_END, event_body
from tests.bench.burst_scene import MAKE_CUSTOMERS
from tests.bench.table import Row, medians, pairs, ratios
from tests.support.postgres import run_databases
from tests.support.world import make_world

CUSTOMERS = 2_000
SECONDS = 1.0
TARGETS = {1: 1.8, MOST_AT_ONCE: 6.0}
"""By events a transaction."""

WARM = 5
"""Transactions before the clock runs: a session plans each function once."""

NOWHERE = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}
SCRIPT = Path(__file__).with_name("pgbench_event.sql")


@dataclass(frozen=True)
class Load:
    """What a worker does: events of the customers `first` and behind, so many of them, so many events at once."""

    database_url: str
    first: int
    customers: int
    at_once: int
    seconds: float = SECONDS

    def bodies(self) -> Iterator[bytes]:
        """Of random-looking customers, each later than all before, and another period's. No two workers share one: ties
        would ask Stripe. Of a run's 10,000 "seconds" in one of the clock no run can use up more.
        """
        began = time.monotonic_ns() // 100_000
        for place in count():
            customer = self.first + (place * 7919) % self.customers
            event_id, second = f"evt_{os.getpid()}_{began}_{place}", began + place
            yield event_body(event_id, customer, second=second, quantity=1, period_end=PERIOD_END + second)


def rows(pairs_wanted: int) -> Iterator[Row]:
    with run_databases() as databases:
        for workers in (1, 4):
            with databases.fresh() as url:
                prepare(url)
                for at_once, target in TARGETS.items():
                    yield row(url, workers, at_once, target, pairs_wanted)


def row(url: str, workers: int, at_once: int, target: float, pairs_wanted: int) -> Row:
    seen = pairs(lambda: ours(url, workers, at_once), lambda: theirs(url, workers), pairs_wanted)
    mine, reference = medians(seen)
    how = "alone" if at_once == 1 else f"by {at_once}"
    return Row(
        f"events applied/s {how}, {workers} worker{'s' if workers > 1 else ''} ÷ pgbench",
        ratios(seen),
        target,
        smaller=False,
        note=f"{mine:.0f}/s ÷ {reference:.0f}/s",
    )


def prepare(database_url: str) -> None:
    make_world(database_url)
    with transaction(database_url) as connection:
        connection.execute(MAKE_CUSTOMERS, (CUSTOMERS,))


def ours(database_url: str, workers: int, at_once: int) -> float:
    """Events per second of so many worker processes together."""
    share = CUSTOMERS // workers
    context = multiprocessing.get_context("spawn")
    done: Any = context.Queue()
    loads = [Load(database_url, 1 + share * place, share, at_once) for place in range(workers)]
    processes = [context.Process(target=report, args=(load, done)) for load in loads]
    for process in processes:
        process.start()
    rates = [done.get(timeout=SECONDS + 60) for _ in processes]
    for process in processes:
        process.join()
    return float(sum(rates))


def report(load: Load, done: Any) -> None:
    done.put(rate(load))


def rate(load: Load) -> float:
    """Events per second, until the time is over."""
    worker = make_worker(load.database_url)
    bodies = load.bodies()
    for _ in range(WARM):
        settle(worker, [next(bodies) for _ in range(load.at_once)])
    begun, applied = time.perf_counter(), 0
    while time.perf_counter() - begun < load.seconds:
        applied += settle(worker, [next(bodies) for _ in range(load.at_once)])
    return applied / (time.perf_counter() - begun)


def settle(worker: Worker, bodies: list[bytes]) -> int:
    if len(bodies) == 1:
        outcomes = [settle_event(worker, parse_event(bodies[0]), bodies[0])[0]]
    else:
        settled = apply_batch(worker, {str(place): body for place, body in enumerate(bodies)})
        outcomes = [one.outcome for one in settled.values()]
    if [outcome.status for outcome in outcomes] != ["applied"] * len(bodies):
        raise RuntimeError(f"the benchmark's events must all apply, not come to {outcomes}")
    return len(bodies)


def make_worker(database_url: str) -> Worker:
    """Nothing behind it but the store."""
    bus = Bus(AwsClient(EVENTBRIDGE, 1, NOWHERE), "none")
    publisher = Publisher(database_url, cache.connect("none", environ=NOWHERE), bus)
    stripe = connect("sk_test_none", "http://127.0.0.1:9")
    return Worker(stripe, publisher, livemode=False, now=lambda: datetime.now(UTC))


def theirs(database_url: str, workers: int) -> float:
    """Transactions per second of pgbench on so many connections."""
    command = [
        str(server_program("pgbench")),
        "--no-vacuum",
        f"--file={SCRIPT}",
        f"--define=customers={CUSTOMERS}",
        f"--client={workers}",
        f"--jobs={min(workers, 2)}",
        f"--time={max(1, round(SECONDS))}",
        database_url,
    ]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in printed.splitlines() if line.startswith("tps"))
    return float(line.split()[2])
