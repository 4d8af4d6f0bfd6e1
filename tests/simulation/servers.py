"""The running PostgreSQL and MiniStack that seeds are played on: started here, or lent by whoever started this."""

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from infra.local.ministack import run_ministack
from tests.simulation.gate import Address
from tests.support.postgres import TEMPLATE, run_databases, temporary_directory


@dataclass(frozen=True)
class Servers:
    postgres_port: int
    aws_url: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def postgres(self) -> Address:
        return "127.0.0.1", self.postgres_port

    @property
    def aws(self) -> Address:
        parts = urlsplit(self.aws_url)
        return parts.hostname or "", parts.port or 0

    def url_of(self, database: str) -> str:
        return f"postgresql://billing@127.0.0.1:{self.postgres_port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a new database at the newest migration level; deadlocks are found there within 0.1 s."""
        name = f"simulated_{os.getpid()}_{next(self.numbers)}"
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, TEMPLATE)
        self._run("ALTER DATABASE {} SET deadlock_timeout = '100ms'", name)
        try:
            yield name
        finally:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def run_servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        databases = stack.enter_context(run_databases())
        work_dir = stack.enter_context(temporary_directory("billing-aws-"))
        aws = stack.enter_context(run_ministack(work_dir))
        yield Servers(databases.server.port, aws.endpoint_url)
