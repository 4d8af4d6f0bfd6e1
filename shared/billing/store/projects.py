"""Projects: micro-apps with their origins, their namespace and the epoch of their catalog."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from billing.store.connection import Connection
from billing.store.history import record_catalog


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
_LOCK = _COLUMNS + "WHERE id = %s FOR UPDATE"
_LIST = _COLUMNS + "WHERE id > %s ORDER BY id LIMIT %s"
_UPDATE = "UPDATE projects SET name = %s, allowed_origins = %s, status = %s WHERE id = %s"
_INSERT = """
INSERT INTO projects (id, name, identity_namespace, allowed_origins) VALUES (%s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING
"""
_BUMP = """
UPDATE projects SET catalog_epoch = catalog_epoch + 1, catalog_changed_at = GREATEST(catalog_changed_at, %s)
WHERE id = %s
"""
_NAMESPACE_EXISTS = "SELECT 1 FROM projects WHERE identity_namespace = %s LIMIT 1"


def find_project(connection: Connection, project_id: str) -> Project | None:
    with connection.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(_FIND, (project_id,)).fetchone()


def lock_project(connection: Connection, project_id: str) -> Project | None:
    """As `find_project`, with the row's lock until the transaction ends."""
    with connection.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(_LOCK, (project_id,)).fetchone()


def list_projects(connection: Connection, *, after: str, limit: int) -> list[Project]:
    """In order of their ids, those behind `after` ("" for the first)."""
    with connection.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(_LIST, (after, limit)).fetchall()


def update_project(connection: Connection, project: Project) -> None:
    """Name, origins and status as given. Call `bump_epoch` afterwards."""
    connection.execute(_UPDATE, (project.name, project.allowed_origins, project.status, project.id))


def insert_project(
    connection: Connection, *, project_id: str, name: str, namespace: str, allowed_origins: list[str]
) -> bool:
    """False where a project of that id is already there; it is left as it is."""
    row = (project_id, name, namespace, allowed_origins)
    if connection.execute(_INSERT, row).rowcount == 0:
        return False
    record_catalog(connection, project_id)
    return True


def bump_epoch(connection: Connection, project_id: str, now: datetime) -> None:
    """Make every snapshot and key record of the project older than what is read from now on.

    Call it after the transaction's last edit: the catalog as it then is goes into the history of this epoch.
    """
    connection.execute(_BUMP, (now, project_id))
    record_catalog(connection, project_id)


def namespace_exists(connection: Connection, namespace: str) -> bool:
    return connection.execute(_NAMESPACE_EXISTS, (namespace,)).fetchone() is not None
