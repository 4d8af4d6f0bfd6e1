"""The passes of a reconciliation without their driver: find all, then mend all, as one run would."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from billing.store.connection import Connection, transaction
from billing.usecases.compare_holdings import KIND, compare_holdings, repair_holdings
from billing.usecases.compare_listing import compare_listing
from billing.usecases.find_missed_events import find_missed_events
from billing.usecases.passes import LOOK_BACK, Batch, Drift, Json, Means, Mended
from billing.usecases.publish_outbox import publish_customers
from billing.usecases.repair_drift import repair
from tests.support.shop import Shop

Find = Callable[[Means, Json], Iterator[Batch]]
EVENTS: Find = find_missed_events
LISTING: Find = compare_listing
HOLDINGS: Find = compare_holdings


@dataclass
class Lab:
    """`runs` counts; each run has its own cut, ten seconds after whatever was done before it."""

    shop: Shop
    runs: int = 0

    def means(self, project_id: str | None = None, look_back: timedelta | None = LOOK_BACK) -> Means:
        self.runs += 1
        self.shop.double.control.advance_clock(advance_seconds=10)
        worker = self.shop.worker
        return Means(worker, f"run_{self.runs}", project_id, worker.now(), lambda: None, look_back)

    def find(self, find: Find = LISTING, means: Means | None = None) -> list[Drift]:
        return self.go_on(find, means or self.means(), {})

    def go_on(self, find: Find, means: Means, position: Json) -> list[Drift]:
        drifts: list[Drift] = []
        for batch in find(means, position):
            self.stage(batch)
            drifts += batch.drifts
        return drifts

    def stage(self, batch: Batch) -> None:
        with transaction(self.shop.worker.database_url) as connection:
            batch.stage(connection)

    def run(self, *finds: Find, means: Means | None = None) -> list[tuple[Drift, Mended]]:
        """Find and mend, pass after pass."""
        means = means or self.means()
        done: list[tuple[Drift, Mended]] = []
        for find in finds or (LISTING,):
            done += [(drift, self.mend(means, drift)) for drift in self.find(find, means)]
        return done

    def mend(self, means: Means, drift: Drift, *, commit: bool = True) -> Mended:
        mending = repair_holdings if drift.object_type == KIND else repair
        mended = mending(means, drift, allow, commit)
        if commit:
            publish_customers(means.worker.publisher, mended.customer_ids, means.worker.now())
        return mended


def allow(_connection: Connection) -> None:
    """The lease is ours."""


def told(drifts: Iterable[Drift]) -> list[tuple[str, str, str]]:
    return [(drift.kind, drift.object_type, drift.object_id) for drift in drifts]
