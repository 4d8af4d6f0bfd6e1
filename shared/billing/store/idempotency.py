"""Idempotency-Keys, one row each in the same database as the work they guard. Leases run on the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class KeyScope:
    """A key is a project's own, and of one route: the same words elsewhere are another key."""

    project_id: str
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    """`status` and `response` are None while the holder is at work, until `lease_until`."""

    body_digest: bytes
    holder: str
    lease_until: datetime
    status: int | None
    response: str | None


_CLAIM = """
INSERT INTO idempotency_keys AS held (project_id, route, key, body_digest, holder, lease_until)
VALUES (%s, %s, %s, %s, %s, clock_timestamp() + %s)
ON CONFLICT (project_id, route, key) DO UPDATE SET holder = EXCLUDED.holder, lease_until = EXCLUDED.lease_until
  WHERE held.status IS NULL AND held.lease_until <= clock_timestamp() AND held.body_digest = EXCLUDED.body_digest
RETURNING true
"""


def claim(connection: Connection, scope: KeyScope, body_digest: bytes, holder: str, lease: timedelta) -> bool:
    """Takes a new key, or one whose holder's lease has ended (the holder crashed) over for the same body."""
    row = connection.execute(
        _CLAIM,
        (scope.project_id, scope.route, scope.key, body_digest, holder, lease),
    ).fetchone()
    return row is not None


_FIND = """
SELECT body_digest, holder, lease_until, status, response FROM idempotency_keys
WHERE project_id = %s AND route = %s AND key = %s
"""


def find(connection: Connection, scope: KeyScope) -> KeyRow | None:
    with connection.cursor(row_factory=class_row(KeyRow)) as cursor:
        return cursor.execute(_FIND, (scope.project_id, scope.route, scope.key)).fetchone()


_SETTLE = """
UPDATE idempotency_keys SET status = %s, response = %s
WHERE project_id = %s AND route = %s AND key = %s AND holder = %s AND status IS NULL
"""


def settle(connection: Connection, scope: KeyScope, holder: str, status: int, response: str) -> bool:
    """Stores the outcome; False where another holder took over meanwhile. Call it in the transaction of the work."""
    done = connection.execute(_SETTLE, (status, response, scope.project_id, scope.route, scope.key, holder))
    return done.rowcount == 1


_RELEASE = """
DELETE FROM idempotency_keys
WHERE project_id = %s AND route = %s AND key = %s AND holder = %s AND status IS NULL
"""


def release(connection: Connection, scope: KeyScope, holder: str) -> None:
    """Gives a claimed key back, so that the request can be sent again; nothing where it is no longer held."""
    connection.execute(_RELEASE, (scope.project_id, scope.route, scope.key, holder))


_PRUNE = """
DELETE FROM idempotency_keys WHERE (project_id, route, key) IN (
  SELECT project_id, route, key FROM idempotency_keys WHERE created_at < clock_timestamp() - %s
  ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""


def prune(connection: Connection, older_than: timedelta) -> int:
    """Forgets at most 1,000 keys older than that; the number forgotten."""
    return connection.execute(_PRUNE, (older_than,)).rowcount
