"""Whose access differs since this transaction began: what a repair gives and takes, told before it is committed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.domain.entitlements import decide
from billing.domain.snapshot import Snapshot
from billing.store.connection import Connection
from billing.store.holdings import held_before
from billing.store.snapshots import snapshots_as_held, snapshots_of_customer

Access = dict[str, dict[str, dict[str, object]]]
"""{project_id: {user_id: {feature: value}}}, of what is allowed."""


@dataclass(frozen=True, slots=True)
class AccessEffect:
    """What is different, at one instant. `takes`: somebody had a feature and has it no more."""

    before: Access
    after: Access
    takes: bool


def effect_on_access(connection: Connection, customer_ids: Iterable[int], now: datetime) -> AccessEffect:
    """Of the changes this transaction recorded so far, evaluated at `now`."""
    before: Access = {}
    after: Access = {}
    takes = False
    for customer_id, held in held_before(connection, customer_ids).items():
        earlier = snapshots_as_held(connection, customer_id, held)
        later = snapshots_of_customer(connection, customer_id)
        for old, new in zip(_ordered(earlier), _ordered(later), strict=True):
            had, has = _allowed(old, now), _allowed(new, now)
            if had == has:
                continue
            before.setdefault(old.project_id, {})[old.user_id] = {k: v for k, v in had.items() if has.get(k) != v}
            after.setdefault(new.project_id, {})[new.user_id] = {k: v for k, v in has.items() if had.get(k) != v}
            takes = takes or bool(had.keys() - has.keys())
    return AccessEffect(before, after, takes)


def _allowed(snapshot: Snapshot, now: datetime) -> dict[str, object]:
    decisions = {code: decide(state, now) for code, state in snapshot.features.items()}
    return {code: decision.value for code, decision in decisions.items() if decision.allowed}


def _ordered(snapshots: list[Snapshot]) -> list[Snapshot]:
    return sorted(snapshots, key=lambda one: one.project_id)
