"""The queue between the webhook and the event worker: what its messages say, and sending them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, assert_never

from billing.domain.windows import parse_rfc3339, rfc3339
from billing.errors import Permanent, Transient
from billing.runtime.aws import AwsClient, AwsError

MAX_BODY = 700_000
"""Bytes of an event's body that travel in a message: base64 and envelope stay below SQS's limit of 1 MiB."""

_BATCH = 10  # messages SQS hands out at once
_HIDDEN = 30  # seconds in which no one else is handed a message that is being moved

_EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}", re.ASCII)


class Accepted(NamedTuple):
    """A signed event as delivered: whatever bytes Stripe's secret signed."""

    body: bytes
    received_at: datetime


class Pointer(NamedTuple):
    """A signed event too large for the queue: the worker fetches it from Stripe's Events API (kept there 30 days)."""

    event_id: str
    received_at: datetime


class Unreadable(NamedTuple):
    """A signed body too large for the queue that names no event: all that can be kept of it."""

    sha256: str
    size: int
    received_at: datetime


Message = Accepted | Pointer | Unreadable


def message_of(body: bytes, received_at: datetime) -> Message:
    """How a signed body travels."""
    if len(body) <= MAX_BODY:
        return Accepted(body, received_at)
    event_id = _event_id(body)
    if event_id is not None:
        return Pointer(event_id, received_at)
    return Unreadable(hashlib.sha256(body).hexdigest(), len(body), received_at)


def to_message(message: Message) -> str:
    """The message's text; `from_message` gives the equal message back."""
    envelope: dict[str, Any] = {"v": 1, "received_at": rfc3339(message.received_at)}
    match message:
        case Accepted():
            envelope["body_b64"] = base64.b64encode(message.body).decode()
        case Pointer():
            envelope["event_id"] = message.event_id
        case Unreadable():
            envelope["unreadable"] = {"sha256": message.sha256, "size": message.size}
        case _:
            assert_never(message)
    return json.dumps(envelope, separators=(",", ":"))


def from_message(text: str) -> Message:
    """Raises Permanent (`unknown_message`) for text that `to_message` never wrote."""
    try:
        return _read(json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as fault:
        raise Permanent("unknown_message", "The queue holds a message this release cannot read.") from fault


def send(client: AwsClient, queue_url: str, message: Message) -> None:
    """Make `message` durable. A send whose answer was lost is an error though the message may be there: the worker
    applies an event once however often it comes. Raises Transient.
    """
    try:
        client.call("SendMessage", {"QueueUrl": queue_url, "MessageBody": to_message(message)})
    except AwsError as error:
        raise Transient("unavailable", "The event could not be queued. Send it again.") from error


def delay(client: AwsClient, queue_url: str, receipt_handle: str, seconds: int) -> bool:
    """Let a message that could not be handled come again after so many seconds, not after the visibility timeout.

    False: the queue did not listen, and the message comes when that timeout is over; nothing is lost by it.
    """
    request = {"QueueUrl": queue_url, "ReceiptHandle": receipt_handle, "VisibilityTimeout": seconds}
    try:
        client.call("ChangeMessageVisibility", request)
    except AwsError:
        return False
    return True


class Depth(NamedTuple):
    """How many messages a queue holds, as SQS estimates it: those `waiting`, and those handed out right now."""

    waiting: int
    in_flight: int


def depth_of(client: AwsClient, queue_url: str) -> Depth:
    """Raises Transient."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    with _reachable():
        answer = client.call("GetQueueAttributes", {"QueueUrl": queue_url, "AttributeNames": names})
    waiting, in_flight = (int(answer["Attributes"][name]) for name in names)
    return Depth(waiting, in_flight)


def redrive(
    client: AwsClient, dead_letter_queue_url: str, queue_url: str, *, limit: int, more: Callable[[], bool]
) -> int:
    """Move dead letters back to their queue, at most `limit` and while `more`; returns how many.

    Each is sent before it is deleted: a crash in between leaves it in both, and the worker settles an event once.
    Raises Transient; what was moved by then stays moved.
    """
    moved = 0
    while moved < limit and more():
        batch = min(_BATCH, limit - moved)
        request = {"QueueUrl": dead_letter_queue_url, "MaxNumberOfMessages": batch, "WaitTimeSeconds": 1}
        with _reachable():
            letters = client.call("ReceiveMessage", {**request, "VisibilityTimeout": _HIDDEN}).get("Messages") or []
            for letter in letters:
                client.call("SendMessage", {"QueueUrl": queue_url, "MessageBody": letter["Body"]})
                handle = {"QueueUrl": dead_letter_queue_url, "ReceiptHandle": letter["ReceiptHandle"]}
                client.call("DeleteMessage", handle)
                moved += 1
        if not letters:
            break
    return moved


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except AwsError as error:
        raise Transient("unavailable", "The queue did not answer. Send the same request again.") from error


def _read(envelope: Mapping[str, Any]) -> Message:
    if envelope["v"] != 1:
        raise ValueError("another version")
    received_at = parse_rfc3339(envelope["received_at"])
    if "body_b64" in envelope:
        try:
            return Accepted(base64.b64decode(envelope["body_b64"], validate=True), received_at)
        except binascii.Error as fault:
            raise ValueError("not base64") from fault
    if "event_id" in envelope:
        return Pointer(str(envelope["event_id"]), received_at)
    lost = envelope["unreadable"]
    return Unreadable(str(lost["sha256"]), int(lost["size"]), received_at)


def _event_id(body: bytes) -> str | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    event_id = event.get("id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id) else None
