"""The audit's table: what is appended forms one chain, and nobody takes a row back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from billing.domain.audit import START, Mark, follow
from billing.store import audit
from billing.store.audit import Act, Place
from billing.store.connection import close, connect, transaction

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
ACT = Act(
    "notes", "ada", "key_1", "grant.create", "grant_1", "a gift", None, {"feature": "export", "value": 1.50}, "req"
)


@pytest.fixture(autouse=True)
def closed(database_url: str) -> Iterator[None]:
    yield
    close(database_url)


def add(database_url: str, *acts: Act, now: datetime = NOW) -> None:
    with transaction(database_url) as connection:
        for act in acts:
            audit.append(connection, act, now)


def test_acts_of_a_chain_follow_each_other_without_a_gap(database_url: str) -> None:
    for number in range(5):
        add(database_url, replace(ACT, target=f"grant_{number}"))

    with transaction(database_url) as connection:
        links = audit.links_after(connection, "notes", 0, until=100, limit=100)
        end = audit.end_of(connection, "notes")

    assert [(link.entry.seq, link.entry.target) for link in links] == [(n + 1, f"grant_{n}") for n in range(5)]
    assert follow(START, links) == end.head == Mark(5, links[-1].hash)
    assert end.last == 5


def test_each_project_has_a_chain_of_its_own(database_url: str) -> None:
    add(database_url, ACT, replace(ACT, chain=""), replace(ACT, chain="mail"), ACT)

    with transaction(database_url) as connection:
        assert audit.chains(connection) == ["", "mail", "notes"]
        assert [audit.end_of(connection, chain).last for chain in ("", "mail", "notes", "none")] == [1, 1, 2, 0]


def test_an_act_of_work_that_is_rolled_back_leaves_nothing(database_url: str) -> None:
    with pytest.raises(TypeError):  # the second act cannot be written, so the first is not either
        add(database_url, ACT, replace(ACT, after={"value": object()}))

    add(database_url, ACT)

    with transaction(database_url) as connection:
        assert audit.end_of(connection, "notes").last == 1


def test_eight_writers_at_once_make_one_unbroken_chain(database_url: str) -> None:
    def write(writer: int) -> None:
        for number in range(25):
            add(database_url, replace(ACT, target=f"{writer}/{number}"))
        close(database_url)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))

    with transaction(database_url) as connection:
        links = audit.links_after(connection, "notes", 0, until=1000, limit=1000)
        end = audit.end_of(connection, "notes")
    assert len({link.entry.target for link in links}) == len(links) == 200
    assert follow(START, links) == end.head


def test_a_clock_that_goes_back_does_not_date_an_act_before_the_last(database_url: str) -> None:
    add(database_url, ACT)
    add(database_url, ACT, now=NOW - timedelta(hours=1))

    with transaction(database_url) as connection:
        links = audit.links_after(connection, "notes", 0, until=100, limit=100)
    assert [link.entry.at for link in links] == [NOW, NOW]
    assert isinstance(follow(START, links), Mark)


def test_a_list_is_newest_first_and_goes_on_after_its_last_row(database_url: str) -> None:
    for number in range(6):
        add(database_url, replace(ACT, target=str(number), chain="ab"[number % 2]), now=NOW + timedelta(number // 3))

    with transaction(database_url) as connection:
        whole = audit.list_acts(connection, limit=100)
        pages = []
        place = None
        while page := audit.list_acts(connection, after=place, limit=2):
            pages += page
            place = Place(page[-1].entry.at, page[-1].entry.chain, page[-1].entry.seq)

    assert [link.entry.target for link in whole] == ["5", "3", "4", "1", "2", "0"]
    assert pages == whole


def test_filters_fit_exactly_and_together(database_url: str) -> None:
    add(
        database_url,
        ACT,
        replace(ACT, action="grant.revoke"),
        replace(ACT, target="grant_%", actor="bob"),
        replace(ACT, chain="mail"),
    )

    with transaction(database_url) as connection:

        def found(**asked: object) -> list[int]:
            return [link.entry.seq for link in audit.list_acts(connection, limit=9, **asked)]  # type: ignore[arg-type]

        assert found(chain="notes") == [3, 2, 1]
        assert found(chain="notes", action="grant.create") == [3, 1]
        assert found(targets=["grant_%"]) == [3]
        assert found(actor="ada", targets=["grant_1"], chain="notes") == [2, 1]
        assert found(actor="%") == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "DELETE FROM audit_heads",
        "TRUNCATE audit_heads",
        "UPDATE audit_heads SET seq = seq - 1",
        "UPDATE audit_heads SET hash = decode(repeat('00', 32), 'hex')",
    ],
)
def test_not_even_the_owner_changes_what_is_written(database_url: str, statement: str) -> None:
    add(database_url, ACT)
    with connect(database_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit", "TRUNCATE audit", "DELETE FROM audit_heads"]
)
def test_the_functions_role_has_no_right_to_change_it_whatever_triggers_say(database_url: str, statement: str) -> None:
    add(database_url, ACT)
    with connect(database_url) as connection:
        connection.execute("ALTER TABLE audit DISABLE TRIGGER ALL; ALTER TABLE audit_heads DISABLE TRIGGER ALL")
        connection.execute("SET ROLE billing_app")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            connection.execute(statement.encode())


def test_the_functions_role_reads_and_appends(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("SET ROLE billing_app")
        audit.append(connection, ACT, NOW)
        assert len(audit.list_acts(connection, limit=9)) == 1


def test_the_functions_role_works_on_every_other_table_those_to_come_included(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("CREATE TABLE of_a_later_release (id bigint GENERATED ALWAYS AS IDENTITY, word text)")
        connection.execute("SET ROLE billing_app")
        connection.execute("INSERT INTO of_a_later_release (word) VALUES ('x')")
        connection.execute("INSERT INTO projects (id, name, identity_namespace) VALUES ('notes', 'Notes', 'notes')")
        connection.execute("UPDATE projects SET name = 'N'")
        connection.execute("DELETE FROM projects")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM schema_migrations")
