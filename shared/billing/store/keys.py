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


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as operators see it: never the key itself, nor its digest."""

    id: str
    role: Literal["project", "admin"]
    project_id: str | None
    name: str
    mode: Literal["live", "test"]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


_COLUMNS = """
SELECT k.id, k.role, k.name, k.mode, k.version, k.expires_at, k.revoked_at, k.project_id,
       p.identity_namespace AS namespace, p.allowed_origins, p.status AS project_status, p.catalog_epoch, k.digest
FROM api_keys AS k LEFT JOIN projects AS p ON p.id = k.project_id
"""
_FIND = _COLUMNS + "WHERE k.digest = %s"
_FIND_MANY = _COLUMNS + "WHERE k.digest = ANY(%s)"
_OF_PROJECT = _COLUMNS + "WHERE k.project_id = %s ORDER BY k.id"
_INSERT = """
INSERT INTO api_keys (id, digest, role, project_id, name, mode, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_REVOKE = """
UPDATE api_keys SET revoked_at = %s, version = version + 1 WHERE id = %s AND revoked_at IS NULL RETURNING project_id
"""

_ROW = "SELECT id, role, project_id, name, mode, created_at, expires_at, revoked_at FROM api_keys "
_LOCK_KEY = _ROW + "WHERE id = %s FOR UPDATE"
_LIST = _ROW + "WHERE project_id = %s AND id > %s ORDER BY id LIMIT %s"
_LIST_ADMIN = _ROW + "WHERE role = 'admin' AND id > %s ORDER BY id LIMIT %s"
_EXPIRE = "UPDATE api_keys SET expires_at = %s, version = version + 1 WHERE id = %s"
_LOCK_ADMIN_KEYS = "SELECT pg_advisory_xact_lock(hashtextextended('billing: admin keys', 0))"
_ANOTHER_ADMIN = """
SELECT 1 FROM api_keys
WHERE role = 'admin' AND id <> %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %s) LIMIT 1
"""


def find_key(connection: Connection, digest: bytes) -> ApiKey | None:
    with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(_FIND, (digest,)).fetchone()


def find_keys(connection: Connection, digests: list[bytes]) -> dict[bytes, ApiKey]:
    """Those of them that there are, by digest."""
    with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        return {key.digest: key for key in cursor.execute(_FIND_MANY, (digests,)).fetchall()}


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


def lock_key(connection: Connection, key_id: str) -> KeyRow | None:
    with connection.cursor(row_factory=class_row(KeyRow)) as cursor:
        return cursor.execute(_LOCK_KEY, (key_id,)).fetchone()


def list_keys(connection: Connection, project_id: str | None, *, after: str, limit: int) -> list[KeyRow]:
    """A project's keys, or (None) the admin keys, in order of their ids, those behind `after` ("" for the first)."""
    with connection.cursor(row_factory=class_row(KeyRow)) as cursor:
        if project_id is None:
            return cursor.execute(_LIST_ADMIN, (after, limit)).fetchall()
        return cursor.execute(_LIST, (project_id, after, limit)).fetchall()


def expire_key(connection: Connection, key_id: str, at: datetime) -> None:
    """From `at` on, exactly, the key opens nothing."""
    connection.execute(_EXPIRE, (at, key_id))


def lock_admin_keys(connection: Connection) -> None:
    """One transaction at a time counts and changes the admin keys."""
    connection.execute(_LOCK_ADMIN_KEYS)


def another_admin_key(connection: Connection, key_id: str, at: datetime) -> bool:
    """Whether an admin key other than this one opens something at `at`."""
    return connection.execute(_ANOTHER_ADMIN, (key_id, at)).fetchone() is not None
