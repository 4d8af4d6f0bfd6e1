"""From a message of the queue to an event that is settled, whatever the message holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from billing.errors import Permanent
from billing.messages.queue import Accepted, Message, Pointer, Unreadable, from_message
from billing.payments.objects import Gone, fetch_event
from billing.store import inbox
from billing.usecases.apply_batch import Settled, apply_batch
from billing.usecases.apply_event import Outcome, Worker, apply_event, fail_event, record_unreadable
from billing.usecases.publish_outbox import publish_customers


def apply_message(worker: Worker, text: str) -> Outcome:
    """Settle what the message holds; what cannot be understood is recorded `failed`. Raises Transient."""
    try:
        body = body_of(worker, from_message(text))
    except Permanent as fault:
        return record_unreadable(worker, text.encode(), fault)
    return apply_event(worker, body)


def apply_together(worker: Worker, texts: Mapping[str, str]) -> dict[str, Settled]:
    """Settle at once what is ordinary among these messages, by any key. What it changed is still to be published
    (`publish`); whoever is not in the answer is as it was.
    """
    bodies: dict[str, bytes] = {}
    for key, text in texts.items():
        try:
            message = from_message(text)
        except Permanent:
            continue
        if isinstance(message, Accepted):
            bodies[key] = message.body
    return apply_batch(worker, bodies)


def publish(worker: Worker, settled: Settled) -> Outcome:
    """What an acknowledgement waits for. Raises Transient."""
    publish_customers(worker.publisher, settled.customer_ids, worker.now())
    return settled.outcome


def give_up(worker: Worker, text: str, reason: str) -> None:
    """Record a message whose handling keeps breaking, so that operators find in the inbox what the queue gives up.

    Raises Transient.
    """
    try:
        message = from_message(text)
    except Permanent as fault:
        record_unreadable(worker, text.encode(), fault)
        return
    if isinstance(message, Accepted):
        fail_event(worker, message.body, f"{inbox.GIVEN_UP}{reason}")
    else:
        record_unreadable(worker, text.encode(), Permanent("broken", reason))


def body_of(worker: Worker, message: Message) -> bytes:
    match message:
        case Accepted():
            return message.body
        case Pointer():
            found = fetch_event(worker.stripe, message.event_id)
            if isinstance(found, Gone):
                raise Permanent("gone_from_stripe", f"{message.event_id} was too large to queue and Stripe kept it not")
            return found
        case Unreadable():
            raise Permanent("unreadable", f"{message.size} bytes of SHA-256 {message.sha256} with no event id")
        case _:
            assert_never(message)
