"""The whole system on this machine: PostgreSQL, MiniStack with our functions, the Stripe double, the demo project."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra.local.console import Progress
from infra.local.deploy import STACK, Deployed
from infra.local.double import Double, run_double
from infra.local.install import Places, install
from infra.local.kept import Kept, Lock, Stack, load_kept, locked, remove_stack, save_kept, save_stack
from infra.local.ministack import Aws, run_ministack
from infra.local.postgres import PostgresServer, ensure_functions_login, run_postgres
from infra.local.processes import Guarded, LocalStackError
from infra.local.seed import PROJECT_ID


@dataclass(frozen=True)
class Parts:
    """The three processes under the system."""

    postgres: PostgresServer
    aws: Aws
    double: Double

    @property
    def processes(self) -> Sequence[Guarded]:
        return (self.postgres.process, self.aws.process, self.double.process)


@dataclass(frozen=True)
class Running:
    stack: Stack
    parts: Parts

    def watch(self) -> None:
        """Return never; raises LocalStackError as soon as a part has died."""
        while True:
            for process in self.parts.processes:
                if process.exit_code() is not None:
                    raise LocalStackError(
                        f"{process.name} has died (its log: {process.log}). Start again: nothing acknowledged is lost."
                    )
            time.sleep(0.2)


@contextmanager
def boot(root: Path, progress: Progress) -> Iterator[Running]:
    """Run the whole system on the data in `root` until the block ends, or this process does, however it does.

    Raises LocalStackError: another run has `root`, or a part did not start.
    """
    with locked(root) as lock, ExitStack() as running:
        if lock.after_a_kill:
            progress.note("  The run before this one was killed. Its data is taken up as it is.")
        remove_stack(root)
        running.callback(remove_stack, root)
        kept = load_kept(root)
        parts = _start(root, kept, lock, progress, running)
        login = partial(ensure_functions_login, parts.postgres)
        places = Places(parts.postgres.url, parts.aws.endpoint_url, parts.double.url, login)
        deployed = install(root, kept, places, progress)
        stack = describe(kept, parts, deployed, STACK)
        save_stack(root, stack)
        yield Running(stack, parts)


def _start(root: Path, kept: Kept, lock: Lock, progress: Progress, running: ExitStack) -> Parts:
    with progress.step("PostgreSQL") as tell:
        postgres = running.enter_context(run_postgres(root / "postgres", kept.postgres_port))
        tell(_where(postgres.port, kept.postgres_port))
    with progress.step("MiniStack (AWS)") as tell:
        aws = running.enter_context(run_ministack(root / "ministack", kept.aws_port, [lock.descriptor]))
        tell(_where(aws.port, kept.aws_port))
    with progress.step("Stripe double") as tell:
        double = running.enter_context(run_double(root, kept.stripe_port, [lock.descriptor]))
        tell(_where(double.port, kept.stripe_port))
    kept.postgres_port, kept.aws_port, kept.stripe_port = postgres.port, aws.port, double.port
    save_kept(root, kept)
    return Parts(postgres, aws, double)


def _where(port: int, before: int) -> str:
    if before in (0, port):
        return f"port {port}"
    return f"port {port}, as another program has taken {before}"


def describe(kept: Kept, parts: Parts, deployed: Deployed, prefix: str) -> Stack:
    """Where everything is of what was deployed, whose resources' names begin with `prefix`."""
    return Stack(
        api_url=deployed.api_url,
        stripe_url=parts.double.url,
        admin_key=kept.admin_key,
        project_key=kept.project_key,
        project_id=PROJECT_ID,
        webhook_secret=kept.webhook_secret,
        database_url=parts.postgres.url,
        aws_endpoint_url=parts.aws.endpoint_url,
        table=deployed.table_name,
        queue_url=deployed.queue_url,
        prefix=prefix,
    )


class Stopped(BaseException):
    """Somebody asked this process to end: Ctrl-C, SIGTERM, or its terminal is gone."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turn the first of those signals into Stopped; the rest are ignored, so that stopping is not cut short."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
