"""One event, one transaction: recorded in the inbox, applied under the customer's lock, committed, then published.

No database connection is held while Stripe is asked: what a fact needs is fetched between attempts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from billing.domain.facts import CheckoutFact, EventFact, Fact
from billing.errors import Permanent, Transient
from billing.payments import objects
from billing.payments.client import StripeClient
from billing.payments.events import StripeEvent, parse_event, read
from billing.payments.objects import Gone
from billing.store import inbox
from billing.store.budget import take_token
from billing.store.connection import Connection, transaction
from billing.store.subjects import NOTHING, Subject
from billing.usecases.apply_fact import apply_fact
from billing.usecases.observation import Effect, Fetches, Known, Need, Observation, Unmet
from billing.usecases.owner import subject_of
from billing.usecases.publish_outbox import Publisher, publish_customers

_FETCHES: Mapping[str, Callable[[StripeClient, str], objects.Fetched[Fact] | Gone]] = {
    "subscription": objects.fetch_subscription,
    "customer": objects.fetch_customer,
    "price": objects.fetch_price,
    "product": objects.fetch_product,
    "checkout": objects.fetch_checkout,
    "charge": objects.fetch_charge,
    "payment": objects.fetch_payment,
}

MOST_FETCHES = 5
"""Of one object for one event: again where its row was written meanwhile. Beyond it the queue tries later."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What applying needs: Stripe, the store with what it publishes to, the stage's mode and the clock.

    `fetches_per_second`: the budget that events share for asking Stripe; None: no limit.
    """

    stripe: StripeClient
    publisher: Publisher
    livemode: bool
    now: Callable[[], datetime]
    fetches_per_second: int | None = None

    @property
    def database_url(self) -> str:
        return self.publisher.database_url


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event. `repeated`: it had been settled before; it was published again all the same.

    `created`: in Stripe's clock, if this settled it.
    """

    event_id: str
    event_type: str
    status: inbox.Status
    reason: str | None = None
    repeated: bool = False
    unknown_status: str | None = None
    created: int | None = None


def apply_event(worker: Worker, body: bytes) -> Outcome:
    """Settle one delivered event for good, and publish what it changed before returning.

    Raises Transient, with nothing settled, where trying again may succeed. What cannot be understood is recorded
    `failed` with its reason and does not raise.
    """
    try:
        event = parse_event(body)
    except Permanent as fault:
        return record_unreadable(worker, body, fault)
    try:
        outcome, touched = settle_event(worker, event, body)
    except Permanent as fault:
        outcome, touched = _record(worker, event, body, "failed", f"{fault.code}: {fault.detail}"), ()
    publish_customers(worker.publisher, touched, worker.now())
    return outcome


def apply_checkout_now(worker: Worker, session_id: str) -> CheckoutFact:
    """Apply what Stripe says of a checkout session now, without waiting for its events; published when it returns.

    Returns what Stripe said. Raises Transient; Permanent (`gone_from_stripe`, `unmapped_price` …).
    """
    need = Need("checkout", session_id)
    answer = objects.fetch_checkout(worker.stripe, session_id)
    if isinstance(answer, Gone):
        raise Permanent("gone_from_stripe", "Stripe no longer knows this checkout session")
    seen = Observation(answer.fact, answer.at, f"sync:{session_id}", "sync")
    effect = with_fetches(worker.stripe, {need: Known(answer, 0)}, lambda known: _apply_alone(worker, seen, known))
    publish_customers(worker.publisher, effect.customer_ids, worker.now())
    return answer.fact


def fail_event(worker: Worker, body: bytes, reason: str) -> None:
    """Record an event whose handling keeps breaking as `failed`, so that it is not lost when the queue gives it up."""
    try:
        event = parse_event(body)
    except Permanent as fault:
        record_unreadable(worker, body, fault)
    else:
        _record(worker, event, body, "failed", reason)


def record_unreadable(worker: Worker, body: bytes, fault: Permanent) -> Outcome:
    """A body with no event id is kept under its own digest."""
    event_id = f"body:{sha256(body).hexdigest()}"
    reason = f"{fault.code}: {fault.detail}"
    with transaction(worker.database_url) as connection:
        told = inbox.Told(event_id, "unreadable", body, None, None, "failed", reason)
        claim = inbox.claim(connection, told, worker.now())
    return Outcome(event_id, "unreadable", "failed", reason, repeated=claim is None)


def with_fetches(
    stripe: StripeClient,
    fetched: dict[Need, Known],
    attempt: Callable[[Fetches], Effect],
    spend: Callable[[], None] = lambda: None,
) -> Effect:
    """Run `attempt` (one transaction) until nothing is left to fetch.

    Raises Transient where one object was fetched `MOST_FETCHES` times in vain. How many objects there are is bounded by
    what the event's own object lists: a subscription has its customer, and 20 items with a price each.
    """
    fetches: Counter[Need] = Counter()
    while True:
        try:
            return attempt(fetched)
        except Unmet as unmet:
            if fetches[unmet.need] == MOST_FETCHES:
                raise Transient("contended", "the object keeps changing while it is fetched; try again") from unmet
            fetches[unmet.need] += 1
            spend()
            fetched[unmet.need] = Known(fetch(stripe, unmet.need), unmet.revision)


