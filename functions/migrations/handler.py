"""Brings the schema up to date before new code runs: as a custom resource of CloudFormation, or invoked by hand.

By hand: `{"migrate": true}`, answered `{"level": 12}`. Deleting the resource deletes nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from billing.errors import BillingError
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.settings import load
from billing.usecases.update_schema import update_schema
from functions.migrations.callback import Callback

MARGIN = 30.0
"""Seconds of the function's time that are kept for the answer."""


class Settings(NamedTuple):
    database_url: str
    log_level: str = "INFO"
    stage: str = "local"


def build(environ: Mapping[str, str] = os.environ, sleep: Callable[[float], None] = time.sleep) -> Handle:
    """The handler. Raises BadSettings. `database_url` is the schema's owner's."""
    settings = load(Settings, environ)
    log = Log("migrations", settings.log_level, stage=settings.stage)

    def handle(event: dict[str, Any], context: Any) -> dict[str, int]:
        """Raises, invoked by hand, whatever kept the schema from its level; ValueError for any other event."""

        def left() -> float:
            return float(context.get_remaining_time_in_millis()) / 1000 - MARGIN

        def update() -> int:
            reached = update_schema(settings.database_url, left, sleep)
            log.request("schema is up to date", context, schema_level=reached)
            return reached

        if "RequestType" in event:
            return _answer(event, Callback(event, sleep), update, left, log)
        if event.get("migrate") is not True:
            raise ValueError('nothing to do: invoke with {"migrate": true}')
        return {"level": update()}

    return handle


def _answer(
    event: Mapping[str, Any], callback: Callback, update: Callable[[], int], left: Callable[[], float], log: Log
) -> dict[str, int]:
    """Tell CloudFormation, whatever happens: it would wait for an hour, and then know nothing.

    Raises Unanswered: Lambda then invokes again.
    """
    if event["RequestType"] == "Delete":
        callback.succeed({})
        return {}
    with _answered_in_time(callback, left()):
        try:
            reached = update()
        except Exception as fault:  # noqa: BLE001  it is told to CloudFormation, and fails the deployment
            log.error("schema is not up to date", fault)
            callback.fail(_reason(fault))
            return {}
        callback.succeed({"Level": str(reached)})
        return {"level": reached}


@contextmanager
def _answered_in_time(callback: Callback, seconds: float) -> Iterator[None]:
    """For what no timeout of ours ends, as when a name is not resolved."""
    late = "The migrations did not end in the function's time. See its log; then deploy again: what was applied stays."
    watch = threading.Timer(max(seconds, 0), callback.fail, (late,))
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _reason(fault: Exception) -> str:
    """For the stack's events."""
    return fault.detail if isinstance(fault, BillingError) else f"{type(fault).__name__}: {fault}"


lambda_handler = entrypoint(build)
