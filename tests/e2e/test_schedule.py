"""The rules of the reconciliation as the platform fires them: nobody here invokes the function.

MiniStack looks at its rules each ten seconds, and a minute's rule fires a minute after it last did: this waits for it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from billing.store.connection import close, transaction
from billing.usecases.manage_runs import Wanted, open_run
from infra.local.kept import Stack
from tests.support.aws import SESSION

EACH_MINUTE = "cron(* * * * ? *)"
PATIENCE = 100.0
"""Seconds: a minute, MiniStack's ten, and a slow machine."""


@pytest.fixture
def open_run_id(stack: Stack) -> str:
    """A run that was opened and that nobody has worked on."""
    with transaction(stack.database_url) as connection:
        run = open_run(connection, Wanted(passes=["cache"]), None, datetime.now(UTC))
    close(stack.database_url)
    return run.id


def runs(stack: Stack) -> dict[str, tuple[str, str, Any]]:
    """By id: status, who started it, its passes."""
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute("SELECT id, status, cause, passes FROM runs").fetchall()
    return {run_id: (status, cause, passes) for run_id, status, cause, passes in rows}


def wait_until(good: Callable[[], bool], stack: Stack) -> None:
    deadline = time.monotonic() + PATIENCE
    while not good():
        assert time.monotonic() < deadline, f"no rule fired within {PATIENCE:.0f} s: {runs(stack)}"
        time.sleep(0.5)


@contextmanager
def at_each_minute(stack: Stack, name: str) -> Iterator[None]:
    """The deployed rule with its own target and input, at another time; afterwards at its own again."""
    events = SESSION.client("events", endpoint_url=stack.aws_endpoint_url)
    own = events.describe_rule(Name=name)["ScheduleExpression"]
    events.put_rule(Name=name, ScheduleExpression=EACH_MINUTE)
    try:
        yield
    finally:
        events.put_rule(Name=name, ScheduleExpression=own)
        events.close()


def test_the_minutes_tick_works_off_a_run_that_is_open(stack: Stack, open_run_id: str) -> None:
    wait_until(lambda: runs(stack)[open_run_id][0] == "done", stack)


def test_the_daily_rule_starts_a_run_of_every_pass_and_works_it_off(stack: Stack) -> None:
    before = set(runs(stack))
    with at_each_minute(stack, f"{stack.prefix}-reconciliation"):
        wait_until(lambda: bool(set(runs(stack)) - before), stack)
    (begun,) = set(runs(stack)) - before
    wait_until(lambda: runs(stack)[begun][0] == "done", stack)
    assert runs(stack)[begun][1:] == ("schedule", list(Wanted().passes))