def spend_fetch(worker: Worker) -> None:
    """Events ask Stripe within a common budget, so that a storm of ties leaves checkouts their share of the limit."""
    if worker.fetches_per_second is None:
        return
    with transaction(worker.database_url) as connection:
        granted = take_token(connection, worker.fetches_per_second)
    if not granted:
        raise Transient("fetch_budget_spent", "the events' share of Stripe's rate limit is used up; try again")


def fetch(stripe: StripeClient, need: Need) -> objects.Fetched[Fact] | Gone:
    """Ask Stripe for what is needed. Raises Transient."""
    return _FETCHES[need.kind](stripe, need.id)


def stated(worker: Worker, event: StripeEvent) -> EventFact | None:
    """What the event states. One in another API version's shape only points at what is then fetched in ours."""
    if not event.shape_is_foreign:
        return read(event)
    subject = objects.fetch_subject(worker.stripe, event)
    if isinstance(subject, Gone):
        raise Permanent("gone_from_stripe", f"of API version {event.api_version}, and Stripe has {subject.id} no more")
    return None if subject is None else subject.fact


def settle_event(worker: Worker, event: StripeEvent, body: bytes) -> tuple[Outcome, tuple[int, ...]]:
    if event.livemode != worker.livemode:
        return _record(worker, event, body, "rejected_mode", None), ()
    fact = stated(worker, event)
    if fact is None:
        return _record(worker, event, body, "ignored", "type_not_handled"), ()
    seen = Observation(fact, event.created, event.id, "event", trusted=not event.shape_is_foreign)
    settled: list[inbox.Entry] = []

    def attempt(fetched: Fetches) -> Effect:
        with transaction(worker.database_url, held=True) as connection:
            result = claim_and_apply(connection, worker, event, body, seen, fetched)
            if isinstance(result, inbox.Entry):
                settled.append(result)
                return Effect("applied")
            return result

    effect = with_fetches(worker.stripe, {}, attempt, lambda: spend_fetch(worker))
    if settled:
        before = settled[0]
        outcome = Outcome(event.id, event.type, before.status, before.reason, repeated=True)
        return outcome, tuple(before.customer_ids)
    return outcome_of(event, effect), effect.customer_ids


def outcome_of(event: StripeEvent, effect: Effect) -> Outcome:
    """Of an event that this settled."""
    return Outcome(
        event.id,
        event.type,
        effect.status,
        effect.reason,
        unknown_status=effect.unknown_status,
        created=event.created,
    )


def claim_and_apply(
    connection: Connection, worker: Worker, event: StripeEvent, body: bytes, seen: Observation, fetched: Fetches
) -> Effect | inbox.Entry:
    """The event's part of a transaction: recorded in the inbox and applied. An Entry: it had been settled before.

    Raises Unmet, Permanent, Transient: roll back.
    """
    claim = claim_event(connection, worker, event, body, subject_of(seen.fact, fetched))
    if claim is None:
        return _settled_before(connection, event.id)
    effect = apply_fact(connection, seen, fetched, worker.now(), claim.locked)
    inbox.settle(connection, claim, status=effect.status, reason=effect.reason, customer_ids=effect.customer_ids)
    return effect


def _apply_alone(worker: Worker, seen: Observation, fetched: Fetches) -> Effect:
    with transaction(worker.database_url, held=True) as connection:
        return apply_fact(connection, seen, fetched, worker.now())


def claim_event(
    connection: Connection,
    worker: Worker,
    event: StripeEvent,
    body: bytes,
    subject: Subject = NOTHING,
    status: inbox.Status = "applied",
    reason: str | None = None,
) -> inbox.Claim | None:
    """Make this transaction the one that settles the event, with this status so far. None: it is settled already."""
    told = inbox.Told(event.id, event.type, body, event.created, event.object_id, status, reason, subject)
    return inbox.claim(connection, told, worker.now())


def _settled_before(connection: Connection, event_id: str) -> inbox.Entry:
    entry = inbox.find_entry(connection, event_id)
    if entry is None:
        raise Transient("raced", "the event was being settled elsewhere; try again")
    return entry


def _record(worker: Worker, event: StripeEvent, body: bytes, status: inbox.Status, reason: str | None) -> Outcome:
    """An event that changes nothing, on record. One settled before stays as it was."""
    with transaction(worker.database_url) as connection:
        if claim_event(connection, worker, event, body, NOTHING, status, reason) is not None:
            return Outcome(event.id, event.type, status, reason)
        before = _settled_before(connection, event.id)
        return Outcome(event.id, event.type, before.status, before.reason, repeated=True)
