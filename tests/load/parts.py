"""The whole system, booted for a load test on free ports, with a PostgreSQL that may be killed and started again."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stripe import StripeClient

from billing.payments.client import connect
from infra.local.console import Progress
from infra.local.deploy import Deployed
from infra.local.double import run_double
from infra.local.install import Places, install
from infra.local.kept import Kept
from infra.local.ministack import run_ministack
from infra.local.postgres import PostgresServer, ensure_functions_login, run_postgres
from tests.support.postgres import temporary_directory

DELIVERIES = 8
"""Webhooks the double sends at once, as Stripe does, so in no order."""


@dataclass
class Store:
    """PostgreSQL, durable as `make run` has it. `server` is the running one."""

    data_dir: Path
    server: PostgresServer
    running: ExitStack = field(default_factory=ExitStack)

    @classmethod
    @contextmanager
    def started(cls, data_dir: Path) -> Iterator["Store"]:
        with ExitStack() as running:
            store = cls(data_dir, running.enter_context(run_postgres(data_dir)), running.pop_all())
            try:
                yield store
            finally:
                store.running.close()

    def kill(self) -> None:
        """SIGKILL of the postmaster: no checkpoint, no goodbye to anyone."""
        postmaster = int((self.data_dir / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGKILL)
        self.running.close()

    def start_again(self) -> None:
        """On the same data and port. Returns once it has recovered and answers."""
        port = self.server.port
        self.server = self.running.enter_context(run_postgres(self.data_dir, port))
        if self.server.port != port:
            raise RuntimeError(f"another program has taken PostgreSQL's port {port} meanwhile: run the test again")


@dataclass(frozen=True)
class System:
    """`kept` has the keys and the webhook's secret."""

    kept: Kept
    store: Store
    deployed: Deployed
    aws_url: str
    stripe_url: str

    @property
    def stripe(self) -> StripeClient:
        return connect(self.kept.stripe_api_key, self.stripe_url)


@contextmanager
def booted(progress: Progress) -> Iterator[System]:
    """The local system on data of its own, all of it ended and removed afterwards. Raises LocalStackError."""
    with temporary_directory("billing-load-") as root, ExitStack() as parts:
        with progress.step("PostgreSQL, MiniStack, Stripe double"):
            store = parts.enter_context(Store.started(root / "postgres"))
            aws = parts.enter_context(run_ministack(root / "ministack"))
            double = parts.enter_context(run_double(root, workers=DELIVERIES))
        kept = Kept()
        login = partial(ensure_functions_login, store.server)
        places = Places(store.server.url, aws.endpoint_url, double.url, login)
        deployed = install(root, kept, places, progress)
        yield System(kept, store, deployed, aws.endpoint_url, double.url)
