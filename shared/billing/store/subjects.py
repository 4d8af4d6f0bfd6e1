"""What a fact is about: the rows that are locked, together and always in one order, before it is applied."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from billing.store.connection import Connection
from billing.store.exchange import texts
from billing.store.subscriptions import SubscriptionRow


@dataclass(frozen=True, slots=True)
class Subject:
    """The Stripe customers that a fact names, and the subscription."""

    stripe_ids: frozenset[str] = frozenset()
    subscription_id: str | None = None


NOTHING = Subject()


@dataclass(frozen=True, slots=True)
class Locked:
    """A subject behind its row locks. `owners`: our customers by Stripe customer, of the subject and of the row; one
    that is not there is not known.
    """

    owners: dict[str, int]
    subscription: SubscriptionRow | None

    @property
    def customer_ids(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.owners.values())))


_LOCK = "SELECT owners, subscription FROM lock_subject($1, $2)"
_OWNERS = msgspec.json.Decoder(dict[str, int])
_SUBSCRIPTION = msgspec.json.Decoder(SubscriptionRow)


def lock(connection: Connection, subject: Subject) -> Locked:
    """Take the row locks of the subject's customers, then of its subscription, until the transaction ends."""
    row = connection.ask(_LOCK, texts(sorted(subject.stripe_ids)), subject.subscription_id)
    owners, subscription = row
    return Locked(_OWNERS.decode(owners or b""), None if subscription is None else _SUBSCRIPTION.decode(subscription))


def locked_of(subject: Subject, owners: dict[str, int], subscriptions: dict[str, SubscriptionRow]) -> Locked:
    """The subject's part of what is locked for many."""
    row = subscriptions.get(subject.subscription_id or "")
    involved = subject.stripe_ids if row is None else {*subject.stripe_ids, row.stripe_customer_id}
    return Locked({one: owners[one] for one in involved if one in owners}, row)
