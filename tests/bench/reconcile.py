"""How long the listing pass of a reconciliation takes and how much memory, beside the bare listing in the same run.

`python -m tests.bench.reconcile [--sizes 1000,10000,100000] [--rounds N]`: so many subscriptions, each with a customer
of its own, in the Stripe double, and equal rows in the store. Interleaved, each in a process of its own: the bare
listing (the same pages of the same lists, by the SDK's HTTP client, parsed and counted), a run through the real driver
that must find nothing; then both again after one row was tampered with, as a dry run that must find that one alone.

The token bucket is left out (its calls a second are infinite): the pace is set, not measured. At the product's own a
run lists 100 objects times that a second at most. The double shares the machine with either side; a page of its lists
costs the same however long they are. Of a size's pairs the table has the middle one by ratio, of two in the middle the
worse. On a busy machine pairs of short lists tell little: a run needs two cores, the bare listing one at a time.

Memory is the peak of the run's process, and how far that is above what it had when the run began. Linux: VmHWM, for
`ru_maxrss` survives exec and may be the parent's. Exit code 1 if a run did not end or find as it must.
"""

import argparse
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from stripe import RequestsClient

from billing.cache import client as cache
from billing.messages.bus import Bus
from billing.payments.client import API_VERSION, connect
from billing.payments.mirrored import COLLECTIONS
from billing.runtime.aws import EVENTBRIDGE, AwsClient
from billing.store import runs
from billing.store.connection import transaction
from billing.usecases.apply_event import Worker
from billing.usecases.manage_runs import Wanted, open_run
from billing.usecases.publish_outbox import Publisher
from billing.usecases.reconcile import Driver, work
from billing.usecases.reconcile_passes import PASSES
from tests.bench.events import NOWHERE
from tests.bench.reconcile_scene import API_KEY, fill_store, stripe_with, tamper
from tests.support.postgres import Databases, run_databases


@dataclass(frozen=True)
class Ran:
    """A run as it went: memory in MB, `drifts` by kind and status."""

    seconds: float
    peak: float
    grown: float
    ended: str
    listed: int
    drifts: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Row:
    """A line of the table: a run beside the bare listing just before it, as seconds and objects."""

    size: int
    ran: Ran
    bare_seconds: float

    @property
    def ratio(self) -> float:
        return self.bare_seconds / self.ran.seconds

    def __str__(self) -> str:
        ran, count = self.ran, self.ran.listed
        return (
            f"| {self.size} | {ran.seconds:.1f} | {ran.peak:.0f} | {ran.grown:.1f} | {count / ran.seconds:.0f}"
            f" | {count / self.bare_seconds:.0f} | {self.ratio:.2f} |"
        )


HEAD = (
    "| subscriptions | seconds | peak MB | grown MB | objects/s | bare objects/s | ratio |\n"
    "|---|---|---|---|---|---|---|"
)


def reconcile(stripe_url: str, database_url: str, dry_run: bool) -> Ran:
    """A run with the listing alone, from its opening to its end."""
    bus = Bus(AwsClient(EVENTBRIDGE, 1, NOWHERE), "none")
    publisher = Publisher(database_url, cache.connect("none", environ=NOWHERE), bus)
    worker = Worker(connect(API_KEY, stripe_url), publisher, livemode=False, now=lambda: datetime.now(UTC))
    driver = Driver(worker, PASSES, "bench", lambda: math.inf, _raise, calls_per_second=math.inf)
    with transaction(database_url) as connection:
        run = open_run(connection, Wanted(passes=["listing"], dry_run=dry_run), None, worker.now())
    before, began = memory("VmRSS"), time.perf_counter()
    ended = work(driver)
    seconds, peak = time.perf_counter() - began, memory("VmHWM")
    with transaction(database_url) as connection:
        over = runs.find_run(connection, run.id)
    if over is None:
        raise RuntimeError(f"{run.id} is gone from the store")
    return Ran(seconds, peak, peak - before, ended.ended, over.listed, over.counts)


def _raise(_run_id: str, number: int, fault: Exception) -> None:
    raise RuntimeError(f"drift {number} could not be tried") from fault


def memory(name: str) -> float:
    """Of this process, in MB: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def list_barely(stripe_url: str) -> tuple[int, float]:
    """Page through every list of the pass; the objects in them and the seconds it took."""
    http = RequestsClient()
    headers = {"Authorization": f"Bearer {API_KEY}", "Stripe-Version": API_VERSION}
    began, count = time.perf_counter(), 0
    for collection in COLLECTIONS.values():
        plain = {name: value for name, value in collection.params.items() if name != "expand"}
        expand = {f"expand[{place}]": path for place, path in enumerate(collection.params.get("expand", []))}
        onward: dict[str, str] = {}
        while True:
            query = urlencode({"limit": 100, **plain, **expand, **onward})
            body, status, _ = http.request("get", f"{stripe_url}{collection.path}?{query}", headers)
            if status != 200:
                raise RuntimeError(f"{collection.path} was answered {status}: {body!r}")
            listed = json.loads(body)
            count += len(listed["data"])
            if not listed["has_more"]:
                break
            onward = {"starting_after": listed["data"][-1]["id"]}
    return count, time.perf_counter() - began


def alone(function: Callable[..., Any], *arguments: object) -> Any:
    """Its answer, from a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def compare(stripe_url: str, database_url: str, size: int, *, tampered: bool) -> tuple[Row, list[str]]:
    """The bare listing, then the run; with what is wrong about it."""
    count, bare_seconds = alone(list_barely, stripe_url)
    ran: Ran = alone(reconcile, stripe_url, database_url, tampered)
    expected = {"field_mismatch": {"found": 1}} if tampered else {}
    faults = [
        f"{size} subscriptions: {what} is {found!r} and must be {wanted!r}"
        for what, found, wanted in (
            ("the end", ran.ended, "done"),
            ("drifts", ran.drifts, expected),
            ("objects listed", ran.listed, count),
            ("objects there", count, 2 * size + 2),
        )
        if found != wanted
    ]
    return Row(size, ran, bare_seconds), faults


def measure(databases: Databases, size: int, rounds: int) -> tuple[list[Row], list[str]]:
    rows, faults = [], []
    with databases.fresh() as database_url, stripe_with(size) as stripe_url:
        fill_store(database_url, size)
        for place in range(2 * rounds):
            tampered = place >= rounds
            if tampered:
                tamper(database_url, size // 2)
            row, wrong = compare(stripe_url, database_url, size, tampered=tampered)
            print(f"  {'one tampered' if tampered else 'all equal'}: {row}", flush=True)
            rows.append(row)
            faults += wrong
    return rows, faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reconcile", description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000", help="subscriptions (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=1, help="pairs with equal sides, and as many with one row changed"
    )
    wanted = parser.parse_args()
    table, faults = [HEAD], []
    with run_databases() as databases:
        for size in map(int, wanted.sizes.split(",")):
            rows, wrong = measure(databases, size, wanted.rounds)
            table.append(str(sorted(rows, key=lambda row: row.ratio)[(len(rows) - 1) // 2]))
            faults += wrong
    print("\n" + "\n".join(table))
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
