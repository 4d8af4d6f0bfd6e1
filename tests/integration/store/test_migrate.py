from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from billing.store.connection import connect
from billing.store.migrate import files, level, migrate, wanted_level
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
