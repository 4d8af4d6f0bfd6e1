"""Dead letters go back to the event worker's queue, which takes them up again like new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from billing.messages import queue
from billing.runtime.aws import AwsClient
from billing.store import audit
from billing.store.connection import transaction
from billing.usecases.operator import Operator

NEEDED_SECONDS = 10.0
"""Left to the request below which no further ten messages are begun."""


@dataclass(frozen=True, slots=True)
class Queues:
    """The event worker's queue, and where it leaves what it gave up."""

    client: AwsClient
    queue_url: str
    dead_letter_queue_url: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """How many were moved, and how many SQS estimates are left."""

    moved: int
    remaining: int


def redrive_events(
    database_url: str,
    queues: Queues,
    by: Operator,
    reason: str,
    now: datetime,
    *,
    limit: int,
    left: Callable[[], float],
) -> Redriven:
    """Move at most `limit` messages while time is `left` (seconds). Raises Transient.

    The audit has it first, with the limit: messages cannot be moved in the transaction that would record them.
    """
    act = by.act("events.redrive", "dead-letters", project_id=None, reason=reason, after={"limit": limit})
    with transaction(database_url) as connection:
        audit.append(connection, act, now)
    moved = queue.redrive(
        queues.client,
        queues.dead_letter_queue_url,
        queues.queue_url,
        limit=limit,
        more=lambda: left() >= NEEDED_SECONDS,
    )
    return Redriven(moved, queue.depth_of(queues.client, queues.dead_letter_queue_url).waiting)
