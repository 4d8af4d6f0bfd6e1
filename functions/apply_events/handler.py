"""The event worker: Stripe's events off the queue, the ordinary ones together, any other alone (docs/adr/0046)."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from billing.cache import client as cache
from billing.errors import Transient
from billing.messages import queue
from billing.messages.bus import Bus
from billing.payments.client import current
from billing.runtime.aws import EVENTBRIDGE, SECRETS_MANAGER, SQS, AwsClient
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.runtime.settings import load
from billing.store.budget import FETCHES_PER_SECOND
from billing.usecases.apply_batch import Settled
from billing.usecases.apply_event import Outcome, Worker
from billing.usecases.apply_message import apply_message, apply_together, give_up, publish
from billing.usecases.publish_outbox import Publisher

GIVE_UP_AFTER = 12
"""Receipts, the queue's `maxReceiveCount`: one that breaks its handling so often is recorded `failed` as well."""

TOGETHER = True
"""Settle ordinary events in one transaction where they come for the first time; False: each in its own, as ever."""

LONGEST_DELAY = 900
"""Seconds between two tries at most; the first comes after two."""

NEEDED_MILLISECONDS = 12_000
"""Time left to this invocation below which no further event is begun: one may wait 8 s for Stripe."""

TIMEOUT = 5.0
"""Seconds for a call to SQS, Secrets Manager or EventBridge."""


class Settings(NamedTuple):
    database_url: str
    table_name: str
    queue_url: str
    event_bus_name: str
    stripe_api_key_secret_id: str
    stripe_livemode: bool
    stripe_api_base: str | None
    log_level: str = "INFO"
    stage: str = "local"


def build(
    environ: Mapping[str, str] = os.environ,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    *,
    together: bool = TOGETHER,
) -> Handle:
    """The handler. Raises BadSettings where the environment lacks something."""
    settings = load(Settings, environ)
    log = Log("apply_events", settings.log_level, stage=settings.stage)
    secret = Secret(AwsClient(SECRETS_MANAGER, TIMEOUT, environ), settings.stripe_api_key_secret_id)
    bus = Bus(AwsClient(EVENTBRIDGE, TIMEOUT, environ), settings.event_bus_name)
    publisher = Publisher(settings.database_url, cache.connect(settings.table_name, environ=environ), bus)
    sqs = AwsClient(SQS, TIMEOUT, environ)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        stripe = current(secret, settings.stripe_api_base, retries=0)
        worker = Worker(stripe, publisher, settings.stripe_livemode, now, FETCHES_PER_SECOND)
        counts: Counter[str] = Counter()
        # one that keeps killing this process must not keep its mates from being settled first
        records = sorted(event["Records"], key=_receipts)
        settled = _settle_together(worker, records, context, log) if together else {}
        pauses = {record["messageId"]: _settle(worker, record, settled, context, log, counts) for record in records}
        again = [record for record in records if pauses[record["messageId"]] is not None]
        for record in again:
            queue.delay(sqs, settings.queue_url, record["receiptHandle"], pauses[record["messageId"]] or 0)
        log.request("events", context, counts=counts)
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in again]}

    return handle


def _settle_together(worker: Worker, records: list[dict[str, Any]], context: Any, log: Log) -> dict[str, Settled]:
    """One that was received before may be what killed its batch: it is settled alone."""
    fresh = {record["messageId"]: record["body"] for record in records if _receipts(record) == 1}
    if context.get_remaining_time_in_millis() < NEEDED_MILLISECONDS:
        return {}
    try:
        return apply_together(worker, fresh)
    except Exception as fault:  # noqa: BLE001  alone it comes out whose it is
        log.error("a batch broke, each is settled alone", fault)
        return {}


def _settle(
    worker: Worker,
    record: dict[str, Any],
    settled: Mapping[str, Settled],
    context: Any,
    log: Log,
    counts: Counter[str],
) -> int | None:
    """The seconds after which the message must come again; None: it is settled."""
    if context.get_remaining_time_in_millis() < NEEDED_MILLISECONDS:
        # killed half-way it would be retried too, but only after the whole visibility timeout
        counts["EventPostponed"] += 1
        return 0
    together = settled.get(record["messageId"])
    try:
        outcome = apply_message(worker, record["body"]) if together is None else publish(worker, together)
    except Transient as fault:
        log.warning("event not applied, comes again", message_id=record["messageId"], code=fault.code)
        counts["EventRetried"] += 1
        return _pause(record, fault.retry_after or 0)
    except Exception as fault:  # noqa: BLE001  whatever it is, the rest of the batch is innocent
        log.error("event broke its handling", fault, message_id=record["messageId"])
        counts["EventBroken"] += 1
        _broken(worker, record, fault, log)
        return _pause(record)
    _measure(outcome, worker.now(), counts)
    _tell(outcome, log)
    return None


def _measure(outcome: Outcome, now: datetime, counts: Counter[str]) -> None:
    """The age is the batch's oldest event's, since Stripe's `event.created`; what was settled before is not late."""
    counts["Event" + outcome.status.title().replace("_", "")] += 1
    if outcome.unknown_status is not None:
        counts["EventUnknownStatus"] += 1
    if outcome.created is not None:
        counts["EventAgeSeconds"] = max(counts["EventAgeSeconds"], int(now.timestamp()) - outcome.created)


def _pause(record: dict[str, Any], at_least: int = 0) -> int:
    """Twice as long after each receipt, a quarter by chance: what failed together shall not come together."""
    longest: int = min(LONGEST_DELAY, 2 ** _receipts(record))
    return min(LONGEST_DELAY, max(at_least, round(longest * random.uniform(0.75, 1.0))))  # noqa: S311  no secret


def _broken(worker: Worker, record: dict[str, Any], fault: Exception, log: Log) -> None:
    """When the queue gives it up, it must be in the inbox beside the dead-letter queue."""
    if _receipts(record) >= GIVE_UP_AFTER:
        try:
            give_up(worker, record["body"], type(fault).__name__)
        except Transient as also:
            log.error("a given-up event could not be recorded", also, message_id=record["messageId"])


def _tell(outcome: Outcome, log: Log) -> None:
    write = log.warning if outcome.status in {"failed", "rejected_mode"} else log.info
    write(
        "event",
        correlation_id=outcome.event_id,
        type=outcome.event_type,
        status=outcome.status,
        reason=outcome.reason,
        repeated=outcome.repeated,
    )
    if outcome.unknown_status is not None:
        log.error("a subscription status without a rule gives no access", status=outcome.unknown_status)


def _receipts(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


lambda_handler = entrypoint(build)
