"""Every minute: publishes what a crash left between a commit and its publication (SPEC §5, I4), forgets old keys.

Once an hour it writes the heads of the audit's chains into the log, which whoever may change the database may not; and
how the business stands, as metrics.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from billing.cache import client as cache
from billing.messages.bus import Bus
from billing.runtime.aws import EVENTBRIDGE, AwsClient
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.settings import load
from billing.store import audit, outbox
from billing.store.connection import transaction
from billing.store.idempotency import prune
from billing.store.reports import count_inbox
from billing.usecases.publish_outbox import Publisher, sweep
from billing.usecases.report_revenue import all_projects, survey_projects, total

KEEP_KEYS = timedelta(days=7)
"""How long an Idempotency-Key is remembered: longer than Stripe's own day, so a late retry is still a replay."""

ANCHOR_MINUTE = 0
"""The minute of the hour whose run logs the heads."""

BUSINESS_MINUTE = 30
"""The minute of the hour whose run measures the business."""

TIMEOUT = 5.0
"""Seconds for a call to EventBridge."""


class Settings(NamedTuple):
    database_url: str
    table_name: str
    event_bus_name: str
    log_level: str = "INFO"
    stage: str = "local"


def build(environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Handle:
    """The handler. Raises BadSettings where the environment lacks a variable."""
    settings = load(Settings, environ)
    log = Log("outbox", settings.log_level, stage=settings.stage)
    bus = Bus(AwsClient(EVENTBRIDGE, TIMEOUT, environ), settings.event_bus_name)
    publisher = Publisher(settings.database_url, cache.connect(settings.table_name, environ=environ), bus)

    def handle(_event: dict[str, Any], context: Any) -> dict[str, int]:
        """What could not be published is counted and stays owed.

        Raises Transient where the store cannot be read; ExceptionGroup, with all else done, of whatever broke in a way
        that trying again does not mend.
        """
        started = now()
        swept = sweep(publisher, started, lambda: context.get_remaining_time_in_millis() / 1000)
        with transaction(settings.database_url) as connection:
            pruned = prune(connection, KEEP_KEYS)
            owed = outbox.backlog(connection)
            heads = audit.heads(connection) if started.minute == ANCHOR_MINUTE else {}
        for chain, head in heads.items():
            log.info("audit_head", project_id=chain or None, head=f"{head.seq}:{head.hash.hex()}")
        counts = {"OutboxPublished": swept.paid, "OutboxUnpublished": swept.unpaid, "IdempotencyKeysPruned": pruned}
        counts |= {"OutboxBacklog": owed.debts, "OutboxTried": owed.tried, "OutboxOldestSeconds": owed.oldest_seconds}
        log.request("outbox swept", context, level="ERROR" if swept.unpaid else "INFO", counts=counts)
        if started.minute == BUSINESS_MINUTE:
            _measure_business(settings.database_url, started, log)
        if swept.broken:
            raise ExceptionGroup(
                "debts that cannot be published: mend their rows, a later sweep pays them", swept.broken
            )
        return {"paid": swept.paid, "unpaid": swept.unpaid}

    return handle


def _measure_business(database_url: str, now: datetime, log: Log) -> None:
    with transaction(database_url) as connection:
        totals = total(survey_projects(connection, all_projects(connection), now))
        inbox = count_inbox(connection)
    gauges = {"PayingCustomers": totals.paying_customers, "UnclearItems": totals.unclear_items}
    gauges["InboxFailed"] = inbox.get("failed", 0) + inbox.get("rejected_mode", 0)
    log.measure("business", gauges)
    for status, number in totals.subscriptions.items():
        log.measure("subscriptions", {"Subscriptions": number}, status=status)
    for currency, amount in totals.mrr.items():
        log.measure("revenue", {"MrrMinorUnits": amount}, currency=currency)


lambda_handler = entrypoint(build)
