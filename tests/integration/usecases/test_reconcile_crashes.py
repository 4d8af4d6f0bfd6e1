"""Runs of the passes over Stripe and a whole shop, each cut off at another COMMIT: the same end, nothing done twice."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

import pytest

from billing.errors import Transient
from billing.store.connection import close, transaction
from billing.usecases.apply_event import Worker
from billing.usecases.manage_runs import Wanted, open_run
from billing.usecases.reconcile import Driver, work
from billing.usecases.reconcile_passes import PASSES
from tests.support.cut_postgres import Cut, CutPostgres, run_cut_postgres
from tests.support.postgres import Databases
from tests.support.shop import Shop

STRIDE = 8
"""Every eighth COMMIT, from a place that differs by side: each side of all would take minutes."""


class Died(BaseException):
    """The process is gone: no `except Exception` of ours runs any more."""


@dataclass(frozen=True)
class Town:
    """The same shop, told of to the same point, over database after database."""

    shop: Shop
    databases: Databases
    told: list[bytes]

    @property
    def now(self) -> datetime:
        return self.shop.worker.now() + timedelta(minutes=10)

    def worker(self, database_url: str) -> Worker:
        worker = self.shop.worker
        return replace(worker, publisher=replace(worker.publisher, database_url=database_url), now=lambda: self.now)

    def end(self, cuts: list[Cut | None]) -> tuple[object, bool]:
        """What a run comes to, and whether the line was cut in it."""
        with self.databases.lent() as url:
            shop = self.shop.beside(url)
            shop.apply(self.told)
            with transaction(url) as connection:
                open_run(connection, Wanted(passes=["events", "listing"]), None, self.now)
            with run_cut_postgres(url) as line:
                line.cuts[:] = cuts
                self.drive(line)
                cut = not line.cuts
            found = (
                shop.digest(),
                shop.rows("SELECT c.user_id, h.version, h.cause_kind FROM holdings_changes AS h"
                          " JOIN customers AS c ON c.id = h.customer_id ORDER BY 1, 2"),
                shop.rows("SELECT action, target FROM audit WHERE action = 'reconcile.repair' ORDER BY target"),
                shop.rows("SELECT pass, kind, object_type, object_id, status FROM drifts ORDER BY n"),
                shop.rows("SELECT status, counts, listed FROM runs"),
            )  # fmt: skip
            close(url)
            return found, cut

    def drive(self, line: CutPostgres) -> None:
        ended = "more"
        while ended not in {"done", "idle"}:
            try:
                ended = work(self.driver(line.url)).ended
            except (Transient, Died):
                ended = "more"
            finally:
                close(line.url)

    def driver(self, url: str) -> Driver:
        def die(_seconds: float) -> None:
            raise Died

        return Driver(
            self.worker(url),
            PASSES,
            "worker_1",
            left=lambda: 1e9,
            tell=lambda _run, _number, fault: pytest.fail(f"a repair broke: {fault!r}"),
            calls_per_second=float("inf"),
            sleep=die,
            lease=timedelta(0),
        )


@pytest.fixture
def town(shop: Shop, databases: Databases) -> Iterator[Town]:
    """Ann's loss and ben's purchase never reached the service; cem's renewal of seats did not either."""
    lost = shop.buy("ann", "pro_monthly")
    cem = shop.buy("cem", "pro_monthly")
    told = shop.events()
    shop.stripe.v1.subscriptions.cancel(lost)
    item = shop.stripe.v1.subscriptions.retrieve(cem).items.data[0].id
    shop.stripe.v1.subscriptions.update(cem, {"items": [{"id": item, "quantity": 7}]})
    shop.buy("ben", "badge")
    yield Town(shop, databases, told)
    close(shop.worker.database_url)


@pytest.mark.parametrize(("side", "first"), [("question", 0), ("answer", 4)])
def test_cut_off_at_any_commit_a_run_of_the_real_passes_comes_to_the_same_end(
    town: Town, side: Cut, first: int
) -> None:
    expected, _ = town.end([])
    for place in count(first, STRIDE):
        found, cut = town.end([None] * place + [side])
        if not cut:
            break
        assert found == expected, place
    assert place > 40
