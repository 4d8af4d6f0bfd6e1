"""The functions' login: what the deployment makes, once and again."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from billing.store.connection import connect
from billing.store.roles import FUNCTIONS_USER, IAM_ROLE, ensure_functions_login


@pytest.fixture
def functions_url(database_url: str) -> str:
    with connect(database_url) as owner:
        ensure_functions_login(owner)
        ensure_functions_login(owner)
    parts = urlsplit(database_url)
    return urlunsplit(parts._replace(netloc=f"{FUNCTIONS_USER}@{parts.hostname}:{parts.port}"))


def test_the_functions_read_and_write_but_own_nothing(functions_url: str) -> None:
    with connect(functions_url) as connection:
        connection.execute("INSERT INTO projects (id, name, identity_namespace) VALUES ('notes', 'Notes', 'notes')")
        for forbidden in ("DROP TABLE projects", "CREATE TABLE mine (n int)", "UPDATE audit SET actor = 'me'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())


def test_what_a_function_leaves_behind_ends_by_itself(functions_url: str) -> None:
    with connect(functions_url) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("2min",)
        assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("1min",)


@pytest.fixture
def iam_role(database_url: str) -> Iterator[None]:
    """As RDS has it from the beginning."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {IAM_ROLE}".encode())
        yield
        owner.execute(f"DROP ROLE {IAM_ROLE}".encode())


@pytest.mark.usefixtures("iam_role")
def test_on_rds_the_functions_log_in_by_iam(functions_url: str) -> None:
    with connect(functions_url) as connection:
        member = connection.execute("SELECT pg_has_role(%s, 'MEMBER')", (IAM_ROLE,)).fetchone()
    assert member == (True,)
