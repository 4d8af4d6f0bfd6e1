import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from billing.errors import Transient
from billing.store.connection import connect
from billing.store.migrate import LOCK_SECONDS, Migration, files, level, migrate, wanted_level
from tests.support.postgres import Databases


def test_an_empty_database_is_brought_to_the_newest_level(databases: Databases) -> None:
    with databases.empty() as url:
        with connect(url) as connection:
            assert level(connection) == 0

        assert migrate(url) == wanted_level()

        with connect(url) as connection:
            assert level(connection) == wanted_level() == len(files())


def test_migrating_again_changes_nothing(database_url: str) -> None:
    with connect(database_url) as connection:
        before = connection.execute("SELECT number, applied_at FROM schema_migrations").fetchall()

    migrate(database_url)

    with connect(database_url) as connection:
        assert connection.execute("SELECT number, applied_at FROM schema_migrations").fetchall() == before


def test_two_deployments_at_once_apply_each_migration_once(databases: Databases) -> None:
    with databases.empty() as url:
        with ThreadPoolExecutor(4) as threads:
            levels = list(threads.map(lambda _: migrate(url), range(4)))
        assert levels == [wanted_level()] * 4


def test_a_migration_that_was_edited_after_it_was_applied_is_refused(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("UPDATE schema_migrations SET digest = 'other' WHERE number = 1")

    with pytest.raises(ValueError, match=r"0001_core\.sql was changed after it was applied"):
        migrate(database_url)


def following(*sql: str, name: str = "next") -> list[Migration]:
    """The migrations there are, and these after them."""
    newest = wanted_level()
    more = [(newest + place, f"{newest + place:04}_{name}.sql", text) for place, text in enumerate(sql, 1)]
    return files() + more


def test_a_migration_that_does_not_apply_keeps_what_came_before_it(database_url: str) -> None:
    broken = following(
        "CREATE TABLE extra (n int UNIQUE)", "INSERT INTO extra VALUES (7); INSERT INTO extra VALUES (7)"
    )

    with pytest.raises(ValueError, match=r"next\.sql does not apply") as refused:
        migrate(database_url, migrations=broken)

    assert "(n)=(7)" not in str(refused.value)  # a row of someone's
    with connect(database_url) as connection:
        assert level(connection) == wanted_level() + 1
        assert connection.execute("SELECT count(*) FROM extra").fetchone() == (0,)


def test_a_table_in_use_is_waited_for_without_stopping_those_who_use_it(database_url: str) -> None:
    alter = following("ALTER TABLE projects ADD COLUMN colour text")
    with connect(database_url) as user, connect(database_url) as other, ThreadPoolExecutor(1) as threads:
        with user.transaction():
            user.execute("SELECT count(*) FROM projects")
            migrating = threads.submit(migrate, database_url, migrations=alter)
            wait_for_lock(other)
            other.execute("SET statement_timeout = '30s'")
            other.execute("SELECT count(*) FROM projects")  # queued behind the ALTER, until that gives way
        assert migrating.result(30) == wanted_level() + 1


def wait_for_lock(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'projects'::regclass"
    ends = time.monotonic() + 10
    while connection.execute(waiting).fetchone() != (1,):
        assert time.monotonic() < ends, "nobody waits for the table"
        time.sleep(0.01)


def test_a_table_that_stays_in_use_is_a_fault_of_the_moment(database_url: str) -> None:
    alter = following("ALTER TABLE projects ADD COLUMN colour text")
    with connect(database_url) as user, user.transaction():
        user.execute("SELECT count(*) FROM projects")
        with pytest.raises(Transient, match="waited in vain") as refused:
            migrate(database_url, lambda: LOCK_SECONDS + 0.05, alter)
    assert refused.value.code == "contended"


def test_a_migration_that_takes_longer_than_is_left_is_stopped(database_url: str) -> None:
    with pytest.raises(Transient, match="QueryCanceled"):
        migrate(database_url, lambda: 0.2, following("SELECT pg_sleep(60)"))
    with connect(database_url) as connection:
        assert level(connection) == wanted_level()


def test_an_index_can_be_built_beside_running_writes(database_url: str) -> None:
    build = "DROP INDEX CONCURRENTLY IF EXISTS by_name;\nCREATE INDEX CONCURRENTLY by_name ON projects (name);\n"
    migrate(database_url, migrations=following(build, name="by_name_concurrently"))

    with connect(database_url) as connection:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_name'::regclass"
        assert connection.execute(valid).fetchone() == (True,)
        assert level(connection) == wanted_level() + 1


def test_an_index_whose_building_was_broken_off_is_built_anew(database_url: str) -> None:
    build = (
        "DROP INDEX CONCURRENTLY IF EXISTS by_merge;\nCREATE UNIQUE INDEX CONCURRENTLY by_merge ON features (merge);\n"
    )
    migrations = following(build, name="by_merge_concurrently")
    with connect(database_url) as connection:
        connection.execute("INSERT INTO projects (id, name, identity_namespace) VALUES ('notes', 'Notes', 'notes')")
        for code in ("export", "import"):
            connection.execute("INSERT INTO features (project_id, code, type) VALUES ('notes', %s, 'boolean')", (code,))
        with pytest.raises(ValueError, match="does not apply"):
            migrate(database_url, migrations=migrations)  # leaves an invalid index behind
        connection.execute("DELETE FROM features WHERE code = 'import'")

        migrate(database_url, migrations=migrations)

        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_merge'::regclass"
        assert connection.execute(valid).fetchone() == (True,)


def test_two_deployments_at_once_build_an_index_once(database_url: str) -> None:
    build = following("CREATE INDEX CONCURRENTLY by_name ON projects (name);\n", name="by_name_concurrently")
    with ThreadPoolExecutor(2) as threads:
        levels = list(threads.map(lambda _: migrate(database_url, migrations=build), range(2)))
    assert levels == [wanted_level() + 1] * 2


def test_a_customer_can_have_only_one_living_stripe_customer(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("INSERT INTO customers (namespace, user_id) VALUES ('notes', 'ann')")
        connection.execute("INSERT INTO stripe_customers (id, customer_id) SELECT 'cus_1', id FROM customers")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO stripe_customers (id, customer_id) SELECT 'cus_2', id FROM customers")


def test_a_grant_window_must_be_half_open_and_not_empty(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("INSERT INTO projects (id, name, identity_namespace) VALUES ('notes', 'Notes', 'notes')")
        connection.execute("INSERT INTO features (project_id, code, type) VALUES ('notes', 'export', 'boolean')")
        connection.execute("INSERT INTO customers (namespace, user_id) VALUES ('notes', 'ann')")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(
                "INSERT INTO grants"
                " (id, customer_id, project_id, feature_code, value, valid_from, valid_to, reason, actor)"
                " SELECT 'g', id, 'notes', 'export', 'true', '2026-01-01Z', '2026-01-01Z', 'why', 'me' FROM customers"
            )
