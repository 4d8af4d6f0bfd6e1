"""The audit's hash chain: each entry's SHA-256 covers the entry and the hash before it, from a row of zeros on.

Whoever edits, drops, adds or moves an entry breaks the chain at a place that `follow` names. Whoever rewrites all of it
from some entry on, the stored head included, is found only by a hash that was kept elsewhere (a `Mark`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from billing.domain.windows import rfc3339

BreakKind = Literal["edited", "missing", "unlinked", "cut", "beyond_head", "head_differs", "no_head"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one link of a chain says. `before` and `after` are JSON texts, hashed as they are written."""

    chain: str
    seq: int
    at: datetime
    actor: str
    key_id: str | None
    action: str
    target: str
    reason: str | None
    before: str | None
    after: str | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Link:
    """An entry with the hashes that were stored beside it."""

    entry: Entry
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a chain: `hash` is that of entry `seq`. Kept outside the database, it is an anchor."""

    seq: int
    hash: bytes


START = Mark(0, bytes(32))
"""Where every chain begins."""


@dataclass(frozen=True, slots=True)
class Break:
    """The first place that does not fit: entry `seq`, and what was found there."""

    seq: int
    kind: BreakKind
    detail: str


def to_text(document: Mapping[str, Any]) -> str:
    """The one JSON text of a document: members sorted, ASCII, instants in RFC 3339.

    Raises TypeError or ValueError for what JSON cannot say (NaN too).
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_instant)


def hash_of(entry: Entry, previous: bytes) -> bytes:
    """SHA-256 over the sorted members, the previous hash among them. The instant has its microseconds always."""
    at = entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    members = {**asdict(entry), "at": at, "previous_hash": previous.hex()}
    return hashlib.sha256(to_text(members).encode()).digest()


def linked(entry: Entry, previous: bytes) -> Link:
    return Link(entry, previous, hash_of(entry, previous))


def follow(mark: Mark, links: Iterable[Link]) -> Mark | Break:
    """Walk the links that come after `mark`, in their stored order: the last one's mark, or the first fault."""
    for link in links:
        fault = _fault(mark, link)
        if fault is not None:
            return fault
        mark = Mark(link.entry.seq, link.hash)
    return mark


def settle(reached: Mark, head: Mark) -> Break | None:
    """Whether a walk of all entries up to the head ended where the head says."""
    if reached.seq > head.seq:
        detail = f"the chain had {reached.seq} entries once, its head says {head.seq}: those after it were deleted"
        return Break(head.seq + 1, "cut", detail)
    if reached.seq < head.seq:
        detail = f"the chain ends with entry {reached.seq}, its head says {head.seq}: the entries after it were deleted"
        return Break(reached.seq + 1, "cut", detail)
    if reached.hash != head.hash:
        detail = "its hash is not the head's: entries were rewritten up to the last, or the head was"
        return Break(reached.seq, "head_differs", detail)
    return None


def _fault(mark: Mark, link: Link) -> Break | None:
    seq, expected = link.entry.seq, mark.seq + 1
    if seq != expected:
        return Break(expected, "missing", f"entry {expected} was deleted or renumbered: the next one there is {seq}")
    if link.previous_hash != mark.hash:
        detail = f"it does not follow entry {mark.seq}: entries were reordered, replaced or put in here"
        return Break(seq, "unlinked", detail)
    if link.hash != hash_of(link.entry, mark.hash):
        return Break(seq, "edited", "its members are not those that were hashed: the entry was edited")
    return None


def _instant(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    raise TypeError(f"{type(value).__name__} has no place in the audit: give JSON values and instants")
