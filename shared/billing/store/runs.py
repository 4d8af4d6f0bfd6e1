"""Runs of the reconciliation: one at a time, held by a lease whose token every transaction of a run asks for first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.domain.drift import Progress, RunCause, RunStatus
from billing.errors import Transient
from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Run:
    """A run. `cut_at`: what was written since is left to events. `listing_hash` is SHA-256 over the listing's pages,
    `counts` how many drifts of each kind are in which status, `listed` the objects looked at.
    """

    id: str
    cause: RunCause
    actor: str
    project_id: str | None
    passes: list[str]
    dry_run: bool
    status: RunStatus
    cut_at: datetime
    started_at: datetime
    finished_at: datetime | None
    max_revocations: int | None
    approved_takes: int | None
    approved_by: str | None
    approved_at: datetime | None
    checkpoint: dict[str, Any]
    counts: dict[str, dict[str, int]]
    listing_hash: bytes | None
    listed: int
    error: str | None
    token: int

    @property
    def progress(self) -> Progress:
        return Progress.from_json(self.checkpoint)


_INSERT = """
INSERT INTO runs (id, cause, actor, project_id, passes, dry_run, max_revocations, cut_at, started_at)
VALUES (%(id)s, %(cause)s, %(actor)s, %(project_id)s, %(passes)s, %(dry_run)s, %(max_revocations)s, %(now)s, %(now)s)
ON CONFLICT DO NOTHING
"""


def insert_run(
    connection: Connection,
    run_id: str,
    *,
    cause: RunCause,
    actor: str,
    project_id: str | None,
    passes: Sequence[str],
    dry_run: bool,
    max_revocations: int | None,
    now: datetime,
) -> bool:
    """False: another run is at work."""
    members = {
        "id": run_id,
        "cause": cause,
        "actor": actor,
        "project_id": project_id,
        "passes": list(passes),
        "dry_run": dry_run,
        "max_revocations": max_revocations,
        "now": now,
    }
    return connection.execute(_INSERT, members).rowcount == 1


_SELECT = """
SELECT id, cause, actor, project_id, passes, dry_run, status, cut_at, started_at, finished_at, max_revocations,
       approved_takes, approved_by, approved_at, checkpoint, counts, listing_hash, listed, error, token
FROM runs
"""
_FIND = _SELECT + "WHERE id = %s"
_AT_WORK = _SELECT + "WHERE status IN ('open', 'waiting')"
_LOCKED = _FIND + " FOR UPDATE"


def find_run(connection: Connection, run_id: str) -> Run | None:
    return _one(connection, _FIND, (run_id,))


def lock_run(connection: Connection, run_id: str) -> Run | None:
    return _one(connection, _LOCKED, (run_id,))


def run_at_work(connection: Connection) -> Run | None:
    """The one that is open or waiting, if there is one."""
    return _one(connection, _AT_WORK, ())


# By the database's own clock: two workers' clocks need not agree on when a lease ended.
_TAKE = """
UPDATE runs SET token = token + 1, holder = %s, lease_until = clock_timestamp() + %s
WHERE status = 'open' AND lease_until <= clock_timestamp() RETURNING id
"""
_HOLD = "SELECT true FROM runs WHERE id = %s AND token = %s AND status = 'open' FOR SHARE"
_RELEASE = "UPDATE runs SET lease_until = '-infinity', error = %s WHERE id = %s AND token = %s AND status = 'open'"


def take_lease(connection: Connection, holder: str, lease: timedelta) -> Run | None:
    """Take the open run, whose `token` is the new holder's then. None: there is none, or somebody works on it."""
    taken = connection.execute(_TAKE, (holder, lease)).fetchone()
    return None if taken is None else find_run(connection, taken[0])


def hold(connection: Connection, run: Run) -> None:
    """The first statement of every transaction of a run, if not `keep_progress`: nobody takes it over until the commit.

    Raises Transient (`run_taken_over`) where somebody did, or where the run was canceled.
    """
    if connection.execute(_HOLD, (run.id, run.token)).fetchone() is None:
        raise taken_over(run)


def release_lease(connection: Connection, run: Run, error: str | None) -> None:
    """For the next slice to begin at once. `error` is the code of what this one stumbled over."""
    connection.execute(_RELEASE, (error, run.id, run.token))


def taken_over(run: Run) -> Transient:
    return Transient("run_taken_over", f"{run.id} was canceled or another worker goes on with it: leave it alone")


_KEEP = """
UPDATE runs SET checkpoint = %(checkpoint)s, listed = listed + %(listed)s, error = NULL,
  listing_hash = COALESCE(%(listing_hash)s, listing_hash), lease_until = clock_timestamp() + %(lease)s
WHERE id = %(id)s AND token = %(token)s AND status = 'open'
"""


def keep_progress(
    connection: Connection,
    run: Run,
    progress: Progress,
    lease: timedelta,
    *,
    listed: int = 0,
    listing_hash: bytes | None = None,
) -> None:
    """The checkpoint, in the transaction of what it says is done; the lease starts anew. Raises as `hold`."""
    members = {"id": run.id, "token": run.token, "checkpoint": Jsonb(progress.to_json()), "lease": lease}
    if connection.execute(_KEEP, {**members, "listed": listed, "listing_hash": listing_hash}).rowcount != 1:
        raise taken_over(run)


_SETTLE = """
UPDATE runs SET status = %(status)s, counts = %(counts)s, error = %(error)s, lease_until = '-infinity',
  finished_at = CASE WHEN %(status)s = 'waiting' THEN NULL ELSE %(now)s::timestamptz END
WHERE id = %(id)s
"""


def settle_run(
    connection: Connection,
    run_id: str,
    status: RunStatus,
    counts: Mapping[str, Mapping[str, int]],
    *,
    now: datetime,
    error: str | None = None,
) -> None:
    """The run waits for a person, or is over. Its row is held or locked by this transaction."""
    members = {"id": run_id, "status": status, "counts": Jsonb(counts), "error": error, "now": now}
    connection.execute(_SETTLE, members)


_REOPEN = """
UPDATE runs SET status = 'open', approved_takes = %(takes)s, approved_by = %(actor)s, approved_at = %(now)s,
  cut_at = %(now)s, checkpoint = %(checkpoint)s, lease_until = '-infinity' WHERE id = %(id)s
"""


def reopen_run(
    connection: Connection, run_id: str, progress: Progress, *, takes: int, actor: str, now: datetime
) -> None:
    """A waiting run goes on from `progress`, with a new cut. Its row is locked by this transaction."""
    members = {"id": run_id, "takes": takes, "actor": actor, "now": now, "checkpoint": Jsonb(progress.to_json())}
    connection.execute(_REOPEN, members)


_HOLDERS = "SELECT count(*) FROM customers WHERE holdings <> '[]'"
_LAST_DONE = """
SELECT finished_at FROM runs WHERE status = 'done' AND NOT dry_run AND project_id IS NULL
ORDER BY started_at DESC LIMIT 1
"""


def count_holders(connection: Connection) -> int:
    """Customers who hold anything: read whole, once a run that wants to take from more than a few."""
    row = connection.execute(_HOLDERS).fetchone()
    return row[0] if row else 0


def last_done_at(connection: Connection) -> datetime | None:
    """When the last whole run ended that repaired what it found."""
    row = connection.execute(_LAST_DONE).fetchone()
    return row[0] if row else None


def _one(connection: Connection, statement: LiteralString, values: tuple[object, ...]) -> Run | None:
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(statement, values).fetchone()
