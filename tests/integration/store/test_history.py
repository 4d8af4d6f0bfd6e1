"""The catalog of every epoch is kept, in the transaction that made it, and told as of any instant."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from billing.domain.catalog import Benefit, Feature, PricePolicy
from billing.store import catalog, history, projects
from billing.store.connection import close, transaction
from billing.store.migrate import files
from tests.support.postgres import Databases
from tests.support.world import World, make_world

NOW = datetime.now(UTC) + timedelta(hours=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """Project notes at epoch 2, recorded at `NOW`."""
    world = make_world(database_url)
    with transaction(database_url) as connection:
        projects.bump_epoch(connection, "notes", NOW)
    yield world
    close(database_url)


def seats_at(world: World, at: datetime) -> list[object]:
    """What pro gave of seats, as known at an instant."""
    with transaction(world.database_url) as connection:
        known = history.known_at(connection, "notes", "ann", at)
    assert known is not None
    return [b.value for b in known.catalog.by_product.get("prod_pro", ()) if b.feature == "seats"]


def give_seats(world: World, value: int, now: datetime) -> None:
    with transaction(world.database_url) as connection:
        benefit = Benefit("seats", value)
        catalog.upsert_benefit(connection, "notes", benefit, product_id="prod_pro", price_id=None)
        projects.bump_epoch(connection, "notes", now)


def test_each_epoch_keeps_the_catalog_it_had(world: World) -> None:
    give_seats(world, 5, NOW + HOUR)
    give_seats(world, 9, NOW + 2 * HOUR)

    tick = timedelta(microseconds=1)
    asked = [NOW, NOW + HOUR - tick, NOW + HOUR, NOW + 2 * HOUR - tick, NOW + 2 * HOUR, NOW + 99 * HOUR]
    assert [seats_at(world, at) for at in asked] == [[2], [2], [5], [5], [9], [9]]


def test_a_new_project_starts_its_history_empty(world: World) -> None:
    with transaction(world.database_url) as connection:
        known = history.known_at(connection, "notes", "ann", NOW - timedelta(minutes=1))
    assert known is not None
    assert (known.catalog.epoch, dict(known.catalog.features), known.version) == (1, {}, 0)


def test_a_clock_that_is_behind_does_not_put_an_epoch_before_the_one_it_follows(world: World) -> None:
    give_seats(world, 5, NOW - 3 * HOUR)
    assert seats_at(world, NOW - timedelta(microseconds=1)) == []
    assert seats_at(world, NOW) == [5]


def fail_an_edit(world: World) -> None:
    with transaction(world.database_url) as connection:
        projects.bump_epoch(connection, "notes", NOW + HOUR)
        catalog.upsert_benefit(connection, "notes", Benefit("nothing", 1), product_id="prod_pro", price_id=None)


def test_an_edit_that_is_rolled_back_leaves_no_history(world: World) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        fail_an_edit(world)
    assert seats_at(world, NOW + HOUR) == [2]
    with transaction(world.database_url) as connection:
        count = connection.execute("SELECT count(*) FROM catalog_history").fetchone()
    assert count == (2,)


def test_policies_are_kept_whatever_product_the_price_belongs_to(world: World) -> None:
    policy = PricePolicy(timedelta(days=3), timedelta(hours=1), None, "revoke", "keep")
    with transaction(world.database_url) as connection:
        projects.insert_project(connection, project_id="maps", name="Maps", namespace="notes", allowed_origins=[])
        catalog.upsert_feature(connection, "maps", Feature("routes", "boolean"), "Routes")
        catalog.upsert_benefit(connection, "maps", Benefit("routes", value=True), product_id="prod_pro", price_id=None)
        catalog.set_policy(connection, "price_pro", policy)
        for project_id in ("notes", "maps"):
            projects.bump_epoch(connection, project_id, NOW + HOUR)
    for project_id in ("notes", "maps"):
        with transaction(world.database_url) as connection:
            known = history.known_at(connection, project_id, "ann", NOW + HOUR)
        assert known is not None
        assert known.catalog.policies == {"price_pro": policy}


def test_an_unknown_project_has_no_history(world: World) -> None:
    with transaction(world.database_url) as connection:
        assert history.known_at(connection, "strangers", "ann", NOW) is None


def test_a_catalog_from_before_the_history_stands_for_all_since_its_project_was_made(databases: Databases) -> None:
    before = [sql for number, _, sql in files() if number < 3]
    [migration] = [sql for number, _, sql in files() if number == 3]
    with databases.empty() as url:
        with psycopg.connect(url) as connection:
            for sql in before:
                connection.execute(sql.encode())
            connection.execute(
                "INSERT INTO projects (id, name, identity_namespace, catalog_epoch, created_at)"
                " VALUES ('notes', 'Notes', 'notes', 4, '2026-01-01T00:00:00Z')"
            )
            connection.execute("INSERT INTO features (project_id, code, type) VALUES ('notes', 'export', 'boolean')")
            connection.execute(migration.encode())
        with transaction(url) as connection:
            known = history.known_at(connection, "notes", "ann", datetime(2026, 1, 1, tzinfo=UTC))
        close(url)
    assert known is not None
    assert (known.catalog.epoch, dict(known.catalog.features)) == (4, {"export": Feature("export", "boolean")})
