"""A crash at any step of applying a catalog, and the next run: the same end, nothing doubled. Two operators at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Thread
from typing import Any

import pytest

from billing.errors import BillingError, Transient
from billing.payments.client import StripeClient
from billing.store.connection import close, transaction
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.catalog_document import CatalogDocument, read_catalog
from billing.usecases.manage_projects import create_project
from billing.usecases.plan_catalog import plan_catalog
from billing.usecases.publish_outbox import Publisher
from tests.support.cut_postgres import Cut, run_cut_postgres
from tests.support.dying_stripe import Died, Moment, dying, interrupted
from tests.support.shop import Shop

TIERS = [{"up_to": 10, "unit_amount": 500}, {"up_to": None, "unit_amount": 300}]


def first(project: str) -> CatalogDocument:
    monthly = {"lookup_key": f"{project}_monthly", "currency": "usd", "unit_amount": 900, "interval": "month"}
    once = {"lookup_key": f"{project}_once", "currency": "usd", "unit_amount": 500}
    return read_catalog(
        {
            "features": [{"code": "export", "type": "boolean"}, {"code": "old", "type": "boolean"}],
            "products": [
                {"key": "pro", "name": "Pro", "benefits": [{"feature": "export"}], "prices": [monthly]},
                {"key": "badge", "name": "Badge", "benefits": [{"feature": "export"}], "prices": [once]},
            ],
        }
    )


def second(project: str, amount: int = 1100) -> CatalogDocument:
    """All kinds of change: other money, a new product, one renamed, one archived, a feature gone and one come."""
    monthly = {"lookup_key": f"{project}_monthly", "currency": "usd", "unit_amount": amount, "interval": "month"}
    tiered = {"currency": "usd", "interval": "year", "tiers_mode": "graduated", "tiers": TIERS, "grace_days": 3}
    return read_catalog(
        {
            "features": [{"code": "export", "type": "boolean"}, {"code": "seats", "type": "limit"}],
            "products": [
                {
                    "key": "pro",
                    "name": "Professional",
                    "benefits": [{"feature": "seats", "value": 3}],
                    "prices": [monthly],
                },
                {"key": "team", "name": "Team", "prices": [{"lookup_key": f"{project}_team", **tiered}]},
            ],
        }
    )


@dataclass(frozen=True)
class Street:
    """Many projects over one database and one Stripe, each with its first catalog: a fresh start for each crash."""

    shop: Shop

    @property
    def publisher(self) -> Publisher:
        return self.shop.worker.publisher

    def open(self, project: str) -> str:
        create_project(self.publisher.database_url, project_id=project, name=project, allowed_origins=[])
        self.apply(project, first(project))
        return project

    def apply(
        self,
        project: str,
        document: CatalogDocument,
        stripe: StripeClient | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        apply_catalog(publisher or self.publisher, stripe or self.shop.stripe, project, document, self.shop.worker.now)

    def plan(self, project: str, document: CatalogDocument) -> list[str]:
        changes = plan_catalog(self.publisher.database_url, self.shop.stripe, project, document).difference.changes
        return [f"{change.kind} {change.object} {change.key}" for change in changes]

    def state(self, project: str) -> dict[str, Any]:
        """All there is of the project, here and in Stripe, but ids of Stripe's own making, times and epochs."""
        return {
            "features": self._rows("SELECT code, type FROM features WHERE project_id = %s ORDER BY 1", project),
            "products": self._rows("SELECT id, name, active FROM products WHERE project_id = %s ORDER BY 1", project),
            "prices": self._rows(
                "SELECT product_id, lookup_key, unit_amount, tiers, grace_period, r.active FROM prices AS r"
                " JOIN products AS p ON p.id = r.product_id WHERE project_id = %s"
                " ORDER BY product_id, unit_amount, lookup_key",
                project,
            ),
            "benefits": self._rows(
                "SELECT product_id, feature_code, value FROM benefits WHERE project_id = %s ORDER BY 1, 2", project
            ),
            "audit": self._rows("SELECT action FROM audit WHERE chain = %s ORDER BY seq", project),
            "applying": self._rows("SELECT holder FROM catalog_applies WHERE project_id = %s", project),
            "owed": self._rows("SELECT cause_kind FROM outbox WHERE project_id = %s", project),
            "stripe": self._stripe(project),
        }

    def _rows(self, sql: str, project: str) -> list[str]:
        with transaction(self.publisher.database_url) as connection:
            return [repr(row).replace(project, "") for row in connection.execute(sql.encode(), (project,)).fetchall()]

    def _stripe(self, project: str) -> list[Any]:
        products = [p for p in self.shop.stripe.v1.products.list({"limit": 100}).auto_paging_iter() if project in p.id]
        prices = [
            (product.id, price.lookup_key, price.unit_amount, price.active)
            for product in products
            for price in self.shop.stripe.v1.prices.list({"product": product.id}).data
        ]
        return sorted(
            repr(row).replace(project, "") for row in [*((p.id, p.name, p.active) for p in products), *prices]
        )


