"""API keys: looked up by the SHA-256 of the whole key, which is all that is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key with its project as of now. The project's members are None for an admin key."""

    id: str
    role: Literal["project", "admin"]
    name: str
    mode: Literal["live", "test"]
    version: int
    expires_at: datetime | None
    revoked_at: datetime | None
    project_id: str | None
    namespace: str | None
    allowed_origins: list[str] | None
    project_status: Literal["active", "suspended"] | None
    catalog_epoch: int | None
    digest: bytes


_COLUMNS = """
SELECT k.id, k.role, k.name, k.mode, k.version, k.expires_at, k.revoked_at, k.project_id,
       p.identity_namespace AS namespace, p.allowed_origins, p.status AS project_status, p.catalog_epoch, k.digest
FROM api_keys AS k LEFT JOIN projects AS p ON p.id = k.project_id
"""
_FIND = _COLUMNS + "WHERE k.digest = %s"
_OF_PROJECT = _COLUMNS + "WHERE k.project_id = %s ORDER BY k.id"
_INSERT = """
INSERT INTO api_keys (id, digest, role, project_id, name, mode, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_REVOKE = """
UPDATE api_keys SET revoked_at = %s, version = version + 1 WHERE id = %s AND revoked_at IS NULL RETURNING project_id
"""


def find_key(connection: Connection, digest: bytes) -> ApiKey | None:
    with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(_FIND, (digest,)).fetchone()


def keys_of_project(connection: Connection, project_id: str) -> list[ApiKey]:
    with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(_OF_PROJECT, (project_id,)).fetchall()


def insert_key(
    connection: Connection,
    *,
    key_id: str,
    digest: bytes,
    role: str,
    project_id: str | None,
    name: str,
    mode: str,
    expires_at: datetime | None = None,
) -> None:
    connection.execute(_INSERT, (key_id, digest, role, project_id, name, mode, expires_at))


def revoke_key(connection: Connection, key_id: str, at: datetime) -> bool:
    """From `at` on the key opens nothing. False where it is unknown or was revoked before."""
    return connection.execute(_REVOKE, (at, key_id)).rowcount == 1
