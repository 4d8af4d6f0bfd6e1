"""What a fact is about: the rows that are locked, together and always in one order, before it is applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from billing.store.connection import Connection
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


_LOCK = "SELECT owners, subscription FROM lock_subject(%s, %s)"


def lock(connection: Connection, subject: Subject) -> Locked:
    """Take the row locks of the subject's customers, then of its subscription, until the transaction ends."""
    row = connection.execute(_LOCK, (sorted(subject.stripe_ids), subject.subscription_id)).fetchone()
    return locked_from_row(*row) if row else Locked({}, None)


def locked_from_row(owners: dict[str, int], subscription: dict[str, Any] | None) -> Locked:
    """Of what the functions `lock_subject` and `claim_event` answer."""
    if subscription is None:
        return Locked(owners, None)
    members = {name: subscription[name] for name in SubscriptionRow.__dataclass_fields__}
    return Locked(owners, SubscriptionRow(**members))
