"""What all changes of grants share: one transaction with key and audit, then the cache, and only then the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.domain.windows import FOREVER, rfc3339
from billing.store import grants
from billing.store.audit import Act, append
from billing.store.connection import Connection, transaction
from billing.store.grants import Grant
from billing.store.snapshots import versions_of_customers
from billing.usecases import once
from billing.usecases.fence import Fence, make_effective
from billing.usecases.publish_outbox import Publisher


@dataclass(frozen=True, slots=True)
class Held:
    """A grant as it now is, and the version of its user's entitlements that shows it."""

    grant: Grant
    entitlements_version: int


Change = Callable[[Connection, datetime, Fence], list[Held]]
"""`give` or `take_back`, with what is asked of it."""


def change_grants(
    publisher: Publisher,
    request: once.Request,
    change: Change,
    show: Callable[[Held, datetime], Mapping[str, Any]],
    *,
    status: int,
    now: Callable[[], datetime],
) -> once.Outcome:
    """Commit the change under the Idempotency-Key, then publish it, replayed or not: what is answered is in force.

    The answer is `{"grants": […]}`, each as `show` has it, with its `id`. Raises what the change refuses, and Transient
    (`not_effective_yet`: it is stored).
    """
    fence = Fence(publisher.cache, now)

    def work(connection: Connection) -> tuple[int, str]:
        at = now()
        return status, json.dumps({"grants": [show(one, at) for one in change(connection, at, fence)]})

    outcome = once.transact(publisher.database_url, request, work)
    ids = [shown["id"] for shown in json.loads(outcome.body)["grants"]]
    with transaction(publisher.database_url) as connection:
        changed = {grant.customer_id for grant in grants.find_grants(connection, ids).values()}
    make_effective(publisher, fence, changed, now())
    return outcome


def held(connection: Connection, changed: Sequence[Grant]) -> list[Held]:
    """The grants with the versions that show them, as of now in the transaction."""
    rows = versions_of_customers(connection, [grant.customer_id for grant in changed])
    versions = {(row.customer_id, row.project_id): row.version for row in rows}
    return [Held(grant, versions[grant.customer_id, grant.project_id]) for grant in changed]


def record_acts(connection: Connection, acts: Iterable[Act], now: datetime) -> None:
    """The heads of the chains are locked in one order, as the customers were."""
    for act in sorted(acts, key=lambda act: act.chain):
        append(connection, act, now)


def told(grant: Grant) -> Mapping[str, Any]:
    """A grant as the audit keeps it."""
    return {
        "user_id": grant.user_id,
        "feature": grant.feature,
        "value": grant.value,
        "denial": grant.denial,
        "priority": grant.priority,
        "valid_from": rfc3339(grant.valid_from),
        "valid_to": None if grant.valid_to == FOREVER else rfc3339(grant.valid_to),
        "revoked_at": None if grant.revoked_at is None else rfc3339(grant.revoked_at),
    }
