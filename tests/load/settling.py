"""Until all that was sent has come through: deliveries, queue, outbox."""

import time
from contextlib import closing

import psycopg

from billing.runtime.aws import SQS, AwsClient
from infra.local.double import control
from infra.local.ministack import REGION
from tests.bench.burst_worker import left
from tests.load.parts import System


def settle(system: System, patience: float = 120) -> int:
    """How many messages and debts are left: none, unless `patience` seconds were not enough.

    Raises RuntimeError where the Stripe double goes on delivering.
    """
    deadline = time.monotonic() + patience
    while not control(system.stripe_url, "delivery/wait", {"timeout": 5}):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the Stripe double still delivers after {patience:.0f} s")
    while owed := waiting(system, system.deployed.queue_url) + _debts(system):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return owed


def waiting(system: System, queue_url: str) -> int:
    """Messages in a queue, also those in somebody's hands."""
    environ = {
        "AWS_ENDPOINT_URL": system.aws_url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with closing(AwsClient(SQS, 10.0, environ)) as queues:
        return left(queues, queue_url)


def _debts(system: System) -> int:
    with psycopg.connect(system.store.server.url) as store:
        [number] = store.execute("SELECT count(*) FROM outbox").fetchone() or (0,)
    return int(number)
