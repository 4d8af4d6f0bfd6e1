"""What a check does on a miss: ask PostgreSQL, put the answer into the cache if newer, and only then answer.

A check that hits never imports this module: it brings psycopg with it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from billing.cache import entitlements as cached
from billing.cache.client import Client
from billing.cache.item import KeyRecord, SnapshotItem, fresh_until
from billing.errors import Refused, Transient
from billing.store.connection import transaction
from billing.store.keys import ApiKey, find_key
from billing.store.snapshots import snapshot_of

T = TypeVar("T")


def refill_key(database_url: str, cache: Client, digest: bytes, now: datetime) -> KeyRecord | None:
    """The key's record as it is now; None: no such key. Raises Transient where PostgreSQL cannot be asked.

    Where the cache cannot be written, the store's own record is the answer.
    """
    with transaction(database_url) as connection:
        key = find_key(connection, digest)
    if key is None:
        return None
    record = record_of(key, now)
    try:
        return cached.put_key(cache, record, refill=True) or record
    except Transient as fault:
        return _despite(fault, record)


def refill_snapshot(database_url: str, cache: Client, project_id: str, user_id: str, now: datetime) -> SnapshotItem:
    """The user's snapshot as it is now; an unknown user's is empty. Raises Transient as `refill_key` does."""
    try:
        return _refilled(database_url, cache, project_id, user_id, now)
    except Transient as fault:
        if fault.code != "unreadable_newer":
            raise
    # What we read was overtaken by a state that is behind a fence by now: PostgreSQL has it, or a newer one.
    return _refilled(database_url, cache, project_id, user_id, now)


def _refilled(database_url: str, cache: Client, project_id: str, user_id: str, now: datetime) -> SnapshotItem:
    with transaction(database_url) as connection:
        snapshot = snapshot_of(connection, project_id, user_id)
    if snapshot is None:
        raise Refused("project_not_found", f"there is no project {project_id}")
    item = SnapshotItem.of(snapshot, now)
    try:
        return cached.put_snapshot(cache, item, refill=True) or item
    except Transient as fault:
        return _despite(fault, item)


def _despite(fault: Transient, answer: T) -> T:
    """A cache that cannot be written is passed by; one that holds something newer, which we cannot read, is not."""
    if fault.code == "unreadable_newer":
        raise fault
    return answer


def record_of(key: ApiKey, now: datetime) -> KeyRecord:
    """A key as the cache holds it. Its version moves with the key and with its project's epoch."""
    epoch = key.catalog_epoch or 0
    return KeyRecord(
        digest=key.digest,
        version=key.version + epoch,
        epoch=epoch,
        fresh_until=fresh_until(now),
        id=key.id,
        name=key.name,
        role=key.role,
        mode=key.mode,
        project_id=key.project_id,
        namespace=key.namespace,
        project_status=key.project_status,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
