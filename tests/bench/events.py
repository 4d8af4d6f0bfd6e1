"""Events applied per second, as a ratio to pgbench running the same statements in the same run.

`python -m tests.bench.events [--pairs N] [--seconds S] [--seats]`: interleaved pairs, median and spread, for 1 and 4
workers. Each event is a renewal. Publishing is left out on both sides: this is the event's transaction.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from billing.cache import client as cache
from billing.messages.bus import Bus
from billing.payments.client import connect
from billing.payments.events import parse_event
from billing.runtime.aws import EVENTBRIDGE, AwsClient
from billing.store.connection import transaction
from billing.usecases.apply_event import Worker, settle_event
from billing.usecases.publish_outbox import Publisher
from infra.local.postgres import server_program
from tests.bench.burst_events import PERIOD_END, event_body
from tests.bench.burst_scene import MAKE_CUSTOMERS
from tests.support.postgres import run_databases
from tests.support.world import make_world

CUSTOMERS = 2_000
SHARE = 500
NOWHERE = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}
SCRIPT = Path(__file__).with_name("pgbench_event.sql")


def prepare(database_url: str) -> None:
    make_world(database_url)
    with transaction(database_url) as connection:
        connection.execute(MAKE_CUSTOMERS, (CUSTOMERS,))


def work(database_url: str, seconds: float, offset: int, change_seats: bool, done: Any) -> None:
    """Apply events of random-looking customers until the time is over; report how many per second."""
    bus = Bus(AwsClient(EVENTBRIDGE, 1, NOWHERE), "none")
    publisher = Publisher(database_url, cache.connect("none", environ=NOWHERE), bus)
    worker = Worker(
        connect("sk_test_none", "http://127.0.0.1:9"), publisher, livemode=False, now=lambda: datetime.now(UTC)
    )
    start = time.perf_counter()
    count = 0
    for place in range(10_000_000):
        if time.perf_counter() - start >= seconds:
            break
        customer = (place * 7919) % SHARE + offset * SHARE + 1  # no two workers in one row: ties would ask Stripe
        second = time.monotonic_ns() // 1_000_000 + place
        event_id = f"evt_{os.getpid()}_{second}_{customer}"
        seats = place % 1000 if change_seats else 1
        body = event_body(event_id, customer, second=second, quantity=seats, period_end=PERIOD_END + place)
        outcome, _ = settle_event(worker, parse_event(body), body)
        if outcome.status != "applied":
            raise RuntimeError(f"the benchmark's events must all apply, not be {outcome.status}")
        count += 1
    done.put(count / (time.perf_counter() - start))


def ours(database_url: str, workers: int, seconds: float, *, change_seats: bool) -> float:
    """Events per second of so many worker processes together."""
    done: Any = multiprocessing.get_context("spawn").Queue()
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=work, args=(database_url, seconds, n, change_seats, done)) for n in range(workers)
    ]
    for process in processes:
        process.start()
    rates = [done.get(timeout=seconds + 60) for _ in processes]
    for process in processes:
        process.join()
    return float(sum(rates))


def theirs(database_url: str, workers: int, seconds: float) -> float:
    """Transactions per second of pgbench on so many connections."""
    command = [
        str(server_program("pgbench")),
        "--no-vacuum",
        f"--file={SCRIPT}",
        f"--define=customers={CUSTOMERS}",
        f"--client={workers}",
        f"--jobs={min(workers, 2)}",
        f"--time={max(1, round(seconds))}",
        database_url,
    ]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in printed.splitlines() if line.startswith("tps"))
    return float(line.split()[2])


def pairs(
    database_url: str, workers: int, count: int, seconds: float, *, change_seats: bool
) -> Iterator[tuple[float, float]]:
    for number in range(count):
        pair = (ours(database_url, workers, seconds, change_seats=change_seats), theirs(database_url, workers, seconds))
        print(
            f"  {workers} workers, pair {number + 1}/{count}: {pair[0]:.0f} events/s, pgbench {pair[1]:.0f}/s",
            flush=True,
        )
        yield pair


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=11)
    arguments.add_argument("--seconds", type=float, default=2.0)
    arguments.add_argument("--seats", action="store_true", help="change the quantity too, and so the revenue's ledger")
    wanted = arguments.parse_args()
    rows = []
    with run_databases() as databases:
        for workers in (1, 4):
            with databases.fresh() as url:
                prepare(url)
                seen = list(pairs(url, workers, wanted.pairs, wanted.seconds, change_seats=wanted.seats))
            ratios = sorted(a / b for a, b in seen)
            rows.append(
                (workers, statistics.median(a for a, _ in seen), statistics.median(ratios), ratios[0], ratios[-1])
            )
    print("\n| workers | events/s (median) | ÷ pgbench (median) | spread |\n|---|---|---|---|")
    for workers, rate, median, low, high in rows:
        print(f"| {workers} | {rate:.0f} | {median:.2f} | {low:.2f}-{high:.2f} |")


if __name__ == "__main__":
    main()
