"""Puts the store's answer where the cache has another. Versions never go back where a user is known to the store.

An item newer than the store (after a restore from a backup, say) is not taken down: the customer's version is lifted
over it, and the state published under that. Only what belongs to nobody known is overwritten whatever its version, or
deleted where nobody could ever put it (ADR 30).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from billing.cache.client import Item, batch_get, delete_instead, put_instead
from billing.cache.entitlements import put_key, put_snapshot
from billing.cache.item import KeyRecord, SnapshotItem, key_to_item, snapshot_to_item
from billing.cache.review import number
from billing.store import audit, outbox, published
from billing.store.connection import Connection, transaction
from billing.store.keys import find_key
from billing.store.snapshots import snapshot_of
from billing.usecases.compare_cache import Finding, Owner, examine, name_of, patient, pk_of, should_be, told
from billing.usecases.operator import Operator
from billing.usecases.passes import Drift, Json, Means, Mended
from billing.usecases.publish_outbox import publish_customer, publish_project
from billing.usecases.refill_snapshot import record_of

HIGHEST = 2**53 - 1
"""The highest version a customer is lifted to: every JSON reader tells it from its neighbours."""


def repair_cache(means: Means, drift: Drift, guard: Callable[[Connection], None], commit: bool) -> Mended:
    """Look again, and put right what is still wrong; without `commit` only tell what that would come to.

    `guard` is the first statement of the repair's transaction, which ends after the put: who crashes between the two
    finds the item right, never a repair that was recorded and not made. Published when it returns. Raises Transient.
    """
    finding = _look(means, pk_of(drift.object_id))
    if finding is None:
        return Mended("left", "it is right by now")
    before, after = _access(finding, told(finding.item, means.worker.now())), _access(finding, _right(means, finding))
    if commit:
        with transaction(means.worker.database_url) as connection:
            guard(connection)
            _repair(connection, means, finding)
            audit.append(connection, _act(means, finding), means.worker.now())
        _publish(means, finding)
        if _look(means, finding.pk) is not None:
            return Mended("failed", "the item was written again meanwhile: the next run looks at it", before, after)
    return Mended("repaired", None, before, after, customer_ids=_customers(finding))


def _look(means: Means, pk: str) -> Finding | None:
    items = batch_get(patient(means), (pk,))
    return next(iter(examine(means, list(items.values()))), None)


def _repair(connection: Connection, means: Means, finding: Finding) -> None:
    """Lift the version and leave the put to the publication; or put, after a forced put anew from a fresh read, for
    whoever published meanwhile had been refused. What is owed is told on the bus too, and swept after a crash.
    """
    cache, now, subject = means.worker.publisher.cache, means.worker.now(), finding.subject
    match subject:
        case Owner(_, int(customer_id)):
            published.owe_customer(connection, customer_id, means.run_id)
            above = _above(finding)
            if above is not None:
                published.lift_version(connection, customer_id, above, means.run_id, now)
                return
        case KeyRecord(project_id=str(project_id)):
            outbox.owe_project(connection, project_id, cause_kind="run", cause_id=means.run_id)
        case None:
            delete_instead(cache, finding.item)
            return
    if finding.fault in ("newer", "unreadable"):
        put_instead(cache, _item(subject, now), finding.item)
    if isinstance(subject, KeyRecord):
        key = find_key(connection, subject.digest)
        if key is not None:
            put_key(cache, record_of(key, now), refill=True)
        return
    snapshot = snapshot_of(connection, subject.snapshot.project_id, subject.snapshot.user_id)
    if snapshot is not None:
        put_snapshot(cache, SnapshotItem.of(snapshot, now), refill=True)


def _above(finding: Finding) -> int | None:
    """The customer's own version that makes the snapshot's one more than the item's; None: there is nothing to lift."""
    seen = number(finding.item, "v")
    if finding.fault != "newer" or not isinstance(finding.subject, Owner) or seen is None or seen >= HIGHEST:
        return None
    return seen + 1 - finding.subject.snapshot.epoch


def _publish(means: Means, finding: Finding) -> None:
    publisher, now = means.worker.publisher, means.worker.now()
    match finding.subject:
        case Owner(_, int(customer_id)):
            publish_customer(publisher, customer_id, now)
        case KeyRecord(project_id=str(project_id)):
            publish_project(publisher, project_id, now)


def _item(subject: Owner | KeyRecord, now: datetime) -> Item:
    if isinstance(subject, KeyRecord):
        return key_to_item(subject)
    return snapshot_to_item(SnapshotItem.of(subject.snapshot, now))


def _right(means: Means, finding: Finding) -> dict[str, Any]:
    return should_be(finding.subject, means.worker.now())


def _access(finding: Finding, said: Json) -> Json | None:
    """{project: {user: {feature: value}}} of a snapshot that was looked at; None of a key."""
    if not isinstance(finding.subject, Owner):
        return None
    snapshot = finding.subject.snapshot
    return {snapshot.project_id: {snapshot.user_id: said.get("allowed", {})}}


def _customers(finding: Finding) -> tuple[int, ...]:
    match finding.subject:
        case Owner(_, int(customer_id)):
            return (customer_id,)
    return ()


def _act(means: Means, finding: Finding) -> audit.Act:
    """In the project's chain; what only the item says about a project opens none."""
    match finding.subject:
        case Owner(snapshot):
            project_id: str | None = snapshot.project_id
        case KeyRecord():
            project_id = finding.subject.project_id
        case None:
            project_id = None
    return Operator("billing", None, means.run_id).act(
        "reconcile.repair",
        name_of(finding.pk),
        project_id=project_id,
        reason=finding.fault or "unknown",
        before=told(finding.item, means.worker.now()),
        after=_right(means, finding),
    )
