"""Who is applying a catalog to a project: one at a time. Leases run on the database's clock."""

from __future__ import annotations

from datetime import timedelta

from billing.store.connection import Connection

_CLAIM = """
INSERT INTO catalog_applies AS held (project_id, holder, digest, lease_until)
VALUES (%s, %s, %s, clock_timestamp() + %s)
ON CONFLICT (project_id) DO UPDATE
  SET holder = EXCLUDED.holder, digest = EXCLUDED.digest, lease_until = EXCLUDED.lease_until
  WHERE held.lease_until <= clock_timestamp() OR held.digest = EXCLUDED.digest
RETURNING true
"""
_RENEW = "UPDATE catalog_applies SET lease_until = clock_timestamp() + %s WHERE project_id = %s AND holder = %s"
_END = "DELETE FROM catalog_applies WHERE project_id = %s AND holder = %s"


def claim(connection: Connection, project_id: str, holder: str, digest: bytes, lease: timedelta) -> bool:
    """Takes the project's turn; from another holder only once its lease is over, or if it applies the very same.

    Two who apply the same do each other no harm: whoever claimed last is the one that finishes.
    """
    return connection.execute(_CLAIM, (project_id, holder, digest, lease)).fetchone() is not None


def renew(connection: Connection, project_id: str, holder: str, lease: timedelta) -> bool:
    """False: the turn is another's by now."""
    return connection.execute(_RENEW, (lease, project_id, holder)).rowcount == 1


def end(connection: Connection, project_id: str, holder: str) -> bool:
    """False: the turn is another's by now. In the transaction of the work it keeps a late holder from committing."""
    return connection.execute(_END, (project_id, holder)).rowcount == 1
