"""Pays what commits owe to the cache and the bus: before an acknowledgement, or by the sweep after a crash.

The order is what makes it safe: read the debts, then the state, put it if newer, then delete just those debts. A debt
made meanwhile stays; a state older than the cache's is refused there.
"""

from __future__ import annotations

from collections.abc import Iterable
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

SWEEP_LIMIT = 200
"""Debts one sweep pays at most; the next minute's sweep goes on."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Where commits are published: from the store to the cache and the bus."""

    database_url: str
    cache: Client
    bus: Bus


@dataclass(frozen=True, slots=True)
class Swept:
    """Customers and projects whose debts were paid, and those left for the next sweep."""

    paid: int
    unpaid: int


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


def sweep(publisher: Publisher, now: datetime) -> Swept:
    """Pay the oldest debts, whoever left them; one that cannot be paid holds up no other.

    Raises ExceptionGroup, once the rest is paid, of whatever broke in a way that trying again does not mend.
    """
    with transaction(publisher.database_url) as connection:
        debts = outbox.oldest_debts(connection, SWEEP_LIMIT)
    results: list[bool] = []
    broken: list[Exception] = []
    for debt in {(debt.customer_id, debt.project_id): debt for debt in debts}.values():
        try:
            results.append(_pay(publisher, debt, now))
        except Exception as fault:  # noqa: BLE001  whatever it is, those behind it are innocent
            broken.append(fault)
    if broken:
        raise ExceptionGroup("debts that cannot be published: mend their rows, the next sweep pays them", broken)
    return Swept(results.count(True), results.count(False))


def _pay(publisher: Publisher, debt: outbox.Debt, now: datetime) -> bool:
    try:
        if debt.customer_id is not None:
            return publish_customer(publisher, debt.customer_id, now)
        return publish_project(publisher, str(debt.project_id), now)
    except Transient:
        return False


def _paid(publisher: Publisher, debts: list[outbox.Debt]) -> bool:
    if debts:
        with transaction(publisher.database_url) as connection:
            outbox.paid(connection, debts)
    return True
