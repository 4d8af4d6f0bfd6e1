"""Pays what commits owe to the cache and the bus: before an acknowledgement, or by the sweep after a crash.

The order is what makes it safe: read the debts, then the state, put it if newer, then delete just those debts. A debt
made meanwhile stays; a state older than the cache's is refused there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.cache import entitlements as cached
from billing.cache.client import Client
from billing.cache.item import SnapshotItem
from billing.domain.answers import entitlements_answer
from billing.errors import Transient
from billing.messages.bus import Bus, announce_change
from billing.store import outbox
from billing.store.connection import transaction
from billing.store.keys import keys_of_project
from billing.store.snapshots import snapshots_of_customer
from billing.usecases.refill_snapshot import record_of

FRESH_AT_ONCE = 150
TRIED_AT_ONCE = 50
MOST_BATCHES = 10
"""A sweep reads its debts in batches, each with a share for those tried before; the next minute's sweep goes on."""

NEEDED_SECONDS = 8.0
"""Left to a sweep below which it begins no further debt: one may wait for the cache's and the bus's timeouts."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Where commits are published: from the store to the cache and the bus."""

    database_url: str
    cache: Client
    bus: Bus


@dataclass(frozen=True, slots=True)
class Swept:
    """Customers and projects whose debts were paid, and those that step back for a while.

    `broken`: faults that trying again does not mend; they are among the unpaid.
    """

    paid: int
    unpaid: int
    broken: tuple[Exception, ...] = ()


def publish_customers(publisher: Publisher, customer_ids: Iterable[int], now: datetime) -> None:
    """What an acknowledgement waits for: after it no check sees an older answer. Raises Transient.

    A bus that refuses does not hold it up: that debt stays, for the sweep.
    """
    for customer_id in customer_ids:
        publish_customer(publisher, customer_id, now)


def publish_customer(publisher: Publisher, customer_id: int, now: datetime) -> bool:
    """Publish the customer's snapshots if a commit still owes them; False: the bus is still owed. Raises Transient."""
    with transaction(publisher.database_url) as connection:
        debts = outbox.debts_of_customer(connection, customer_id)
        snapshots = snapshots_of_customer(connection, customer_id) if debts else []
    for snapshot in snapshots:
        cached.put_snapshot(publisher.cache, SnapshotItem.of(snapshot, now), refill=False)
    try:
        for snapshot in snapshots:
            announce_change(publisher.bus, entitlements_answer(snapshot, now), debts[-1].cause)
    except Transient:
        return False
    return _paid(publisher, debts)


def publish_project(publisher: Publisher, project_id: str, now: datetime) -> bool:
    """Publish the project's key records, and with them its catalog epoch. Raises Transient."""
    with transaction(publisher.database_url) as connection:
        debts = outbox.debts_of_project(connection, project_id)
        keys = keys_of_project(connection, project_id) if debts else []
    for key in keys:
        cached.put_key(publisher.cache, record_of(key, now), refill=False)
    return _paid(publisher, debts)


def sweep(publisher: Publisher, now: datetime, left: Callable[[], float] = lambda: math.inf) -> Swept:
    """Pay what is due, whoever left it, while time is `left` (seconds). One debt that cannot be paid holds up no other:
    it steps back, longer each time. A customer's debts are paid as one, with their newest state.

    Raises Transient where the store cannot be read.
    """
    results: list[bool] = []
    broken: list[Exception] = []
    for _ in range(MOST_BATCHES):
        with transaction(publisher.database_url) as connection:
            debts = outbox.due_debts(connection, now, fresh=FRESH_AT_ONCE, tried=TRIED_AT_ONCE)
        for debt in {(debt.customer_id, debt.project_id): debt for debt in debts}.values():
            if left() < NEEDED_SECONDS:
                return _swept(results, broken)
            try:
                results.append(_pay(publisher, debt, now))
            except Exception as fault:  # noqa: BLE001  whatever it is, those behind it are innocent
                broken.append(fault)
                _defer(publisher, debt, now)
        if not debts:
            break
    return _swept(results, broken)


def _swept(results: list[bool], broken: list[Exception]) -> Swept:
    return Swept(results.count(True), results.count(False) + len(broken), tuple(broken))


def _pay(publisher: Publisher, debt: outbox.Debt, now: datetime) -> bool:
    try:
        if debt.customer_id is not None:
            done = publish_customer(publisher, debt.customer_id, now)
        else:
            done = publish_project(publisher, str(debt.project_id), now)
    except Transient:
        done = False
    if not done:
        _defer(publisher, debt, now)
    return done


def _defer(publisher: Publisher, debt: outbox.Debt, now: datetime) -> None:
    with transaction(publisher.database_url) as connection:
        outbox.defer(connection, debt, now)


def _paid(publisher: Publisher, debts: list[outbox.Debt]) -> bool:
    if debts:
        with transaction(publisher.database_url) as connection:
            outbox.paid(connection, debts)
    return True
