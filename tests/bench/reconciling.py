"""A reconciliation's listing pass ÷ the bare listing, in objects a second; and its memory, as the lists grow.

The measuring is tests/bench/reconcile.py's, which also prints seconds and megabytes of any size.
"""

from collections.abc import Iterator

from tests.bench.reconcile import Ran, alone, compare, reconcile
from tests.bench.reconcile_scene import fill_store, stripe_with
from tests.bench.table import Row
from tests.support.postgres import Databases, run_databases

SIZE = 10_000
SIZES = (1_000, 10_000, 100_000)
"""Of the memory's row: the peak at the last ÷ the peak at the first."""


def rows(count: int) -> Iterator[Row]:
    with run_databases() as databases:
        yield speed(databases, count)
        yield memory(databases)


def speed(databases: Databases, count: int) -> Row:
    with databases.fresh() as database_url, stripe_with(SIZE) as stripe_url:
        fill_store(database_url, SIZE)
        seen = [compare(stripe_url, database_url, SIZE, tampered=False) for _ in range(count)]
    faults = [fault for _, wrong in seen for fault in wrong]
    if faults:
        raise RuntimeError("; ".join(faults))
    middle = sorted((row for row, _ in seen), key=lambda row: row.ratio)[count // 2]
    listed = middle.ran.listed
    note = f"{listed / middle.ran.seconds:.0f} ÷ {listed / middle.bare_seconds:.0f} objects/s, {SIZE} subscriptions"
    name = "reconciliation, objects/s ÷ raw list + `json.loads`"
    return Row(name, tuple(row.ratio for row, _ in seen), 2, smaller=False, note=note)


def memory(databases: Databases) -> Row:
    peaks = []
    for size in SIZES:
        with databases.fresh() as database_url, stripe_with(size) as stripe_url:
            fill_store(database_url, size)
            ran: Ran = alone(reconcile, stripe_url, database_url, False)
            peaks.append(ran.peak)
    note = ", ".join(f"{size}: {peak:.0f} MB" for size, peak in zip(SIZES, peaks, strict=True))
    return Row("reconciliation, peak memory, 100k ÷ 1k", (peaks[-1] / peaks[0],), 1.1, note=note)
