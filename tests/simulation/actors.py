"""An actor: a process of the system, played by a thread with connections of its own, killed at any step."""

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import stripe

from billing.cache.client import Client
from billing.messages.bus import Bus
from billing.payments.client import API_VERSION
from billing.payments.transport import Client as StripeClient
from billing.payments.transport import Transport
from billing.runtime.aws import DYNAMODB, EVENTBRIDGE, AwsClient
from billing.runtime.breaker import Breaker
from billing.store.connection import close
from billing.usecases.answer_check import Reading
from billing.usecases.apply_event import Worker
from billing.usecases.publish_outbox import Publisher
from billing.usecases.refill_snapshot import refill_key, refill_snapshot
from tests.simulation.gate import Gate, Service

LONG = 60.0
"""Seconds: the simulation decides what is slow, not this machine's load."""


@dataclass(frozen=True)
class Parts:
    """What a function's `build` makes, over the actor's own connections."""

    worker: Worker
    reading: Reading

    @property
    def publisher(self) -> Publisher:
        return self.worker.publisher


@dataclass(frozen=True)
class Site:
    """Where the actors live: the database's and table's names, and the clocks they read."""

    database: str
    table: str
    now: Callable[[], datetime]
    monotonic: Callable[[], float]


def make_parts(site: Site, ports: Mapping[Service, int]) -> Parts:
    """Unmodified product code; only time limits are long, and Stripe's SDK leaves retrying to the queue."""
    environ = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['aws']}",
    }
    url = f"postgresql://billing@127.0.0.1:{ports['postgres']}/{site.database}?sslmode=disable&gssencmode=disable"
    stripe.enable_telemetry = False
    api_base = f"http://127.0.0.1:{ports['stripe']}"
    client = StripeClient("sk_test_simulation", API_VERSION, api_base, Transport(api_base, (LONG, LONG)), retries=0)
    writing = Client(AwsClient(DYNAMODB, LONG, environ), site.table, None, LONG, LONG)
    reads = Client(AwsClient(DYNAMODB, LONG, environ), site.table, Breaker(monotonic=site.monotonic), LONG, LONG)
    publisher = Publisher(url, writing, Bus(AwsClient(EVENTBRIDGE, LONG, environ), "simulation"))
    reading = Reading(
        reads,
        lambda digest, now: refill_key(url, reads, digest, now),
        lambda project, user, now: refill_snapshot(url, reads, project, user, now),
        Breaker(failures=2, monotonic=site.monotonic),
    )
    return Parts(Worker(client, publisher, livemode=False, now=site.now), reading)


@dataclass(frozen=True)
class Task:
    """`finished` hears, in the scheduler's thread, what came of it; not after a crash."""

    label: str
    run: Callable[[Parts], object]
    finished: Callable[[object], None]
    crashed: Callable[[], None] = lambda: None


@dataclass(eq=False)
class Actor:
    name: str
    role: str
    gate: Gate
    site: Site
    task: Task | None = None
    blocked: bool = False
    troubled: bool = False  # a fault was injected into the present task

    def __post_init__(self) -> None:
        self._dying: list[threading.Thread] = []
        self._start()

    def _start(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[Parts], object] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[object] = queue.SimpleQueue()
        life = (self.gate.admit(self.name), self._tasks, self._results)
        self._thread = threading.Thread(target=self._live, args=life, name=self.name, daemon=True)
        self._thread.start()

    def _live(
        self,
        ports: Mapping[Service, int],
        tasks: queue.SimpleQueue[Callable[[Parts], object] | None],
        results: queue.SimpleQueue[object],
    ) -> None:
        parts = make_parts(self.site, ports)
        while (run := tasks.get()) is not None:
            try:
                result: object = run(parts)
            except BaseException as fault:  # noqa: BLE001  the scheduler judges it
                result = fault
            results.put(result)
            self.gate.wake()
        for aws in (parts.publisher.cache.aws, parts.publisher.bus.client, parts.reading.cache.aws):
            aws.close()
        close(parts.worker.database_url)

    def has_ended(self) -> bool:
        return not self._results.empty()

    def begin(self, task: Task) -> None:
        self.task, self.troubled = task, False
        self._tasks.put(task.run)

    def take_result(self) -> object:
        self.task = None
        return self._results.get()

    def restart(self) -> None:
        """A new process in place of the killed one: nothing of its memory is left.

        The killed one's thread finds every door shut and ends by itself; nobody waits for it.
        """
        self.stop()
        self._dying.append(self._thread)
        self._start()

    def stop(self) -> None:
        self._tasks.put(None)

    def is_gone(self) -> bool:
        return not any(thread.is_alive() for thread in (self._thread, *self._dying))
