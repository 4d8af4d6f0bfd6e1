"""What a rebuild may take from those who hold something: the gate of runs (SPEC §6), in rounds through Stripe's lists.

In the first round it gives; what would take is rolled back and counted. Within the limit a second round takes it, else
the rebuild waits for a person. Measured by what customers held before it: what it gave itself it may take again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from billing.domain.drift import default_limit
from billing.errors import Refused
from billing.payments.history import STAGES
from billing.store import audit, rebuilds
from billing.store.connection import Connection, transaction
from billing.store.rebuilds import Rebuild
from billing.store.runs import count_holders
from billing.usecases.access_effect import losers_since
from billing.usecases.apply_event import Worker
from billing.usecases.observation import Effect
from billing.usecases.operator import Operator

HELD_BACK = "held_back"
"""The fate of an object that would take: it is counted as such until it is taken."""

TAKES = "takes_access"
"""Its code among what was left out."""


class HeldBack(Exception):
    """Roll back: somebody would lose something by it, and the rebuild may not take that."""

    def __init__(self, lost: Mapping[int, set[str]]) -> None:
        features = sorted({feature for one in lost.values() for feature in one})
        super().__init__(f"{len(lost)} of our customers would lose {', '.join(features)}")


@dataclass(slots=True)
class Gate:
    """Of one page. `losers`: from whom the rebuild took something, or would; `limit`: how many these may be; `took`:
    the last object did.
    """

    at: Rebuild
    limit: int
    losers: set[int] = field(default_factory=set)
    took: bool = False

    def admit(self, connection: Connection, worker: Worker, effect: Effect) -> None:
        """Let what this transaction did be committed, or raise HeldBack."""
        self.took = False
        if not self.at.gated:
            return

        def held_then(customer_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
            return rebuilds.held_before_it(connection, customer_ids, self.at.id)

        lost = losers_since(connection, effect.customer_ids, held_then, worker.now())
        if not lost:
            return
        self.losers |= lost.keys()
        if self.at.step == "give" or len(self.losers) > self.limit:
            raise HeldBack(lost)
        self.took = True


def gate_of(worker: Worker, at: Rebuild) -> Gate:
    return Gate(at, _limit(worker, at) if at.step == "take" else 0, set(at.losers))


def round_over(worker: Worker, at: Rebuild) -> Rebuild:
    """Stripe's lists are through: it is done, or takes what it held back, or waits."""
    if not any(HELD_BACK in of_stage for of_stage in at.counts.values()):
        return replace(at, after=None, status="done")
    again = replace(at, stage=STAGES[0], after=None)
    if at.step == "give" and len(at.losers) <= _limit(worker, at):
        return _anew(again)
    return replace(again, status="waiting")


def approve(connection: Connection, by: Operator, reason: str, now: datetime) -> Rebuild:
    """Let the rebuild that waits take from as many customers as it told: it goes through Stripe's lists once more.

    Should it then want to take from more, it waits again. Raises Refused (`rebuild_not_waiting`).
    """
    at = _waiting(connection)
    rebuilds.approve_rebuild(connection, _anew(at), by.name, now)
    after = {"takes_from": len(at.losers)}
    audit.append(connection, by.act("rebuild.approve", at.id, project_id=None, reason=reason, after=after), now)
    return _latest(connection)


def cancel(connection: Connection, by: Operator, reason: str, now: datetime) -> Rebuild:
    """End the rebuild that waits: what it gave stays. Raises Refused (`rebuild_not_waiting`)."""
    at = _waiting(connection)
    rebuilds.cancel_rebuild(connection, at.id, now)
    audit.append(connection, by.act("rebuild.cancel", at.id, project_id=None, reason=reason), now)
    return _latest(connection)


def _limit(worker: Worker, at: Rebuild) -> int:
    """From how many customers it may take."""
    unasked = at.max_revocations
    if unasked is None:
        with transaction(worker.database_url) as connection:
            unasked = default_limit(count_holders(connection))
    return max(unasked, at.approved_takes or 0)


def _anew(at: Rebuild) -> Rebuild:
    """At the beginning of a round that takes: what it has to hold back still is counted again."""
    counts = {
        name: {what: number for what, number in of_stage.items() if what != HELD_BACK}
        for name, of_stage in at.counts.items()
    }
    return replace(at, step="take", counts=counts, left_out=[one for one in at.left_out if one["code"] != TAKES])


def _waiting(connection: Connection) -> Rebuild:
    at = rebuilds.lock_rebuild(connection)
    if at is None or at.status != "waiting":
        raise Refused("rebuild_not_waiting", "No rebuild waits for a decision: read it for how far it is.")
    return at


def _latest(connection: Connection) -> Rebuild:
    latest = rebuilds.latest_rebuild(connection)
    if latest is None:
        raise LookupError("the rebuild vanished: rebuilds are never deleted")
    return latest
