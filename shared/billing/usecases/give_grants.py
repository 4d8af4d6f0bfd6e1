"""Operators give or deny features by hand: all of what one request asks, or nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.domain.catalog import Feature, fault_of_value
from billing.domain.catalog_faults import unkeepable
from billing.domain.windows import FOREVER
from billing.errors import FieldFault, Refused
from billing.store import customers, grants, holdings
from billing.store.connection import Connection
from billing.store.grants import Gate, NewGrant
from billing.usecases.fence import Fence, fence_off
from billing.usecases.manage_grants import Held, held, record_acts, told
from billing.usecases.operator import Operator


@dataclass(frozen=True, slots=True)
class Order:
    """A grant as asked for, at `pointer` of the body. `value` None: true, of a boolean feature; a denial has none.

    `valid_from` None: from now on; `valid_to` None: for ever.
    """

    pointer: str
    project_id: str
    user_id: str
    feature: str
    reason: str
    value: Any = None
    denial: bool = False
    priority: int = 0
    valid_from: datetime | None = None
    valid_to: datetime | None = None


def give(connection: Connection, orders: Sequence[Order], by: Operator, now: datetime, fence: Fence) -> list[Held]:
    """Grant or deny, as a change of `change_grants`.

    Raises Refused (`project_not_found`, `feature_not_found`, `invalid_request`), each order's faults with its pointer.
    """
    gates = grants.lock_gates(connection, [(order.project_id, order.feature) for order in orders])
    _check(orders, gates, now)
    owners = _lock_users(connection, [(gates[order.project_id].namespace, order.user_id) for order in orders])
    made = [_new(order, owners[gates[order.project_id].namespace, order.user_id], gates, by, now) for order in orders]
    denied = {grant.customer_id for grant in made if grant.denial}
    if denied:
        fence_off(fence, connection, denied)
    for grant in made:
        grants.insert_grant(connection, grant)
        holdings.record_change(connection, grant.customer_id, cause_kind="grant", cause_id=grant.id, now=now)
    stored = grants.find_grants(connection, [grant.id for grant in made])
    acts = [
        by.act("grant.create", grant.id, project_id=grant.project_id, reason=grant.reason, after=told(stored[grant.id]))
        for grant in made
    ]
    record_acts(connection, acts, now)
    return held(connection, [stored[grant.id] for grant in made])


def _check(orders: Sequence[Order], gates: Mapping[str, Gate], now: datetime) -> None:
    """Everything that is wrong, at once; the first kind of fault names the refusal."""
    unknown = [order for order in orders if order.project_id not in gates]
    if unknown:
        faults = tuple(FieldFault(f"{order.pointer}/project_id", "there is no such project") for order in unknown)
        raise Refused("project_not_found", f"there is no project {unknown[0].project_id}", fields=faults)
    missing = [order for order in orders if order.feature not in gates[order.project_id].features]
    faults = (
        *(FieldFault(f"{order.pointer}/feature", "the project has no such feature") for order in missing),
        *(fault for order in orders if order not in missing for fault in _faults(order, gates, now)),
    )
    if missing:
        raise Refused("feature_not_found", "A grant is of a feature that its project's catalog has.", fields=faults)
    if faults:
        raise Refused("invalid_request", "The body is not what this route takes.", fields=faults)


def _faults(order: Order, gates: Mapping[str, Gate], now: datetime) -> Iterable[FieldFault]:
    feature = gates[order.project_id].features[order.feature]
    if order.denial and order.value is not None:
        yield FieldFault(f"{order.pointer}/value", "a denial takes the feature away: leave the value out")
    elif not order.denial:
        fault = _fault_of_value(feature, _value(order, feature.type))
        if fault is not None:
            yield FieldFault(f"{order.pointer}/value", fault)
    if _valid_from(order, now) >= _valid_to(order):
        yield FieldFault(f"{order.pointer}/valid_to", "must be after valid_from: the end is exclusive")


def _fault_of_value(feature: Feature, value: Any) -> str | None:
    if value is None:
        return f"a {feature.type} is granted with a value"
    return fault_of_value(feature, value) or unkeepable(feature, value)


def _value(order: Order, kind: str) -> Any:
    return True if order.value is None and kind == "boolean" else order.value


def _valid_from(order: Order, now: datetime) -> datetime:
    return now if order.valid_from is None else order.valid_from


def _valid_to(order: Order) -> datetime:
    return FOREVER if order.valid_to is None else min(order.valid_to, FOREVER)


def _lock_users(connection: Connection, users: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Our ids of (namespace, user_id), made where there was none: first all made, then all locked, in one order."""
    owners = {user: customers.ensure(connection, *user).id for user in sorted(set(users))}
    for customer_id in sorted(owners.values()):
        customers.lock(connection, customer_id)
    return owners


def _new(order: Order, customer_id: int, gates: Mapping[str, Gate], by: Operator, now: datetime) -> NewGrant:
    feature = gates[order.project_id].features[order.feature]
    return NewGrant(
        id=f"grant_{secrets.token_hex(12)}",
        customer_id=customer_id,
        project_id=order.project_id,
        feature=order.feature,
        value=None if order.denial else _value(order, feature.type),
        denial=order.denial,
        priority=order.priority,
        valid_from=_valid_from(order, now),
        valid_to=_valid_to(order),
        reason=order.reason,
        actor=by.name,
        created_at=now,
    )
