"""The audit: acts of operators, added to one hash chain a project. Nothing here changes or deletes a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.domain.audit import START, Entry, Link, Mark, linked, to_text
from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did. `chain` is the project's id, "" for what belongs to no project.

    `actor` is the admin key's name (`bootstrap` and `billing` are ours), `before` and `after` the state of `target`:
    never secrets, e-mail addresses or payloads.
    """

    chain: str
    actor: str
    key_id: str | None
    action: str
    target: str
    reason: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list stands: after this row, newest first."""

    at: datetime
    chain: str
    seq: int


_HEAD = "SELECT seq, hash, at FROM audit_heads WHERE chain = %s FOR UPDATE"
_FIRST_HEAD = """
INSERT INTO audit_heads (chain, seq, at, hash) VALUES (%s, %s, %s, %s) ON CONFLICT (chain) DO NOTHING
"""
_APPEND = """
WITH appended AS (
  INSERT INTO audit (chain, seq, at, actor, key_id, action, target, reason, before, after, request_id, previous_hash,
                     hash)
  VALUES (%(chain)s, %(seq)s, %(at)s, %(actor)s, %(key_id)s, %(action)s, %(target)s, %(reason)s, %(before)s, %(after)s,
          %(request_id)s, %(previous_hash)s, %(hash)s)
)
UPDATE audit_heads SET seq = %(seq)s, at = %(at)s, hash = %(hash)s WHERE chain = %(chain)s
"""


def append(connection: Connection, act: Act, now: datetime) -> None:
    """Add an act to its chain, in the transaction of what was done and as its last statement.

    Writers of a chain wait for each other here until the commit: the audit's order is the order of commits. Its clock
    never goes back, so an act of a slow clock is dated like the one before it.
    """
    head, last = _lock_head(connection, act.chain, now)
    entry = Entry(
        chain=act.chain,
        seq=head.seq + 1,
        at=max(now, last),
        actor=act.actor,
        key_id=act.key_id,
        action=act.action,
        target=act.target,
        reason=act.reason,
        before=None if act.before is None else to_text(act.before),
        after=None if act.after is None else to_text(act.after),
        request_id=act.request_id,
    )
    connection.execute(_APPEND, _row(linked(entry, head.hash)))


def _lock_head(connection: Connection, chain: str, now: datetime) -> tuple[Mark, datetime]:
    row = connection.execute(_HEAD, (chain,)).fetchone()
    if row is None:
        connection.execute(_FIRST_HEAD, (chain, START.seq, now, START.hash))
        row = connection.execute(_HEAD, (chain,)).fetchone()
    if row is None:
        raise LookupError(f"the head of audit chain {chain!r} vanished: heads are never deleted")
    seq, digest, at = row
    return Mark(seq, digest), at


def _row(link: Link) -> dict[str, Any]:
    members = {name: getattr(link.entry, name) for name in Entry.__dataclass_fields__}
    return {**members, "previous_hash": link.previous_hash, "hash": link.hash}


_COLUMNS = """
SELECT chain, seq, at, actor, key_id, action, target, reason, before::text, after::text, request_id, previous_hash, hash
FROM audit
"""
_SLICE = _COLUMNS + "WHERE chain = %s AND seq > %s AND seq <= %s ORDER BY seq LIMIT %s"
# A filter that is not asked for is NULL, and gone before the plan is made: each of the others has its index.
_LIST = (
    _COLUMNS
    + """
WHERE (%(chain)s::text IS NULL OR chain = %(chain)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(targets)s::text[] IS NULL OR target = ANY(%(targets)s))
  AND (%(actor)s::text IS NULL OR actor = %(actor)s)
  AND (%(at)s::timestamptz IS NULL OR (at, chain, seq) < (%(at)s, %(after_chain)s, %(after_seq)s))
ORDER BY at DESC, chain DESC, seq DESC LIMIT %(limit)s
"""
)


def list_acts(
    connection: Connection,
    *,
    chain: str | None = None,
    action: str | None = None,
    targets: list[str] | None = None,
    actor: str | None = None,
    after: Place | None = None,
    limit: int,
) -> list[Link]:
    """Newest first, those after `after`; each filter that is given must fit exactly."""
    asked = {"chain": chain, "action": action, "targets": targets, "actor": actor, "limit": limit}
    at, after_chain, after_seq = (None, None, None) if after is None else (after.at, after.chain, after.seq)
    place = {"at": at, "after_chain": after_chain, "after_seq": after_seq}
    return [_link(row) for row in connection.execute(_LIST, {**asked, **place}).fetchall()]


def links_after(connection: Connection, chain: str, seq: int, *, until: int, limit: int) -> list[Link]:
    """The chain's entries after `seq` and up to `until`, in order."""
    return [_link(row) for row in connection.execute(_SLICE, (chain, seq, until, limit)).fetchall()]


def _link(row: tuple[Any, ...]) -> Link:
    *members, previous_hash, digest = row
    return Link(Entry(*members), previous_hash, digest)


# One statement, so that head and end are of one instant though writers are at work. The walk over the chains takes one
# step of the primary key a chain, however long each is; a chain whose head was deleted is found by its rows.
_CHAINS = """
WITH RECURSIVE walk AS (
  (SELECT chain FROM audit ORDER BY chain LIMIT 1)
  UNION ALL
  SELECT (SELECT a.chain FROM audit AS a WHERE a.chain > walk.chain ORDER BY a.chain LIMIT 1)
  FROM walk WHERE walk.chain IS NOT NULL
)
SELECT chain FROM walk WHERE chain IS NOT NULL UNION SELECT chain FROM audit_heads ORDER BY chain
"""
_END = """
SELECT h.seq, h.hash, (SELECT max(seq) FROM audit WHERE chain = %(chain)s)
FROM (SELECT) AS one LEFT JOIN audit_heads AS h ON h.chain = %(chain)s
"""


_HEADS = "SELECT chain, seq, hash FROM audit_heads ORDER BY chain"


@dataclass(frozen=True, slots=True)
class End:
    """The head of a chain (None: it has none) and the number of its last entry (0: it has none), at one instant."""

    head: Mark | None
    last: int


def chains(connection: Connection) -> list[str]:
    """Every chain there is, by its rows or by its head."""
    return [row[0] for row in connection.execute(_CHAINS).fetchall()]


def heads(connection: Connection) -> dict[str, Mark]:
    """The head of every chain that has one."""
    return {chain: Mark(seq, digest) for chain, seq, digest in connection.execute(_HEADS).fetchall()}


def end_of(connection: Connection, chain: str) -> End:
    row = connection.execute(_END, {"chain": chain}).fetchone()
    seq, digest, last = row if row is not None else (None, None, None)
    return End(None if seq is None else Mark(seq, digest), last or 0)
