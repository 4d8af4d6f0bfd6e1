"""The cache pass: every item of the table against the store. What is absent is no drift: a miss asks PostgreSQL.

Items are read before the store is, so one that is newer than the store is wrong, not early. One that is older is wrong
only if nothing was owed after the store was read and the item, read once more after that, is older still: a publication
under way is the outbox's business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from billing.cache.client import WRITE_TIMEOUT, Client, Item, batch_get, scan
from billing.cache.item import KeyRecord, SnapshotItem, key_from_item, key_pk, key_to_item, snapshot_to_item
from billing.cache.review import Fault, judge_key, judge_snapshot, number
from billing.domain import keys
from billing.domain.snapshot import Snapshot
from billing.store import published
from billing.store.connection import Connection, transaction
from billing.store.keys import find_keys
from billing.store.snapshots import snapshot_of
from billing.usecases.passes import Batch, Batches, Drift, Json, Means, nothing
from billing.usecases.refill_snapshot import record_of

PAGE = 100
"""Items of one batch, compared in one transaction."""

_LONGEST_USER = 255
_HEX_DIGITS = 64
_HEX = "hex:"  # no pk of ours begins so
_PROJECT_ID = re.compile("[a-z][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose snapshot an item is, or ought to be. `customer_id` None: the store knows no such user."""

    snapshot: Snapshot
    customer_id: int | None


Subject = Owner | KeyRecord | None
"""What the store has for an item; None: nothing, and nobody reads or puts an item there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An item that is not what it should be. `fault` None: there is nothing that it could be of."""

    item: Item
    subject: Subject
    fault: Fault | None

    @property
    def pk(self) -> str:
        return str(self.item["pk"]["S"])


def compare_cache(means: Means, position: Json) -> Batches:
    """From `position` ({} at the beginning) to the end of the table. Raises Transient, having told all before."""
    client, after, done = patient(means), position.get("after"), False
    while not done:
        items, after = scan(client, after, PAGE)
        done = after is None
        drifts = tuple(drift_of(finding, means.worker.now()) for finding in examine(means, items))
        yield Batch({"after": after}, len(items), (), nothing, drifts, done)


def examine(means: Means, items: Sequence[Item]) -> list[Finding]:
    """What is wrong with these items, of the project where the run has one. Raises Transient."""
    now = means.worker.now()
    with transaction(means.worker.database_url) as connection:
        subjects = _subjects(connection, items, means.project_id, now)
        settled = _settled(connection, subjects)
    found = [Finding(item, subject, judge(item, subject, now)) for item, subject in subjects]
    wrong = [one for one in found if one.fault is not None or one.subject is None]
    return _confirmed(means, [one for one in wrong if one.fault != "older" or one.pk in settled], now)


def judge(item: Item, subject: Subject, now: datetime) -> Fault | None:
    match subject:
        case Owner(snapshot):
            return judge_snapshot(item, snapshot, now)
        case KeyRecord():
            fault = judge_key(item, subject, now)
            # An admin key's record opens nothing and is not published; a reader refills it.
            return None if fault == "older" and _opens_nothing(item) else fault
        case None:
            return None


def patient(means: Means) -> Client:
    """The table, read with the patience of a writer: nobody waits for a run."""
    return means.worker.publisher.cache._replace(read_timeout=WRITE_TIMEOUT)


def told(item: Item, now: datetime) -> dict[str, Any]:
    """An item as evidence: its version and what it allows, never the rest."""
    versions = {"version": number(item, "v"), "epoch": number(item, "e")}
    seen = _key_told(item, now) if _pk(item).startswith("K#") else _snapshot_told(item)
    return {**versions, **(seen if _can_be_stored(json.dumps(seen, ensure_ascii=False)) else {"unreadable": True})}


def name_of(pk: str) -> str:
    """A pk as an object's id, which PostgreSQL can store whatever somebody wrote into the cache."""
    return (
        pk if _can_be_stored(json.dumps(pk, ensure_ascii=False)) else _HEX + pk.encode("utf-8", "surrogatepass").hex()
    )


def pk_of(name: str) -> str:
    """The pk that `name_of` named."""
    if not name.startswith(_HEX):
        return name
    return bytes.fromhex(name.removeprefix(_HEX)).decode("utf-8", "surrogatepass")


def _can_be_stored(written: str) -> bool:
    """Whether PostgreSQL takes this JSON: it has neither NUL nor half of a surrogate pair."""
    return "\\u0000" not in written and not any("\ud800" <= c <= "\udfff" for c in written)


def _key_told(item: Item, now: datetime) -> dict[str, Any]:
    record = key_from_item(item)
    if record is None:
        return {}
    ended = record.revoked_at is not None and record.revoked_at <= now
    return {"role": record.role, "project_id": record.project_id, "revoked": ended}


def _snapshot_told(item: Item) -> dict[str, Any]:
    answers = item.get("k", {}).get("M", {})
    allowed = {code: _value(answer) for code, answer in answers.items()}
    return {"allowed": {code: value for code, value in allowed.items() if value is not None}}


