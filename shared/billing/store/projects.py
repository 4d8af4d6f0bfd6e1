"""Projects: micro-apps with their origins, their namespace and the epoch of their catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg.rows import class_row

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    name: str
    namespace: str
    allowed_origins: list[str]
    status: Literal["active", "suspended"]
    catalog_epoch: int


_COLUMNS = "SELECT id, name, identity_namespace AS namespace, allowed_origins, status, catalog_epoch FROM projects "
_FIND = _COLUMNS + "WHERE id = %s"
_INSERT = """
INSERT INTO projects (id, name, identity_namespace, allowed_origins) VALUES (%s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING
"""
_BUMP = """
UPDATE projects SET catalog_epoch = catalog_epoch + 1, catalog_changed_at = clock_timestamp() WHERE id = %s
"""
_NAMESPACE_EXISTS = "SELECT 1 FROM projects WHERE identity_namespace = %s LIMIT 1"


def find_project(connection: Connection, project_id: str) -> Project | None:
    with connection.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(_FIND, (project_id,)).fetchone()


def insert_project(
    connection: Connection, *, project_id: str, name: str, namespace: str, allowed_origins: list[str]
) -> bool:
    """False where a project of that id is already there; it is left as it is."""
    row = (project_id, name, namespace, allowed_origins)
    return connection.execute(_INSERT, row).rowcount == 1


def bump_epoch(connection: Connection, project_id: str) -> None:
    """Make every snapshot and key record of the project older than what is read from now on."""
    connection.execute(_BUMP, (project_id,))


def namespace_exists(connection: Connection, namespace: str) -> bool:
    return connection.execute(_NAMESPACE_EXISTS, (namespace,)).fetchone() is not None
