"""When an operator takes something away it must be gone once they are told so, though DynamoDB may refuse the write.

So before its commit the change raises a fence (billing.cache.fence). If publishing fails afterwards, the change is in
force all the same where the fence stood until the commit had returned; else the operator is told that it is not yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from billing.cache.client import Client
from billing.cache.fence import Fenced, raise_fences
from billing.errors import Transient
from billing.store.connection import Connection
from billing.store.snapshots import versions_of_customers
from billing.usecases.publish_outbox import Publisher, publish_customers

FENCE = timedelta(seconds=60)
"""How long a fence waits for its change: far longer than a transaction lasts."""

SKEW = timedelta(seconds=10)
"""How far the clocks of two functions may differ. A fence counts only while it has longer than this to stand."""


@dataclass(slots=True)
class Fence:
    """Of one write. `behind` it are the customers whose snapshots were fenced, all of them until `until`."""

    cache: Client
    now: Callable[[], datetime]
    behind: set[int] = field(default_factory=set)
    until: datetime | None = None

    def stands_before(self, customers: Iterable[int]) -> bool:
        """Whether it holds readers off each of these still. Ask after the commit."""
        in_time = self.until is not None and self.now() < self.until - SKEW
        return in_time and self.behind.issuperset(customers)


def fence_off(fence: Fence, connection: Connection, customers: Iterable[int]) -> None:
    """Raise it before the next change of these, whose row locks are held, in every project of their namespace.

    A fence that cannot be raised does not stop the write: `make_effective` says what comes of that.
    """
    fenced = set(customers)
    rows = versions_of_customers(connection, fenced)
    fence.until = fence.now() + FENCE
    try:
        raise_fences(fence.cache, [Fenced(row.project_id, row.user_id, row.changes + 1) for row in rows], fence.until)
    except Transient:
        return
    fence.behind = fenced


def make_effective(publisher: Publisher, fence: Fence, customers: Iterable[int], now: datetime) -> None:
    """Publish what a commit changed, before it is acknowledged; on a replay too, whose fence was never raised.

    Returns where every next check sees the change: from the cache, or past it because of the fence. Raises Transient
    (`not_effective_yet`): it is stored, and the sweep will publish it, but an older answer may still be read.
    """
    changed = sorted(set(customers))
    held = fence.stands_before(changed)
    try:
        publish_customers(publisher, changed, now)
    except Transient as fault:
        if held:
            return
        raise Transient(
            "not_effective_yet",
            "The change is stored, but the old answer can still be read for now: send it again with the same"
            " Idempotency-Key until it answers 2xx.",
            retry_after=1,
        ) from fault
