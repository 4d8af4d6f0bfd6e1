"""Is an item what the store would put there? Only a fault that some reader or publisher would meet is one.

No fault is an item that nobody answers with and that the next put replaces: of another codec, behind a fence, or of a
catalog older than the project's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from billing.cache.client import Item
from billing.cache.item import (
    CODEC,
    FRESH,
    KeyRecord,
    SnapshotItem,
    fenced_at,
    key_to_item,
    milliseconds,
    snapshot_to_item,
)
from billing.domain.snapshot import Snapshot
from billing.domain.windows import from_microseconds

Fault = Literal["older", "newer", "differs", "unreadable", "fresh_too_long"]
"""`unreadable`: it has no version that is a number, so no put replaces it. `fresh_too_long`: nobody would ask again."""

SKEW = timedelta(minutes=1)
"""How far the clock of another writer may be ahead."""

_SNAPSHOT = ("c", "v", "e", "p", "a", "t0", "t1", "b", "g", "k", "d")
_KEY = ("c", "v", "e", "id", "n", "r", "m", "p", "ns", "s", "x", "rv")


def judge_snapshot(item: Item, snapshot: Snapshot, now: datetime) -> Fault | None:
    """`snapshot` was read from the store after the item was read from the cache."""
    version, epoch = number(item, "v"), number(item, "e")
    if version is None:
        return "unreadable"
    if (number(item, "w") or 0) > milliseconds(now):
        return None  # the fence stands: whoever raised it decides what comes after
    if version > snapshot.version:
        return "newer"
    if fenced_at(item) is not None or number(item, "c") != int(CODEC) or epoch is None:
        return None
    if version < snapshot.version:
        return None if epoch < snapshot.epoch else "older"
    expected = snapshot_to_item(SnapshotItem.of(snapshot, _made_for(item, now)))
    return _compared(item, expected, _SNAPSHOT, now)


def judge_key(item: Item, record: KeyRecord, now: datetime) -> Fault | None:
    """`record` was read from the store after the item was read from the cache."""
    version = number(item, "v")
    if version is None:
        return "unreadable"
    if version > record.version:
        return "newer"
    if number(item, "c") != int(CODEC):
        return None
    if version < record.version:
        return "older"
    return _compared(item, key_to_item(record), _KEY, now)


def number(item: Item, name: str) -> int | None:
    """An attribute that is a whole number; None where it is not, or not there."""
    text = item.get(name, {}).get("N", "")
    return int(text) if text.removeprefix("-").isdecimal() else None


def _compared(item: Item, expected: Item, names: tuple[str, ...], now: datetime) -> Fault | None:
    if any(item.get(name) != expected.get(name) for name in names):
        return "differs"
    fresh = number(item, "f")
    return "fresh_too_long" if fresh is None or fresh > milliseconds(now + FRESH + SKEW) else None


def _made_for(item: Item, now: datetime) -> datetime:
    """An instant at which the item's answers hold, by its own word: made again for it, they must be the same."""
    since = number(item, "t0")
    try:
        return now if since is None else from_microseconds(since)
    except OverflowError:
        return now
