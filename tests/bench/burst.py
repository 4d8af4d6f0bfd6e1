"""A burst of events through the real parts: is anything lost, and how many are applied per second?

`python -m tests.bench.burst [--events N] [--workers N]`: signed bodies into the webhooks handler, MiniStack's queue,
the event worker's handler in processes of their own, PostgreSQL, MiniStack's DynamoDB and event bus. Exit code 1 if
anything is not as it must be afterwards.
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess

from billing.cache import client as cache
from billing.store.connection import connect
from functions.webhooks.handler import build
from infra.local.ministack import run_ministack
from tests.bench import burst_verdict
from tests.bench.burst_events import Burst, make_burst, signature
from tests.bench.burst_scene import SIGNING_SECRET, Scene, scene
from tests.bench.burst_worker import workers
from tests.support.postgres import run_databases, temporary_directory
from tests.support.wire import CONTEXT, rest_event

ROUTE = "/api/v1/webhooks/stripe"
PATIENCE = 120.0
"""Seconds without one more event in the inbox after which the burst counts as stuck."""

_TELL_EVERY = 3.0


@dataclass(frozen=True)
class Result:
    """Rates are deliveries per second, duplicates included."""

    accepted_per_second: float
    applied_per_second: float
    faults: list[str]


def play(where: Scene, burst: Burst, worker_count: int, say: Callable[[str], None]) -> Result:
    """Accept all of it, then drain the queue, then look whether it is all there."""
    began = time.perf_counter()
    _accept(where, burst, say)
    accepted = time.perf_counter()
    with workers(worker_count, where.environ) as processes:
        faults = _watch(where, processes, say)
    drained = time.perf_counter()
    with (
        closing(connect(where.database_url)) as store,
        closing(cache.connect(where.environ["TABLE_NAME"], environ=where.environ).aws) as aws,
    ):
        table = cache.Client(aws, where.environ["TABLE_NAME"])
        faults += burst_verdict.faults(store, table, burst, where.waiting())
    deliveries = len(burst.bodies)
    return Result(deliveries / (accepted - began), deliveries / (drained - accepted), faults)


def _accept(where: Scene, burst: Burst, say: Callable[[str], None]) -> None:
    """Deliver every body as Stripe does. Raises RuntimeError where one is not acknowledged."""
    handle = build(where.environ)
    for place, body in enumerate(burst.bodies, start=1):
        headers = {"Stripe-Signature": signature(body, SIGNING_SECRET, datetime.now(UTC))}
        answer = handle(rest_event("POST", ROUTE, headers=headers, body=body), CONTEXT)
        if answer["statusCode"] != 200:
            raise RuntimeError(f"delivery {place} was answered {answer['statusCode']}: {answer['body']}")
        if place % 1000 == 0:
            say(f"{place} of {len(burst.bodies)} deliveries accepted")


def _watch(where: Scene, processes: list[BaseProcess], say: Callable[[str], None]) -> list[str]:
    """Tell how far it is until every worker has ended; what went wrong with them."""
    settled, since = -1, time.monotonic()
    with closing(connect(where.database_url)) as store:
        while any(process.is_alive() for process in processes):
            next(process for process in processes if process.is_alive()).join(_TELL_EVERY)
            [now_settled] = store.execute("SELECT count(*) FROM inbox").fetchone() or [0]
            if now_settled != settled:
                settled, since = now_settled, time.monotonic()
                say(f"{settled} events in the inbox")
            if time.monotonic() - since > PATIENCE:
                return [f"nothing more was settled within {PATIENCE:.0f} s"]
    return [f"a worker ended with exit code {process.exitcode}" for process in processes if process.exitcode != 0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.burst", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--customers", type=int, default=200)
    wanted = parser.parse_args()
    with (
        run_databases() as databases,
        databases.fresh() as database_url,
        temporary_directory("billing-burst-") as work_dir,
        run_ministack(work_dir) as aws,
        scene(database_url, aws.endpoint_url, wanted.customers) as where,
    ):
        burst = make_burst(wanted.events, wanted.customers)
        result = play(where, burst, wanted.workers, lambda line: print("  " + line, flush=True))
    print(f"\n{len(burst.bodies)} deliveries of {wanted.events} events, {wanted.workers} workers")
    print(f"accepted {result.accepted_per_second:.0f}/s, then applied and published {result.applied_per_second:.0f}/s")
    for fault in result.faults[:20]:
        print(f"WRONG: {fault}")
    print("nothing lost" if not result.faults else f"{len(result.faults)} things are wrong")
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
