"""A check that misses, with PostgreSQL asked for the key and for the snapshot, ÷ the two statements alone.

Wall time, for both wait for PostgreSQL. The DynamoDB here has nothing and takes whatever is put, at once; so a miss is
three calls to it, two transactions, the rules, and the answers made ready.
"""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime
from typing import Any

import psycopg

from billing.domain import keys
from billing.store.connection import close
from billing.store.keys import _FIND as FIND
from billing.store.snapshots import _OF_USER as OF_USER
from functions.entitlements.handler import build
from tests.bench.canned import canned
from tests.bench.check_scene import environ
from tests.bench.table import Row, medians, pairs, ratios
from tests.support.postgres import run_databases
from tests.support.wire import CONTEXT, rest_event
from tests.support.world import make_world

CALLS = 50


def rows(count: int) -> Iterator[Row]:
    with run_databases() as databases, databases.fresh() as url, canned(b"{}") as dynamodb:
        world = make_world(url)
        world.subscribe("ada", start=datetime.now(UTC))
        key = world.key()
        check = build({**environ(dynamodb), "DATABASE_URL": url}, read_timeout=2)
        headers = {"Authorization": f"Bearer {key}"}
        event = rest_event(
            "GET", "/api/v1/entitlements/check", query={"user_id": "ada", "feature": "export"}, headers=headers
        )
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            seen = pairs(timed(lambda: missed(check, event)), timed(lambda: bare(connection, keys.digest(key))), count)
        close(url)
    ours, theirs = medians(seen)
    yield Row("check, miss (refill) ÷ its bare SQL", ratios(seen), None, note=f"{ours:.2f} ms ÷ {theirs:.2f} ms")


def missed(check: Any, event: dict[str, Any]) -> None:
    answer = check(event, CONTEXT)
    if answer["statusCode"] != 200 or '"allowed":true' not in answer["body"]:
        raise RuntimeError(f"the check was answered {answer}")


def bare(connection: psycopg.Connection[Any], digest: bytes) -> None:
    connection.execute(FIND, (digest,)).fetchone()
    connection.execute(OF_USER, {"project_id": "notes", "user_id": "ada"}).fetchone()


def timed(call: Callable[[], object]) -> Callable[[], float]:
    """Milliseconds a call."""

    def run() -> float:
        with redirect_stderr(io.StringIO()):
            call()
            began = time.perf_counter()
            for _ in range(CALLS):
                call()
            return (time.perf_counter() - began) / CALLS * 1000

    return run