@pytest.fixture
def street(shop: Shop) -> Street:
    return Street(shop)


def undisturbed(street: Street) -> dict[str, Any]:
    project = street.open("calm-")
    street.apply(project, second(project))
    return street.state(project)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_dies_at_any_question_to_stripe_is_made_good_by_the_next_run(
    street: Street, moment: Moment
) -> None:
    wanted = undisturbed(street)
    deaths = 0
    for number in range(1, 50):
        project = street.open(f"{moment}{number}-")
        try:
            street.apply(project, second(project), dying(street.shop.double, number, moment))
        except Died:
            deaths += 1
            assert street.state(project) != wanted
            street.apply(project, second(project))
        assert street.state(project) == wanted
        assert street.plan(project, second(project)) == []
        if deaths < number:
            break
    assert deaths >= 9


@pytest.mark.parametrize("cut", ["question", "answer"])
def test_a_database_that_is_gone_at_any_commit_is_made_good_by_the_next_run(street: Street, cut: Cut) -> None:
    wanted = undisturbed(street)
    failures = 0
    with run_cut_postgres(street.publisher.database_url) as line:
        over_the_line = replace(street.publisher, database_url=line.url)
        for number in range(60):
            project = street.open(f"{cut}{number}-")
            line.cuts[:] = [*([None] * number), cut]
            try:
                street.apply(project, second(project), publisher=over_the_line)
            except BillingError:
                failures += 1
            held = bool(line.cuts)
            line.cuts.clear()
            street.apply(project, second(project))
            assert street.state(project) == wanted
            if held:
                break
        close(line.url)
    assert failures >= 9


def test_events_that_arrive_between_the_steps_change_nothing_of_the_end(street: Street) -> None:
    wanted = undisturbed(street)
    for number in range(3, 10):
        project = street.open(f"busy{number}-")
        stripe = interrupted(street.shop.double, number, "after", lambda: deliver(street.shop))
        street.apply(project, second(project), stripe)
        assert street.state(project) == wanted
        deliver(street.shop)
        assert street.state(project) == wanted


def deliver(shop: Shop) -> None:
    assert [outcome for outcome in shop.apply(shop.events()[-8:]) if outcome.status == "failed"] == []


# --- two operators ---------------------------------------------------------------------------------------------------


def test_while_one_catalog_is_applied_another_one_is_turned_away(street: Street) -> None:
    project = street.open("two-")
    refusals: list[str] = []

    def come_second() -> None:
        with pytest.raises(Transient) as busy:
            street.apply(project, second(project, amount=2200))
        refusals.append(busy.value.code)

    for number in range(1, 9):
        street.apply(
            project,
            second(project, amount=1100 + number),
            interrupted(street.shop.double, number, "before", come_second),
        )
        assert street.plan(project, second(project, amount=1100 + number)) == []
    assert set(refusals) == {"catalog_busy"}
    assert len(refusals) >= 4


def test_of_two_different_catalogs_at_once_one_is_there_whole(street: Street) -> None:
    project = street.open("race-")
    documents = [first(project), second(project)]
    outcomes: dict[int, str] = {}

    def run(number: int) -> None:
        with street.shop.own_worker() as worker:
            try:
                street.apply(project, documents[number], publisher=worker.publisher)
                outcomes[number] = "done"
            except Transient as refusal:
                outcomes[number] = refusal.code

    threads = [Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert set(outcomes.values()) <= {"done", "catalog_busy"}
    assert "done" in outcomes.values()
    left = [street.plan(project, document) for document in documents]
    assert [] in left
    assert street.state(project)["applying"] == []


def test_a_run_whose_turn_was_taken_over_stops_and_leaves_the_end_to_the_other(street: Street) -> None:
    wanted = undisturbed(street)
    project = street.open("slow-")
    late = interrupted(street.shop.double, 6, "before", lambda: street.apply(project, second(project)))

    with pytest.raises(Transient, match="catalog_busy"):
        street.apply(project, second(project), late)

    assert street.state(project) == wanted


def test_another_document_waits_for_the_lease_of_a_dead_run_and_no_longer(street: Street) -> None:
    project = street.open("dead-")
    with pytest.raises(Died):
        street.apply(project, second(project), dying(street.shop.double, 4, "after"))

    with pytest.raises(Transient, match="catalog_busy"):
        street.apply(project, first(project))
    with transaction(street.publisher.database_url) as connection:
        connection.execute("UPDATE catalog_applies SET lease_until = now()")

    street.apply(project, first(project))
    assert street.plan(project, first(project)) == []
