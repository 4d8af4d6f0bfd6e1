"""The holdings pass: what each customer is stored to hold against the rows that it is derived from, and its repair.

It comes when Stripe's objects have been compared and repaired, so the rows are right; and before the cache, which is
compared with what is derived.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billing.store import audit, customers, derived
from billing.store.connection import Connection, transaction
from billing.store.derived import Derived, Fault
from billing.usecases.access_effect import AccessEffect, effect_since
from billing.usecases.operator import Operator
from billing.usecases.passes import Batch, Batches, Drift, Json, Means, Mended, nothing

AT_ONCE = 200
"""Customers of one batch, read in one statement."""

KIND = "holdings"


def compare_holdings(means: Means, position: Json) -> Batches:
    """From `position` ({} at the beginning) to the last customer. Raises Transient."""
    after, done = int(position.get("after", 0)), False
    while not done:
        with transaction(means.worker.database_url) as connection:
            found = derived.derived_after(connection, after, project_id=means.project_id, limit=AT_ONCE)
        after, done = found[-1].customer_id if found else after, len(found) < AT_ONCE
        faulty = [(one, fault) for one in found if (fault := one.fault()) is not None]
        drifts = tuple(_drift(one, fault) for one, fault in faulty)
        yield Batch({"after": after}, len(found), (), nothing, drifts, done)


def _drift(one: Derived, fault: Fault) -> Drift:
    return Drift(
        "field_mismatch",
        KIND,
        f"{one.namespace}/{one.user_id}",
        {"version": one.version, "holdings": one.stored},
        {"version": max(one.version, one.recorded_version) + 1, "holdings": one.held()},
        user_id=one.user_id,
        reason=fault,
    )


def repair_holdings(means: Means, drift: Drift, guard: Callable[[Connection], None], commit: bool) -> Mended:
    """Derive anew under the customer's lock; without `commit` only tell who would lose what. Raises Transient."""
    namespace, _, user_id = drift.object_id.partition("/")
    now = means.worker.now()
    with transaction(means.worker.database_url, commit=commit) as connection:
        guard(connection)
        customer = customers.find(connection, namespace, user_id)
        if customer is not None:
            customers.lock(connection, customer.id)
        found = derived.derived_of(connection, namespace, user_id)
        fault = found.fault() if found else None
        if found is None or fault is None:
            return Mended("left", "settled_meanwhile")
        derived.correct(connection, found, run_id=means.run_id, now=now)
        # what they had is what was stored, however wrong: the history tells what they should have had
        access = effect_since(connection, {found.customer_id: found.readable()}, now)
        correction = _drift(found, fault)
        before, after = _told(correction.before, access.before), _told(correction.after, access.after)
        audit.append(connection, _act(means, drift, access, before, after), now)
    return Mended("repaired", None, before, after, access.takes, (found.customer_id,))


def _told(state: Json, access: Json) -> dict[str, Any]:
    return {**state, "access": access} if access else dict(state)


def _act(means: Means, drift: Drift, access: AccessEffect, before: Json, after: Json) -> audit.Act:
    project_id = means.project_id or next(iter({**access.before, **access.after}), None)
    by = Operator("billing", request_id=means.run_id)
    return by.act(
        "reconcile.repair", drift.object_id, project_id=project_id, reason=drift.kind, before=before, after=after
    )
