"""Reading key and snapshot in one round trip, and putting either only if newer (SPEC §5, I1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from billing.cache.client import Client, Pass, batch_get, claim, projected, put_if_newer
from billing.cache.item import (
    CLAIM,
    Glimpse,
    KeyRecord,
    SnapshotItem,
    fenced_at,
    glimpse,
    key_from_item,
    key_pk,
    key_to_item,
    milliseconds,
    snapshot_from_item,
    snapshot_pk,
    snapshot_to_item,
)
from billing.domain import keys
from billing.errors import Transient

# every attribute goes by an alias: DynamoDB reserves many short words
_COMMON = ("c", "v", "e", "f", "id", "n", "r", "p", "ns", "s", "m", "x", "rv", "a", "t0", "t1")
_NAMES = {f"#{name}": name for name in _COMMON}
_LIST_NAMES = {**_NAMES, "#b": "b", "#g": "g"}
_LIST = projected("pk," + ",".join(_LIST_NAMES), _LIST_NAMES)
_FEATURE = "?"  # stands for the code that is asked for; no code is written so
_QUOTED = json.dumps(_FEATURE)
_CHECK = projected("pk," + ",".join(_NAMES) + ",#k.#feature", {**_NAMES, "#k": "k", "#feature": _FEATURE})


class Found(NamedTuple):
    """What the table held of the two; None for absent and for unreadable alike: neither says no."""

    key: KeyRecord | None
    snapshot: Glimpse | None


class FoundMany(NamedTuple):
    """What the table held of many: `snapshots` by (user_id, feature), without those absent or unreadable."""

    key: KeyRecord | None
    snapshots: Mapping[tuple[str, str], Glimpse]


def read(client: Client, digest: bytes, tag: str, user_id: str, feature: str | None) -> Found:
    """The key's record and as much of the snapshot as the question needs: of `feature`, or (None) of all.

    Raises Transient.
    """
    key, snapshot = key_pk(digest), snapshot_pk(tag, user_id)
    if feature is None:
        items = batch_get(client, (key, snapshot), _LIST)
    else:
        items = batch_get(client, (key, snapshot), _CHECK.replace(_QUOTED, json.dumps(feature)))
    found_key, found_snapshot = items.get(key), items.get(snapshot)
    return Found(
        None if found_key is None else key_from_item(found_key),
        None if found_snapshot is None else glimpse(found_snapshot, feature),
    )


def read_many(client: Client, digest: bytes, tag: str, pairs: Iterable[tuple[str, str]]) -> FoundMany:
    """The key's record and, for each (user_id, feature), as much of the user's snapshot as that needs.

    One round trip for up to 99 users. Raises Transient.
    """
    asked = dict.fromkeys(pairs)
    key, owners = key_pk(digest), {user_id: snapshot_pk(tag, user_id) for user_id, _ in asked}
    aliases = {f"#k{place}": feature for place, feature in enumerate(sorted({feature for _, feature in asked}))}
    expression = ",".join(["pk", *_NAMES, *(f"#k.{alias}" for alias in aliases)])
    projection = projected(expression, {**_NAMES, "#k": "k", **aliases})
    items = batch_get(client, (key, *owners.values()), projection)
    glimpses = {
        (user_id, feature): glimpse(items[owners[user_id]], feature)
        for user_id, feature in asked
        if owners[user_id] in items
    }
    return FoundMany(
        key_from_item(items[key]) if key in items else None,
        {pair: seen for pair, seen in glimpses.items() if seen is not None},
    )


def read_snapshot(client: Client, tag: str, user_id: str) -> SnapshotItem | None:
    """The whole snapshot item, or None for absent and for unreadable alike. Raises Transient."""
    pk = snapshot_pk(tag, user_id)
    item = batch_get(client, (pk,)).get(pk)
    return None if item is None else snapshot_from_item(item)


def claim_key(client: Client, record: KeyRecord, now: datetime) -> bool:
    """Claim the refilling of a key's record; False: another reader is refilling it, or has. Raises Transient."""
    return _claim(client, key_pk(record.digest), record.fresh_until, now)


def claim_snapshot(client: Client, seen: Glimpse, now: datetime) -> bool:
    """Claim the refilling of a snapshot by the rules of `claim_key`."""
    return _claim(client, snapshot_pk(keys.tag(seen.project_id), seen.user_id), seen.fresh_until, now)


def put_snapshot(client: Client, item: SnapshotItem, *, refill: bool) -> SnapshotItem | None:
    """Put if newer; a refilling reader also if equal, else the item would never become fresh again.

    None: the table now holds this version or, for a writer, this or any newer one, or a fence that sends every reader
    to PostgreSQL. A refilling reader whose put was refused gets the newer item, and must answer with that. Raises
    Transient (`unreadable_newer`: there is a newer one, and nobody may answer with it).

    Where another project's tag collides, one of the two is not cached: its every read is a miss.
    """
    refused = put_if_newer(client, snapshot_to_item(item), or_equal=refill, fence_pass=_pass(item))
    if refused is None or not refill:
        return None
    behind = fenced_at(refused)
    if behind is not None and behind <= item.version:
        return None
    newer = snapshot_from_item(refused)
    if newer is None:
        raise _unreadable()
    return newer if newer.project_id == item.project_id else None


def put_key(client: Client, record: KeyRecord, *, refill: bool) -> KeyRecord | None:
    """Put a key's record by the rules of `put_snapshot`."""
    refused = put_if_newer(client, key_to_item(record), or_equal=refill)
    if refused is None or not refill:
        return None
    newer = key_from_item(refused)
    if newer is None:
        raise _unreadable()
    return newer


def _pass(item: SnapshotItem) -> Pass:
    """A snapshot's version is the customer's changes and the catalog's epoch: only the former say what a fence asks."""
    return Pass(item.version - item.epoch, milliseconds(item.read_at))


def _claim(client: Client, pk: str, fresh_until: datetime, now: datetime) -> bool:
    return claim(client, pk, milliseconds(fresh_until), milliseconds(now), milliseconds(now + CLAIM))


def _unreadable() -> Transient:
    """A newer release wrote it between our read of the store and our put: answering with ours would go back in time."""
    return Transient("unreadable_newer", "A newer answer was being written. Try again.")
