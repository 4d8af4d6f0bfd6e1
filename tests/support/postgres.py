"""One PostgreSQL for a test session. A database of one's own: lent and emptied (4 ms), or made from a template (30 ms).

Its files lie in memory where there is room: on a disk, making and dropping databases was half of a suite's work.
"""

import fcntl
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from infra.local.postgres import PostgresServer, run_postgres
from tests.support.pristine import Pristine, empty, pristine

TEMPLATE = "migrated_template"
MEMORY = Path("/dev/shm")  # noqa: S108  a file system, and the directory made in it has a name nobody foresees
ROOM = 2**30
PREFIX = "billing-postgres-"
_END_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


@dataclass(frozen=True)
class Databases:
    """Makes databases on one server, each at the newest migration level."""

    server: PostgresServer
    maintenance: psycopg.Connection[Any]
    before: Pristine
    idle: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database that others had before and that is now as after `fresh`.

        Its name is new each time, so whatever still runs of an earlier test does not find it. One whose schema was
        changed is dropped, not lent again.
        """
        name = f"test_{next(self.numbers)}"
        if self.idle:
            self._run("ALTER DATABASE {} RENAME TO {}", self.idle.pop(), name)
        else:
            self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, TEMPLATE)
        try:
            yield self.server.database_url(name)
        finally:
            self._take_back(name)

    @contextmanager
    def fresh(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a new database, dropped afterwards with whatever still hangs on it. Nobody may be connected to the
        template.
        """
        name = f"test_{next(self.numbers)}"
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        try:
            yield self.server.database_url(name)
        finally:
            self._drop(name)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """As `fresh`, but with no migration applied."""
        name = f"test_{next(self.numbers)}"
        self._run("CREATE DATABASE {}", name)
        try:
            yield self.server.database_url(name)
        finally:
            self._drop(name)

    def _take_back(self, name: str) -> None:
        hidden = f"idle_{next(self.numbers)}"
        with ExitStack() as fault:
            fault.callback(self._drop, name)
            self._end_others(name)
            self._run("ALTER DATABASE {} RENAME TO {}", name, hidden)
            fault.pop_all()
            fault.callback(self._drop, hidden)
            with psycopg.connect(self.server.database_url(hidden), autocommit=True) as connection:
                reusable = empty(connection, self.before)
            if reusable:
                self.idle.append(hidden)
                fault.pop_all()

    def _drop(self, name: str) -> None:
        self._end_others(name)
        self._run("DROP DATABASE {} WITH (FORCE)", name)

    def _end_others(self, name: str) -> None:
        """Nobody hangs on the database any more. PostgreSQL itself looks again after 100 ms only."""
        deadline = time.monotonic() + 10
        while self.maintenance.execute(_END_OTHERS, (name,)).fetchall():
            if time.monotonic() > deadline:
                raise TimeoutError(f"a connection to {name} does not end")
            time.sleep(0.001)

    def _run(self, statement: LiteralString, *names: str) -> None:
        self.maintenance.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def run_databases() -> Iterator[Databases]:
    """Start the server (fsync off) in a temporary directory and migrate the template."""
    with (
        temporary_directory(PREFIX, within=roomy_memory()) as work_dir,
        run_postgres(work_dir / "data", durable=False) as server,
        psycopg.connect(server.maintenance_url, autocommit=True) as maintenance,
    ):
        yield Databases(server, maintenance, _make_template(server, maintenance))


def _make_template(server: PostgresServer, maintenance: psycopg.Connection[Any]) -> Pristine:
    from billing.store.migrate import migrate  # noqa: PLC0415  pure tests need no store

    maintenance.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate(server.database_url(TEMPLATE))
    with psycopg.connect(server.database_url(TEMPLATE), autocommit=True) as connection:
        return pristine(connection)


def roomy_memory() -> Path | None:
    """Where files live in memory, if there is room for this server's and its neighbours'."""
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        return None
    for left in MEMORY.glob(f"{PREFIX}*"):
        _sweep(left)
    return MEMORY if shutil.disk_usage(MEMORY).free >= ROOM else None


def _sweep(left: Path) -> None:
    """Remove what a killed session left, for it takes memory. The lock of a living server's data is held; within a
    minute of its making, it may be about to be.
    """
    try:
        if time.time() - left.stat().st_mtime < 60:
            return
        descriptor = os.open(left / "data.lock", os.O_RDWR)
    except (FileNotFoundError, PermissionError):  # it is being made or removed just now, or another user's
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(left, ignore_errors=True)  # others sweep as well
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


@contextmanager
def temporary_directory(prefix: str, within: Path | None = None) -> Iterator[Path]:
    """A directory others may enter: pytest's own are closed, and PostgreSQL does not run as root."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)