def _value(answer: Mapping[str, Any]) -> Any:
    """The value of a check's ready answer, None where it allows nothing or cannot be read."""
    try:
        members = json.loads(answer["S"])
        return members["value"] if members["allowed"] else None
    except (KeyError, TypeError, ValueError):
        return None


# --- whose it is -----------------------------------------------------------------------------------------------------


def _subjects(
    connection: Connection, items: Sequence[Item], only: str | None, now: datetime
) -> list[tuple[Item, Subject]]:
    """Each snapshot and key record of the project asked for, with what the store has for it."""
    owners = _owners(connection, items)
    digests = [digest for digest in map(_digest, items) if digest is not None]
    records = {key_pk(digest): record_of(key, now) for digest, key in find_keys(connection, digests).items()}
    found: list[tuple[Item, Subject]] = []
    for item in items:
        subject = records.get(_pk(item)) or owners.get(_pk(item))
        if _pk(item)[:2] in ("K#", "S#") and only in (None, _project(item, subject)):
            found.append((item, subject))
    return found


def _owners(connection: Connection, items: Sequence[Item]) -> dict[str, Owner]:
    """By pk. A tag stands for its project: where two collide, the item says which of them it is of."""
    tags = {keys.tag(project_id): project_id for project_id in published.project_ids(connection)}
    places = {_pk(item): place for item in items if (place := _place(item, tags)) is not None}
    customers = published.customers_of(connection, list(places.values()))
    snapshots = {pk: snapshot_of(connection, *place) for pk, place in places.items()}
    return {
        pk: Owner(snapshot, customers.get(places[pk])) for pk, snapshot in snapshots.items() if snapshot is not None
    }


def _place(item: Item, tags: Mapping[str, str]) -> tuple[str, str] | None:
    """Project and user that the item's pk names; None where it can name none."""
    kind, _, rest = _pk(item).partition("#")
    tag, _, user_id = rest.partition("#")
    if kind != "S" or tag not in tags or not user_id.isprintable() or not 1 <= len(user_id) <= _LONGEST_USER:
        return None
    said = _said_project(item)
    return said if said is not None and keys.tag(said) == tag and said in tags.values() else tags[tag], user_id


def _digest(item: Item) -> bytes | None:
    kind, _, written = _pk(item).partition("#")
    try:
        return bytes.fromhex(written) if kind == "K" and len(written) == _HEX_DIGITS else None
    except ValueError:
        return None


def _settled(connection: Connection, subjects: Sequence[tuple[Item, Subject]]) -> set[str]:
    """The pks of those that nothing is owed for, after their state was read."""
    customers = {s.customer_id for _, s in subjects if isinstance(s, Owner) and s.customer_id is not None}
    projects = {s.project_id for _, s in subjects if isinstance(s, KeyRecord) and s.project_id is not None}
    owed_customers, owed_projects = published.owed(connection, customers, projects)
    return {
        _pk(item)
        for item, subject in subjects
        if not (isinstance(subject, Owner) and subject.customer_id in owed_customers)
        and not (isinstance(subject, KeyRecord) and subject.project_id in owed_projects)
    }


def _confirmed(means: Means, wrong: Sequence[Finding], now: datetime) -> list[Finding]:
    """Without those that were older and are so no more."""
    older = [one.pk for one in wrong if one.fault == "older"]
    items = batch_get(patient(means), older) if older else {}
    still = [replace(one, item=items.get(one.pk, one.item)) if one.fault == "older" else one for one in wrong]
    return [
        one
        for one in still
        if one.fault != "older" or (one.pk in items and judge(one.item, one.subject, now) == "older")
    ]


def drift_of(finding: Finding, now: datetime) -> Drift:
    subject = finding.subject
    unknown = subject is None or (isinstance(subject, Owner) and subject.customer_id is None)
    return Drift(
        kind="orphan" if unknown else "cache_mismatch",
        object_type="api_key" if finding.pk.startswith("K#") else "snapshot",
        object_id=name_of(finding.pk),
        before=told(finding.item, now),
        after=should_be(subject, now),
        user_id=subject.snapshot.user_id if isinstance(subject, Owner) else None,
        project_id=_project(finding.item, subject),
        reason=finding.fault or "unknown",
    )


def should_be(subject: Subject, now: datetime) -> dict[str, Any]:
    """What the store says, as `told` tells it."""
    match subject:
        case Owner(snapshot):
            return told(snapshot_to_item(SnapshotItem.of(snapshot, now)), now)
        case KeyRecord():
            return told(key_to_item(subject), now)
        case None:
            return {}


def _project(item: Item, subject: Subject) -> str | None:
    match subject:
        case Owner(snapshot):
            return snapshot.project_id
        case KeyRecord():
            return subject.project_id
        case None:
            return _said_project(item)


def _said_project(item: Item) -> str | None:
    said = item.get("p", {}).get("S")
    return str(said) if said is not None and _PROJECT_ID.fullmatch(said) else None


def _opens_nothing(item: Item) -> bool:
    return bool(item.get("r", {}).get("S") == "admin")


def _pk(item: Item) -> str:
    return str(item["pk"]["S"])
