"""Whose access differs since this transaction began: what a repair gives and takes, told before it is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
    return effect_since(connection, held_before(connection, customer_ids), now)


def effect_since(connection: Connection, held_then: Mapping[int, list[dict[str, Any]]], now: datetime) -> AccessEffect:
    """What is different from what those customers held then ({id: holdings}), evaluated at `now`."""
    before: Access = {}
    after: Access = {}
    takes = False
    for customer_id, held in held_then.items():
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


def losers_since(
    connection: Connection,
    customer_ids: Iterable[int],
    held_then: Callable[[Iterable[int]], Mapping[int, list[dict[str, Any]]]],
    now: datetime,
) -> dict[int, set[str]]:
    """Who loses by this transaction what they had before it and had `then` too, each with the features."""
    lost: dict[int, set[str]] = {}
    for customer_id, held in held_before(connection, customer_ids).items():
        gone = _features(snapshots_as_held(connection, customer_id, held), now)
        gone -= _features(snapshots_of_customer(connection, customer_id), now)
        if gone:
            then = held_then((customer_id,)).get(customer_id, [])
            gone &= _features(snapshots_as_held(connection, customer_id, then), now)
        if gone:
            lost[customer_id] = {f"{project_id}/{feature}" for project_id, feature in gone}
    return lost


def _features(snapshots: Iterable[Snapshot], now: datetime) -> set[tuple[str, str]]:
    return {(one.project_id, feature) for one in snapshots for feature in _allowed(one, now)}


def _allowed(snapshot: Snapshot, now: datetime) -> dict[str, object]:
    decisions = {code: decide(state, now) for code, state in snapshot.features.items()}
    return {code: decision.value for code, decision in decisions.items() if decision.allowed}


def _ordered(snapshots: list[Snapshot]) -> list[Snapshot]:
    return sorted(snapshots, key=lambda one: one.project_id)
