"""A test's database was another's before: nothing of that test may reach the next."""

from typing import Any

import psycopg
import pytest
from psycopg import sql

from billing.store.connection import connect
from tests.support.postgres import Databases

OID = "SELECT oid FROM pg_database WHERE datname = current_database()"
FILL = """
INSERT INTO projects (id, name, identity_namespace) VALUES ('notes', 'Notes', 'notes');
INSERT INTO customers (namespace, user_id) VALUES ('notes', 'ann'), ('notes', 'ben');
DELETE FROM customers WHERE user_id = 'ben';
UPDATE fetch_budget SET tokens = 0;
DELETE FROM schema_migrations;
"""
RELATIONS = """
SELECT relname FROM pg_class WHERE relkind IN ('r', 'S') AND relnamespace = 'public'::regnamespace ORDER BY relname
"""
STORAGE = """
SELECT relname, reltuples, pg_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname IN ('projects', 'customers') ORDER BY relname
"""


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def change(url: str, statement: str) -> None:
    with connect(url) as connection:
        connection.execute(statement.encode())


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Of every table and every counter."""
    with connect(url) as connection:
        names = [name for (name,) in connection.execute(RELATIONS)]
        every = (sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)) for name in names)
        return {name: connection.execute(query).fetchall() for name, query in zip(names, every, strict=True)}


def test_it_has_the_rows_and_counters_of_a_new_one(databases: Databases) -> None:
    with databases.fresh() as url:
        new = rows(url)
    with databases.lent() as url:
        used = ask(url, OID)
        change(url, FILL)
        assert rows(url) != new

    with databases.lent() as url:
        assert ask(url, OID) == used
        assert rows(url) == new


def test_its_tables_begin_at_their_first_page_and_the_planner_knows_nothing_of_them(databases: Databases) -> None:
    with databases.lent() as url:
        change(url, FILL)

    with databases.lent() as url:
        assert ask(url, STORAGE) == [("customers", -1, 0), ("projects", -1, 0)]


def test_who_still_holds_a_connection_loses_it_and_finds_no_way_back(databases: Databases) -> None:
    with databases.lent() as url:
        left = psycopg.connect(url)
        left.execute("INSERT INTO projects (id, name, identity_namespace) VALUES ('late', 'Late', 'late')")

    with databases.lent() as other:
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(url)
        assert ask(other, "SELECT id FROM projects") == []
    left.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE toys (id int)",
        "ALTER TABLE subscriptions RENAME COLUMN status TO state",
        "ALTER TABLE customers DROP CONSTRAINT customers_user_id_check",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DROP INDEX projects_by_namespace",
        "GRANT DELETE ON audit TO billing_app",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT TRUNCATE ON TABLES TO billing_app",
        "CREATE FUNCTION one() RETURNS int LANGUAGE SQL RETURN 1",
        "CREATE SCHEMA other",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''1MB''', current_database()); END $$",
        "INSERT INTO projects (id, name, identity_namespace) VALUES ('a', 'A', 'a'); ANALYZE projects",
    ],
)
def test_one_of_which_more_than_rows_was_changed_is_not_lent_again(databases: Databases, statement: str) -> None:
    with databases.lent() as url:
        used = ask(url, OID)
        change(url, statement)

    with databases.lent() as url:
        assert ask(url, OID) != used
