"""docs/backup-and-restore.md, on a laptop: a dump restored into an empty database is the store it was made of."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from billing.store import migrate
from billing.store.connection import close, transaction
from billing.usecases.update_schema import update_schema
from billing.usecases.verify_audit import verify_all
from infra.local.postgres import server_program
from tests.support.lab import EVENTS, HOLDINGS, LISTING, Lab
from tests.support.office import Office
from tests.support.postgres import Databases
from tests.support.shop import Shop

PLAIN = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def copy(source: str, target: str, dump: Path) -> None:
    """As the page has it, step 4."""
    rights = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
    written = [str(server_program("pg_dump")), "--format=custom", "--no-owner", f"--file={dump}", source]
    read = [str(server_program("pg_restore")), *rights, f"--dbname={target}", str(dump)]
    for command in (written, read):
        done = subprocess.run(command, env=PLAIN, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def sold(office: Office) -> Office:
    """Ann pays, Bob was given a feature, and the audit says so."""
    office.shop.buy("ann", "pro_monthly", 3)
    office.shop.apply(office.shop.events())
    given = {"project_id": "notes", "user_id": "bob", "feature": "export", "reason": "press account"}
    assert office.ask("POST /api/v1/admin/grant", given).status == 201
    office.shop.double.control.advance_clock(advance_seconds=60)
    return office


@pytest.fixture
def restored(sold: Office, databases: Databases, tmp_path: Path) -> Iterator[Shop]:
    """The same shop over what was restored."""
    with databases.empty() as url:
        copy(sold.database_url, url, tmp_path / "store.dump")
        update_schema(url, lambda: 60.0)
        with transaction(url) as connection:
            assert migrate.level(connection) == migrate.wanted_level()
        worker = sold.shop.worker
        yield replace(sold.shop, worker=replace(worker, publisher=replace(worker.publisher, database_url=url)))
        close(url)


def test_it_answers_as_before_its_audit_holds_and_nothing_differs_from_stripe(sold: Office, restored: Shop) -> None:
    for user, feature in (("ann", "export"), ("ann", "seats"), ("bob", "export"), ("bob", "seats")):
        assert restored.check(user, feature) == sold.shop.check(user, feature)
    assert restored.check("bob", "export")["allowed"] is True
    assert all(chain.fault is None and chain.complete for chain in verify_all(restored.worker.database_url))
    assert Lab(restored).run(EVENTS, LISTING, HOLDINGS) == []


def test_what_was_sold_after_the_backup_comes_from_stripe(sold: Office, restored: Shop) -> None:
    sold.shop.buy("cleo", "badge")
    assert Lab(restored).run(EVENTS, LISTING, HOLDINGS) != []
    assert restored.check("cleo", "badge")["allowed"] is True
    assert Lab(restored).run(EVENTS, LISTING, HOLDINGS) == []
