"""Compares Stripe, the store and the cache (SPEC §6): once a day a run is started, and each minute a slice of the one
that is open is worked on. Slices, for a Lambda that calls itself is stopped after some sixteen times (ADR 28).
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from billing.cache import client as cache
from billing.domain.drift import PassName
from billing.errors import Refused
from billing.messages.bus import Bus
from billing.payments.client import current
from billing.runtime.aws import EVENTBRIDGE, SECRETS_MANAGER, AwsClient
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.runtime.settings import load
from billing.store.budget import FETCHES_PER_SECOND
from billing.store.connection import transaction
from billing.store.runs import last_done_at
from billing.usecases.apply_event import Worker
from billing.usecases.manage_runs import Wanted, open_run
from billing.usecases.publish_outbox import Publisher
from billing.usecases.reconcile import Driver, Slice, work
from billing.usecases.reconcile_passes import PASSES
from billing.usecases.reconcile_steps import Pass

START = "start"
"""The member of the daily rule's event; without it, it is the minute's tick."""

RESERVED_SECONDS = 60.0
"""Before this invocation's end no further step is begun: a step may wait for Stripe, with pauses."""

TIMEOUT = 5.0
"""Seconds for a call to Secrets Manager or EventBridge."""


class Settings(NamedTuple):
    database_url: str
    table_name: str
    event_bus_name: str
    stripe_api_key_secret_id: str
    stripe_livemode: bool
    stripe_api_base: str | None = None
    log_level: str = "INFO"
    stage: str = "local"


def build(
    environ: Mapping[str, str] = os.environ,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    passes: Mapping[PassName, Pass] = PASSES,
) -> Handle:
    """The handler. Raises BadSettings where the environment lacks a variable."""
    settings = load(Settings, environ)
    log = Log("reconciliation", settings.log_level, stage=settings.stage)
    secret = Secret(AwsClient(SECRETS_MANAGER, TIMEOUT, environ), settings.stripe_api_key_secret_id)
    bus = Bus(AwsClient(EVENTBRIDGE, TIMEOUT, environ), settings.event_bus_name)
    publisher = Publisher(settings.database_url, cache.connect(settings.table_name, environ=environ), bus)

    def tell(run_id: str, number: int, fault: Exception) -> None:
        log.error("drift broke its repair", fault, correlation_id=run_id, drift=number)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Raises Transient where the store cannot be reached: the next minute's tick goes on."""
        started = _start(settings.database_url, now(), log) if START in event else None
        stripe = current(secret, settings.stripe_api_base, retries=0)
        worker = Worker(stripe, publisher, settings.stripe_livemode, now, FETCHES_PER_SECOND)

        def left() -> float:
            return float(context.get_remaining_time_in_millis()) / 1000 - RESERVED_SECONDS

        ended = work(Driver(worker, passes, f"worker_{secrets.token_hex(8)}", left, tell))
        with transaction(settings.database_url) as connection:
            done_at = last_done_at(connection)
        age = None if done_at is None else now() - done_at
        counts = counts_of(ended) | (
            {} if age is None else {"ReconciliationAgeHours": int(age.total_seconds() // 3600)}
        )
        _tell(log, ended, context, counts)
        return {"run_id": ended.run_id, "ended": ended.ended, "started": started}

    return handle


def _start(database_url: str, now: datetime, log: Log) -> str | None:
    """The schedule's run; None where one is at work still."""
    try:
        with transaction(database_url) as connection:
            return open_run(connection, Wanted(), None, now).id
    except Refused as refusal:
        log.warning("no run started", code=refusal.code, run_id=refusal.extra.get("run_id"))
        return None


def counts_of(ended: Slice) -> dict[str, int]:
    """What alarms look at. A run's drifts are counted once, when it ends or waits."""
    counts: Counter[str] = Counter()
    for statuses in ended.counts.values():
        for status, number in statuses.items():
            counts["DriftFound"] += number
            counts["Drift" + ("Unrepaired" if status == "found" else status.title())] += number
    flags = {"done": "RunDone", "waiting": "RunWaiting", "failed": "RunFailed", "interrupted": "SliceInterrupted"}
    return {**counts, **{name: int(ended.ended == flag) for flag, name in flags.items()}}


def _tell(log: Log, ended: Slice, context: Any, counts: Mapping[str, int]) -> None:
    level = {"failed": "ERROR", "waiting": "ERROR", "interrupted": "WARNING"}.get(ended.ended, "INFO")
    log.request(
        "reconciliation",
        context,
        level=level,
        counts=counts,
        error=ended.fault,
        correlation_id=ended.run_id,
        ended=ended.ended,
        code=ended.code,
    )


lambda_handler = entrypoint(build)
