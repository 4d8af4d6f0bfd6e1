"""Mends one drift by the code that events are applied by, in one transaction; or tries it, and rolls back.

What a list said is never stored: the object is asked for again, and stored only if its row is still the one from
before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billing.errors import Permanent
from billing.payments import objects
from billing.payments.events import parse_event
from billing.payments.objects import Gone
from billing.store import audit, inbox, mirrors
from billing.store.connection import Connection, transaction
from billing.store.holdings import held_before
from billing.usecases.access_effect import AccessEffect, effect_on_access
from billing.usecases.apply_event import claim_and_apply, claim_event, stated, with_fetches
from billing.usecases.compare_listing import AHEAD, FOREIGN
from billing.usecases.find_missed_events import KIND as EVENT
from billing.usecases.observation import Effect, Fetches, Observation
from billing.usecases.operator import Operator
from billing.usecases.passes import Drift, Json, Means, Mended
from billing.usecases.repair_steps import step_of

ACTION = "reconcile.repair"

Guard = Callable[[Connection], None]


def repair(means: Means, drift: Drift, guard: Guard, commit: bool) -> Mended:
    """Mend the drift, or (`commit` False) tell what that would come to. Publish `customer_ids` after a commit.

    `guard` runs first in every transaction, and what it raises goes through. Raises Transient, nothing changed.
    """
    if drift.kind == "orphan":
        return Mended("left", "its user has another Stripe customer: move what it holds in Stripe, or delete it there")
    if drift.reason == FOREIGN and not _listing_is_ours(means):
        return Mended("left", f"{FOREIGN}: is the API key that of the account which the store mirrors?")
    try:
        if drift.object_type == EVENT:
            return _settle_event(means, drift, guard, commit=commit)
        return _mend_object(means, drift, guard, commit=commit)
    except Permanent as fault:
        return Mended("failed", _words(fault))


def _listing_is_ours(means: Means) -> bool:
    """Asked again: when the first kinds were compared, the lists of the others were still to come."""
    with transaction(means.worker.database_url) as connection:
        return mirrors.listing_is_ours(connection, means.run_id)


# --- events ----------------------------------------------------------------------------------------------------------


def _settle_event(means: Means, drift: Drift, guard: Guard, *, commit: bool) -> Mended:
    """As the worker would have: what cannot be applied is recorded `failed`, and is no drift any more."""
    worker = means.worker
    body = _body(means, drift)
    event = parse_event(body)
    done: list[Mended] = []

    def attempt(fetched: Fetches) -> Effect:
        with transaction(worker.database_url, commit=commit) as connection:
            guard(connection)
            result = claim_and_apply(connection, worker, event, body, seen, fetched)
            if isinstance(result, inbox.Entry):
                done.append(Mended("left", "settled_meanwhile", customer_ids=tuple(result.customer_ids)))
                return Effect("superseded")
            reason = None if result.status == "applied" else result.reason or result.status
            done.append(_settled(connection, means, drift, result, reason))
            return result

    try:
        fact = stated(worker, event)
        if fact is None:
            return Mended("left", "type_not_handled")
        seen = Observation(fact, event.created, event.id, "event", trusted=not event.shape_is_foreign)
        with_fetches(worker.stripe, {}, attempt, means.spend)
    except Permanent as fault:
        with transaction(worker.database_url, commit=commit) as connection:
            guard(connection)
            claim_event(connection, worker, event, body, status="failed", reason=_words(fault))
            return _settled(connection, means, drift, Effect("ignored"), f"recorded failed: {_words(fault)}")
    return done[-1]


def _body(means: Means, drift: Drift) -> bytes:
    """As it was listed; asked for once more where the staged rows were lost."""
    with transaction(means.worker.database_url) as connection:
        kept = mirrors.staged_state(connection, means.run_id, EVENT, drift.object_id)
    if kept is not None:
        return str(kept["body"]).encode()
    means.spend()
    found = objects.fetch_event(means.worker.stripe, drift.object_id)
    if isinstance(found, Gone):
        raise Permanent("gone_from_stripe", f"Stripe keeps {drift.object_id} no more: the listing tells its outcome")
    return found


# --- objects ---------------------------------------------------------------------------------------------------------


def _mend_object(means: Means, drift: Drift, guard: Guard, *, commit: bool) -> Mended:
    worker = means.worker
    step, known = step_of(means, drift)
    done: list[Mended] = []

    def attempt(fetched: Fetches) -> Effect:
        with transaction(worker.database_url, commit=commit) as connection:
            guard(connection)
            before = _stored(connection, means, drift)
            effect = step(connection, fetched)
            after = _stored(connection, means, drift)
            if before == after and not held_before(connection, effect.customer_ids):
                done.append(Mended("left", effect.reason or "settled_meanwhile", before, after))
            else:
                done.append(_settled(connection, means, drift, effect, None, before or {}, after or {}))
            return effect

    with_fetches(worker.stripe, known, attempt, means.spend)
    return done[-1]


def _stored(connection: Connection, means: Means, drift: Drift) -> dict[str, Any] | None:
    state = mirrors.stored_state(connection, means.run_id, drift.object_type, drift.object_id)
    if state is None or drift.reason != AHEAD:
        return state
    return {**state, "watermark": mirrors.watermark_of(connection, drift.object_type, drift.object_id)}


# --- evidence --------------------------------------------------------------------------------------------------------


def _settled(
    connection: Connection,
    means: Means,
    drift: Drift,
    effect: Effect,
    reason: str | None,
    before: Json | None = None,
    after: Json | None = None,
) -> Mended:
    """What it came to, with the audit's row as the transaction's last."""
    now = means.worker.now()
    access = effect_on_access(connection, effect.customer_ids, now)
    told = _told(drift.before if before is None else before, access, "before")
    tells = _told(drift.after if after is None else after, access, "after")
    project_id = drift.project_id or next(iter({**access.before, **access.after}), None)
    by = Operator("billing", request_id=means.run_id)
    act = by.act(ACTION, drift.object_id, project_id=project_id, reason=drift.kind, before=told, after=tells)
    audit.append(connection, act, now)
    return Mended("repaired", reason, told, tells, access.takes, effect.customer_ids)


def _told(state: Json, access: AccessEffect, side: str) -> dict[str, Any]:
    differs = access.before if side == "before" else access.after
    said = {name: value for name, value in state.items() if name != "access"}
    return {**said, "access": differs} if differs else said


def _words(fault: Permanent) -> str:
    return f"{fault.code}: {fault.detail}"
