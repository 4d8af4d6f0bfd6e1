"""An event of the inbox is settled once more, from its stored body and by the worker's own code.

Safe at any time: the inbox row is locked, so a delivery of the same event waits; the order of facts holds, so an event
long past changes nothing newer; what it did once it does not do twice. What was applied stays `applied` in the inbox,
whatever a replay of it comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from billing.errors import Permanent, Refused, Transient
from billing.messages.queue import from_message
from billing.payments.events import StripeEvent, parse_event
from billing.store import audit, replays
from billing.store.connection import Connection, transaction
from billing.store.inbox import Entry, Status
from billing.store.inbox_list import find_event
from billing.store.replays import Place, Wanted
from billing.usecases.apply_event import Worker, apply_event, spend_fetch, stated, with_fetches
from billing.usecases.apply_fact import apply_fact
from billing.usecases.apply_message import body_of
from billing.usecases.observation import Effect, Fetches, Observation
from billing.usecases.operator import Operator
from billing.usecases.publish_outbox import publish_customers

ACTION = "event.replay"

UNREADABLE = "body:"
"""How the id of a row begins whose body named no event when it came."""

NEEDED_SECONDS = 12.0
"""Left to the request below which no further event is begun: one may wait 8 s for Stripe."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants it replayed, and why."""

    by: Operator
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to. `error`: it could not be replayed now, and nothing changed; its code.

    `unknown_status` is a subscription status without a rule, `fault` what broke where `error` is `internal`.
    """

    event_id: str
    status: Status
    reason: str | None
    previous_status: Status
    error: str | None = None
    unknown_status: str | None = None
    fault: Exception | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What was replayed. `last`: where to go on, None where there is no more."""

    replayed: tuple[Replayed, ...]
    last: Place | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class _Result:
    status: Status
    reason: str | None = None
    customer_ids: tuple[int, ...] = ()
    unknown_status: str | None = None


def replay_event(worker: Worker, event_id: str, order: Order) -> Replayed:
    """Settle a known event once more. Publish it (`publish_events`) before acknowledging.

    Raises Refused (`event_not_found`), Transient with nothing changed.
    """
    with transaction(worker.database_url) as connection:
        kept = find_event(connection, event_id)
    if kept is None:
        raise no_event(event_id)
    try:
        if event_id.startswith(UNREADABLE):
            return _record(worker, event_id, order, _read_again(worker, kept.body))
        return _settle(worker, parse_event(kept.body), event_id, order)
    except Permanent as fault:
        return _record(worker, event_id, order, _Result("failed", _words(fault)))


def replay_events(
    worker: Worker, wanted: Wanted, order: Order, *, after: Place | None, limit: int, left: Callable[[], float]
) -> Batch:
    """Replay in the order of Stripe's clock, while time is `left` (seconds). One that fails holds up no other."""
    with transaction(worker.database_url) as connection:
        found = replays.events_to_replay(connection, wanted, after=after, limit=limit + 1)
    replayed: list[Replayed] = []
    for place in found[:limit]:
        if left() < NEEDED_SECONDS:
            break
        replayed.append(_guarded(worker, place.event_id, wanted.status, order))
    last = found[len(replayed) - 1] if replayed else after
    return Batch(tuple(replayed), last, has_more=len(found) > len(replayed))


def publish_events(worker: Worker, event_ids: Iterable[str]) -> None:
    """Publish what these events' commits still owe. Raises Transient."""
    with transaction(worker.database_url) as connection:
        customer_ids = replays.customers_of(connection, event_ids)
    publish_customers(worker.publisher, customer_ids, worker.now())


def _guarded(worker: Worker, event_id: str, status: Status, order: Order) -> Replayed:
    try:
        return replay_event(worker, event_id, order)
    except Transient as fault:
        return Replayed(event_id, status, None, status, error=fault.code)
    except Exception as fault:  # noqa: BLE001  whatever it is, the others are innocent
        return Replayed(event_id, status, None, status, error="internal", fault=fault)


def _settle(worker: Worker, event: StripeEvent, event_id: str, order: Order) -> Replayed:
    """The worker's steps, on a row that is there already."""
    if event.livemode != worker.livemode:
        return _record(worker, event_id, order, _Result("rejected_mode"))
    fact = stated(worker, event)
    if fact is None:
        return _record(worker, event_id, order, _Result("ignored", "type_not_handled"))
    seen = Observation(fact, event.created, event.id, "event", trusted=not event.shape_is_foreign)
    done: list[Replayed] = []

    def attempt(fetched: Fetches) -> Effect:
        with transaction(worker.database_url) as connection:
            before = _retake(connection, event_id)
            effect = apply_fact(connection, seen, fetched, worker.now())
            result = _Result(effect.status, effect.reason, effect.customer_ids, effect.unknown_status)
            done.append(_resettle(connection, worker, before, order, result))
        return effect

    with_fetches(worker.stripe, {}, attempt, lambda: spend_fetch(worker))
    return done[-1]


def _read_again(worker: Worker, kept: bytes) -> _Result:
    """A body, or a whole message, that an earlier release could not read. Raises Permanent where it still cannot be.

    The event it turns out to be has a row of its own.
    """
    try:
        message = from_message(kept.decode("utf-8", "replace"))
    except Permanent:
        outcome = apply_event(worker, _readable(kept))
    else:
        outcome = apply_event(worker, _readable(body_of(worker, message)))
    return _Result(outcome.status, f"read_as: {outcome.event_id}", unknown_status=outcome.unknown_status)


def _readable(body: bytes) -> bytes:
    parse_event(body)
    return body


def _record(worker: Worker, event_id: str, order: Order, result: _Result) -> Replayed:
    with transaction(worker.database_url) as connection:
        return _resettle(connection, worker, _retake(connection, event_id), order, result)


def _retake(connection: Connection, event_id: str) -> Entry:
    entry = replays.retake(connection, event_id)
    if entry is None:
        raise no_event(event_id)
    return entry


def _resettle(connection: Connection, worker: Worker, before: Entry, order: Order, result: _Result) -> Replayed:
    """The row and the audit's. Of what was applied, the effect stands: the row says so still."""
    now = worker.now()
    stands = before.status == "applied"
    replays.resettle(
        connection,
        before.event_id,
        status=before.status if stands else result.status,
        reason=before.reason if stands else result.reason,
        customer_ids=result.customer_ids,
        now=now,
    )
    project_id = replays.only_project(connection, sorted({*before.customer_ids, *result.customer_ids}))
    act = order.by.act(
        ACTION,
        before.event_id,
        project_id=project_id,
        reason=order.reason,
        before={"status": before.status, "reason": before.reason},
        after={"status": result.status, "reason": result.reason},
    )
    audit.append(connection, act, now)
    return Replayed(before.event_id, result.status, result.reason, before.status, unknown_status=result.unknown_status)


def _words(fault: Permanent) -> str:
    return f"{fault.code}: {fault.detail}"


def no_event(event_id: str) -> Refused:
    return Refused("event_not_found", f"the inbox has no event {event_id}: list the events for its id")
