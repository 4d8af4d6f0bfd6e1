"""Operators take grants and denials back: all that one request names, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.errors import FieldFault, Refused
from billing.store import customers, grants, holdings
from billing.store.audit import Act
from billing.store.connection import Connection
from billing.store.grants import Grant
from billing.usecases.fence import Fence, fence_off
from billing.usecases.manage_grants import Held, held, record_acts, told
from billing.usecases.operator import Operator


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be taken back: one grant, or all grants (denials) that a user has of a feature."""

    pointer: str
    reason: str
    grant_id: str | None = None
    project_id: str = ""
    user_id: str = ""
    feature: str = ""
    denial: bool = False


def take_back(
    connection: Connection, targets: Sequence[Target], by: Operator, now: datetime, fence: Fence
) -> list[Held]:
    """Revoke, as a change of `change_grants`. What was taken back before is answered as it is.

    Raises Refused (`project_not_found`, `grant_not_found`) with the pointer of each target that names nothing.
    """
    customers_of = _customers_of(connection, targets)
    for customer_id in sorted(set(customers_of)):
        customers.lock(connection, customer_id)
    found = _found(connection, targets, customers_of, now)
    reasons = {grant.id: target.reason for target, some in zip(targets, found, strict=True) for grant in some}
    named = {grant.id: grant for some in found for grant in some}
    live = [grant for grant in named.values() if grant.revoked_at is None]
    losers = {grant.customer_id for grant in live if not grant.denial}
    if losers:
        fence_off(fence, connection, losers)
    for grant in live:
        grants.revoke_grant(connection, grant.id, now, by.name, reasons[grant.id])
        holdings.record_change(connection, grant.customer_id, cause_kind="grant", cause_id=grant.id, now=now)
    stored = grants.find_grants(connection, named)
    record_acts(connection, [_act(by, grant, stored[grant.id]) for grant in live], now)
    return held(connection, [stored[grant_id] for grant_id in named])


def _act(by: Operator, before: Grant, after: Grant) -> Act:
    return by.act(
        "grant.revoke",
        after.id,
        project_id=after.project_id,
        reason=after.revoked_reason,
        before=told(before),
        after=told(after),
    )


def _customers_of(connection: Connection, targets: Sequence[Target]) -> list[int]:
    """Whose grants these are, target by target: their rows are to be locked before any grant is looked at."""
    known = grants.find_grants(connection, [target.grant_id for target in targets if target.grant_id is not None])
    named = [(target.project_id, target.feature) for target in targets if target.grant_id is None]
    gates = grants.lock_gates(connection, named)
    unknown = [target for target in targets if target.grant_id is None and target.project_id not in gates]
    if unknown:
        faults = tuple(FieldFault(f"{target.pointer}/project_id", "there is no such project") for target in unknown)
        raise Refused("project_not_found", f"there is no project {unknown[0].project_id}", fields=faults)

    def owner(target: Target) -> int | None:
        if target.grant_id is not None:
            return known[target.grant_id].customer_id if target.grant_id in known else None
        customer = customers.find(connection, gates[target.project_id].namespace, target.user_id)
        return None if customer is None else customer.id

    return _all_of(targets, [owner(target) for target in targets])


def _found(
    connection: Connection, targets: Sequence[Target], owners: Sequence[int], now: datetime
) -> list[list[Grant]]:
    by_id = grants.find_grants(connection, [target.grant_id for target in targets if target.grant_id is not None])
    found = [
        [by_id[target.grant_id]]
        if target.grant_id is not None
        else grants.grants_of_feature(
            connection, owner, target.project_id, target.feature, denial=target.denial, now=now
        )
        for target, owner in zip(targets, owners, strict=True)
    ]
    return _all_of(targets, [some or None for some in found])


def _all_of(targets: Sequence[Target], found: Sequence[Any]) -> list[Any]:
    """What was found, if there is something for each target. Raises Refused (`grant_not_found`)."""
    nothing = [target for target, some in zip(targets, found, strict=True) if some is None]
    if nothing:
        faults = tuple(
            FieldFault(f"{target.pointer}/{'user_id' if target.grant_id is None else 'grant_id'}", "no such grant")
            for target in nothing
        )
        raise Refused("grant_not_found", "There is nothing to take back: list the grants.", fields=faults)
    return list(found)
