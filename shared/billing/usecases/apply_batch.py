"""Many ordinary events in one transaction (docs/adr/0046): all of them settled, or none and each alone as ever.

Ordinary is what needs nothing from Stripe: a subscription's newer state, or an invoice of a subscription that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from billing.domain.facts import InvoiceFact, SubscriptionFact
from billing.errors import Permanent, Transient
from billing.payments.events import StripeEvent, parse_event, read
from billing.store import holdings, inbox, subscriptions
from billing.store.connection import Connection, transaction
from billing.store.discounts import unknown_discounts
from billing.store.mrr import record_mrr
from billing.store.subjects import Subject
from billing.usecases.apply_event import Outcome, Worker, outcome_of
from billing.usecases.apply_fact import newest_subscription, revenue_since, unknown_status
from billing.usecases.observation import Effect, Observation, Unmet
from billing.usecases.owner import subject_of

MOST_AT_ONCE = 20
"""Events of a transaction: it holds the locks of all their customers until it commits."""

TRIES = 2
"""Of a batch: the second without those that turned out not to be ordinary."""


@dataclass(frozen=True, slots=True)
class Settled:
    """`customer_ids` are to be published before the event is acknowledged."""

    outcome: Outcome
    customer_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Ordinary:
    event: StripeEvent
    body: bytes
    fact: SubscriptionFact | InvoiceFact
    subject: Subject

    @property
    def names(self) -> frozenset[str]:
        """What no other event of the batch may be about."""
        return self.subject.stripe_ids | {self.event.id, self.subject.subscription_id or ""}

    @property
    def seen(self) -> Observation:
        return Observation(self.fact, self.event.created, self.event.id, "event")

    @property
    def told(self) -> inbox.Told:
        event = self.event
        return inbox.Told(event.id, event.type, self.body, event.created, event.object_id, subject=self.subject)


@dataclass(frozen=True, slots=True)
class _Decided:
    """What becomes of an event. `stated` is to be stored, and from `revenue_since` on entered into the ledger."""

    one: _Ordinary
    claim: inbox.Claim
    effect: Effect
    stated: subscriptions.Stated | None = None
    revenue_since: datetime | None = None


class _NotOrdinary(Exception):
    """Roll back: these need more than a batch gives."""

    def __init__(self, event_ids: set[str]) -> None:
        super().__init__(", ".join(sorted(event_ids)))
        self.event_ids = event_ids


def apply_batch(worker: Worker, bodies: Mapping[str, bytes]) -> dict[str, Settled]:
    """Settle of these messages (by any key) what is ordinary, in transactions of at most `MOST_AT_ONCE`.

    Whoever is not in the answer is as it was, and must be applied alone.
    """
    waiting = {key: one for key, body in bodies.items() if (one := _ordinary(worker, body)) is not None}
    settled: dict[str, Settled] = {}
    while len(together := _together(waiting)) > 1:
        for key in together:
            del waiting[key]
        outcomes = _apply(worker, list(together.values()))
        settled |= {key: outcomes[one.event.id] for key, one in together.items() if one.event.id in outcomes}
    return settled


def _ordinary(worker: Worker, body: bytes) -> _Ordinary | None:
    try:
        event = parse_event(body)
        if event.livemode != worker.livemode or event.shape_is_foreign:
            return None
        fact = read(event)
    except Permanent:
        return None
    if not isinstance(fact, SubscriptionFact | InvoiceFact):
        return None
    return _Ordinary(event, body, fact, subject_of(fact, {}))


def _together(waiting: Mapping[str, _Ordinary]) -> dict[str, _Ordinary]:
    """The first events that are about different customers: what one decides rests on nothing that another writes."""
    chosen: dict[str, _Ordinary] = {}
    taken: set[str] = set()
    for key, one in waiting.items():
        if taken.isdisjoint(one.names):
            chosen[key] = one
        taken |= one.names - {""}
        if len(chosen) == MOST_AT_ONCE:
            break
    return chosen


def _apply(worker: Worker, batch: list[_Ordinary]) -> dict[str, Settled]:
    for _ in range(TRIES):
        try:
            with transaction(worker.database_url, held=True) as connection:
                decided = _apply_all(connection, batch, worker.now())
        except _NotOrdinary as others:
            batch = [one for one in batch if one.event.id not in others.event_ids]
        except (Transient, psycopg.Error):  # alone it comes out whose fault it is
            return {}
        else:
            return {
                each.one.event.id: Settled(outcome_of(each.one.event, each.effect), each.effect.customer_ids)
                for each in decided
            }
    return {}


def _apply_all(connection: Connection, batch: Sequence[_Ordinary], now: datetime) -> list[_Decided]:
    claims = inbox.claim_all(connection, [one.told for one in batch], now)
    untold = unknown_discounts(connection, _untold(batch))
    decided = [_decided(one, claims.get(one.event.id), untold) for one in batch]
    usual = [each for each in decided if each is not None]
    if len(usual) < len(batch):
        raise _NotOrdinary({one.event.id for one in batch} - {each.one.event.id for each in usual})
    _store(connection, usual, now)
    for each in usual:
        effect = each.effect
        inbox.settle(
            connection, each.claim, status=effect.status, reason=effect.reason, customer_ids=effect.customer_ids
        )
    return usual


def _untold(batch: Iterable[_Ordinary]) -> set[str]:
    return {name for one in batch if isinstance(one.fact, SubscriptionFact) for name in one.fact.untold_discounts}


def _decided(one: _Ordinary, claim: inbox.Claim | None, untold: set[str]) -> _Decided | None:
    """None: not ordinary."""
    if claim is None or not one.subject.stripe_ids <= claim.locked.owners.keys():
        return None
    locked, fact = claim.locked, one.fact
    if isinstance(fact, InvoiceFact):
        if fact.subscription_id is not None and locked.subscription is None:
            return None
        return _Decided(one, claim, Effect("applied", (locked.owners[fact.stripe_customer_id],)))
    try:
        latest = newest_subscription(fact, one.seen, {}, locked, untold)
    except (Unmet, Transient):
        return None
    if latest is None:
        return _Decided(one, claim, Effect("superseded", locked.customer_ids))
    return _Decided(
        one,
        claim,
        Effect("applied", locked.customer_ids, unknown_status=unknown_status(fact)),
        subscriptions.Stated(fact, latest.at, one.event.id),
        revenue_since(fact, latest.at, locked.subscription),
    )


def _store(connection: Connection, decided: Sequence[_Decided], now: datetime) -> None:
    applied = [each for each in decided if each.effect.status == "applied"]
    for each in applied:
        if isinstance(each.one.fact, InvoiceFact):
            subscriptions.record_invoice(connection, each.one.fact)
    stated = [each.stated for each in applied if each.stated is not None]
    owners = [owner for each in applied for owner in each.effect.customer_ids]
    stored = subscriptions.store_subscriptions(connection, stated, owners, if_known=True)
    if stored.unknown_prices:
        unknown = set(stored.unknown_prices)
        raise _NotOrdinary(
            {one.evidence for one in stated if not unknown.isdisjoint(i.price_id for i in one.fact.items)}
        )
    for each in applied:
        if each.stated is not None and each.revenue_since is not None:
            record_mrr(connection, each.stated.fact.id, each.revenue_since)
    news = [
        holdings.Change(owner, held, "event", each.one.event.id)
        for each in applied
        for owner in each.effect.customer_ids
        if (held := stored.customers[owner].news()) is not None
    ]
    holdings.store_changes(connection, news, now)
