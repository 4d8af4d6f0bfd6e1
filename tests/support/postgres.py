"""One PostgreSQL for a test session; a fresh, migrated database costs about 40 ms (a file copy of a template)."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from infra.local.postgres import PostgresServer, run_postgres

TEMPLATE = "migrated_template"


@dataclass(frozen=True)
class Databases:
    """Makes databases on one server, each at the newest migration level."""

    server: PostgresServer
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a new database, dropped afterwards with whatever still hangs on it."""
        name = f"test_{next(self.numbers)}"
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, TEMPLATE)
        try:
            yield self.server.database_url(name)
        finally:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """As `fresh`, but with no migration applied."""
        name = f"test_{next(self.numbers)}"
        self._run("CREATE DATABASE {}", name)
        try:
            yield self.server.database_url(name)
        finally:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    def make_template(self) -> None:
        from billing.store.migrate import migrate  # noqa: PLC0415  pure tests need no store

        self._run("CREATE DATABASE {}", TEMPLATE)
        migrate(self.server.database_url(TEMPLATE))

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.server.maintenance_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def run_databases() -> Iterator[Databases]:
    """Start the server (fsync off) in a temporary directory and migrate the template."""
    with temporary_directory("billing-postgres-") as work_dir, run_postgres(work_dir / "data", durable=False) as server:
        databases = Databases(server)
        databases.make_template()
        yield databases


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """A directory others may enter: pytest's own are closed, and PostgreSQL does not run as root."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)
