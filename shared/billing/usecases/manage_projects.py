"""Projects and API keys. A key is shown once: only its SHA-256 is kept. Every change is in the audit log."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from billing.domain import keys
from billing.domain.origins import parse_origin
from billing.domain.windows import rfc3339
from billing.errors import FieldFault, Refused
from billing.store import audit, outbox, projects
from billing.store import keys as stored_keys
from billing.store.connection import Connection, transaction
from billing.store.keys import KeyRow
from billing.store.projects import Project
from billing.usecases.operator import BILLING, Operator
from billing.usecases.publish_outbox import Publisher, publish_project


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is the key itself: hand it over now, it cannot be shown again."""

    id: str
    secret: str


# --- projects ------------------------------------------------------------------------------------------------------


def create_project(
    database_url: str, *, project_id: str, name: str, allowed_origins: list[str], namespace: str | None = None
) -> bool:
    """False where the project exists already; it is left as it is. Raises as `add_project`."""
    with transaction(database_url) as connection:
        if projects.find_project(connection, project_id) is not None:
            return False
        try:
            add_project(connection, project_id, name, allowed_origins, namespace, BILLING, datetime.now(UTC))
        except Refused as refusal:
            if refusal.code != "project_exists":
                raise
            return False
    return True


def add_project(
    connection: Connection,
    project_id: str,
    name: str,
    allowed_origins: list[str],
    namespace: str | None,
    by: Operator,
    now: datetime,
) -> Project:
    """`namespace` defaults to the project's own id.

    Raises Refused (`project_exists`; `invalid_request` for an origin that is none).
    """
    _check_origins(allowed_origins)
    added = projects.insert_project(
        connection, project_id=project_id, name=name, namespace=namespace or project_id, allowed_origins=allowed_origins
    )
    if not added:
        raise Refused("project_exists", f"there is a project {project_id} already: change it by PATCH")
    project = _project(connection, project_id)
    audit.append(connection, by.act("project.create", project_id, project_id=project_id, after=_told(project)), now)
    return project


def change_project(
    connection: Connection,
    project_id: str,
    by: Operator,
    now: datetime,
    *,
    name: str | None = None,
    allowed_origins: list[str] | None = None,
    status: Literal["active", "suspended"] | None = None,
    reason: str | None = None,
) -> Project:
    """What is None stays. Publish the project afterwards: a suspended one's keys open nothing from then on.

    Raises Refused (`project_not_found`, `invalid_request`).
    """
    _check_origins(allowed_origins or [])
    before = projects.lock_project(connection, project_id)
    if before is None:
        raise no_project(project_id)
    after = replace(
        before,
        name=before.name if name is None else name,
        allowed_origins=before.allowed_origins if allowed_origins is None else allowed_origins,
        status=before.status if status is None else status,
    )
    if after == before:
        return before
    projects.update_project(connection, after)
    projects.bump_epoch(connection, project_id, now)
    outbox.owe_project(connection, project_id, cause_kind="project", cause_id=project_id)
    act = by.act(
        "project.update", project_id, project_id=project_id, reason=reason, before=_told(before), after=_told(after)
    )
    audit.append(connection, act, now)
    return _project(connection, project_id)


def no_project(project_id: str) -> Refused:
    return Refused("project_not_found", f"there is no project {project_id}: create it first")


def _project(connection: Connection, project_id: str) -> Project:
    project = projects.find_project(connection, project_id)
    if project is None:
        raise no_project(project_id)
    return project


def _check_origins(origins: list[str]) -> None:
    faults = tuple(
        FieldFault(f"/allowed_origins/{place}", "an origin is https://host[:port], or http:// on localhost")
        for place, origin in enumerate(origins)
        if parse_origin(origin) is None
    )
    if faults:
        raise Refused("invalid_request", "an allowed origin is not one", fields=faults)


def _told(project: Project) -> Mapping[str, Any]:
    return {
        "name": project.name,
        "namespace": project.namespace,
        "allowed_origins": project.allowed_origins,
        "status": project.status,
    }


# --- keys ----------------------------------------------------------------------------------------------------------


def create_key(
    database_url: str,
    *,
    project_id: str | None,
    name: str,
    mode: keys.Mode,
    expires_at: datetime | None = None,
) -> NewKey:
    """A key of the project, or an admin key where `project_id` is None. Raises as `add_key`."""
    with transaction(database_url) as connection:
        return add_key(connection, project_id, name, mode, expires_at, BILLING, datetime.now(UTC))


def add_key(
    connection: Connection,
    project_id: str | None,
    name: str,
    mode: keys.Mode,
    expires_at: datetime | None,
    by: Operator,
    now: datetime,
) -> NewKey:
    """A new key; an admin key where `project_id` is None. Usable once committed: a miss reads the store.

    Raises Refused (`project_not_found`).
    """
    if project_id is not None:
        _project(connection, project_id)
    made = _insert(connection, project_id, name, mode, expires_at)
    after = {"name": name, "expires_at": _instant(expires_at)}
    audit.append(connection, by.act("key.create", made.id, project_id=project_id, after=after), now)
    return made


def rotate_key(
    connection: Connection, project_id: str | None, key_id: str, overlap: timedelta, by: Operator, now: datetime
) -> NewKey:
    """A new key of the same name; the old one ends when `overlap` is over, if it does not end sooner.

    Publish the project afterwards. Raises Refused (`key_not_found`, `key_revoked`).
    """
    old = _lock(connection, project_id, key_id)
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise Refused("key_revoked", f"{key_id} opens nothing any more: create a new key instead")
    end = min(now + overlap, old.expires_at or now + overlap)
    stored_keys.expire_key(connection, key_id, end)
    made = _insert(connection, project_id, old.name, old.mode, None)
    _owe(connection, project_id, key_id)
    act = by.act(
        "key.rotate",
        key_id,
        project_id=project_id,
        before={"expires_at": _instant(old.expires_at)},
        after={"expires_at": _instant(end), "successor": made.id},
    )
    audit.append(connection, act, now)
    return made


def end_key(
    connection: Connection, project_id: str | None, key_id: str, by: Operator, now: datetime, reason: str | None = None
) -> KeyRow:
    """Revoked: it opens nothing once the project is published. The same again changes nothing.

    Raises Refused (`key_not_found`; `last_admin_key` where nobody could come in afterwards).
    """
    if project_id is None:
        stored_keys.lock_admin_keys(connection)
    row = _lock(connection, project_id, key_id)
    if row.revoked_at is None:
        if project_id is None and not stored_keys.another_admin_key(connection, key_id, now):
            raise Refused("last_admin_key", f"{key_id} is the last admin key that lives: create another one first")
        stored_keys.revoke_key(connection, key_id, now)
        _owe(connection, project_id, key_id)
        audit.append(connection, by.act("key.revoke", key_id, project_id=project_id, reason=reason), now)
    return _lock(connection, project_id, key_id)


def first_admin_key(database_url: str, name: str, mode: keys.Mode, now: datetime) -> NewKey:
    """The key to begin with. Raises Refused (`admin_key_exists`) while any admin key lives."""
    with transaction(database_url) as connection:
        stored_keys.lock_admin_keys(connection)
        if stored_keys.another_admin_key(connection, "", now):
            raise Refused("admin_key_exists", "an admin key lives: create more with it, by POST /api/v1/admin/keys")
        return add_key(connection, None, name, mode, None, Operator("bootstrap"), now)


def revoke_key(publisher: Publisher, project_id: str, key_id: str, now: datetime) -> None:
    """Refused from the next request on: done once the cache knows it. Safe to repeat. Raises Transient, Refused."""
    with transaction(publisher.database_url) as connection:
        end_key(connection, project_id, key_id, BILLING, now)
    publish_project(publisher, project_id, now)


def _insert(
    connection: Connection, project_id: str | None, name: str, mode: keys.Mode, expires_at: datetime | None
) -> NewKey:
    made = NewKey(f"key_{secrets.token_hex(8)}", keys.mint(mode, project_id, secrets.token_bytes(keys.RANDOM_BYTES)))
    stored_keys.insert_key(
        connection,
        key_id=made.id,
        digest=keys.digest(made.secret),
        role="admin" if project_id is None else "project",
        project_id=project_id,
        name=name,
        mode=mode,
        expires_at=expires_at,
    )
    return made


def _lock(connection: Connection, project_id: str | None, key_id: str) -> KeyRow:
    row = stored_keys.lock_key(connection, key_id)
    if row is None or row.project_id != project_id:
        raise Refused("key_not_found", f"there is no key {key_id} here: list the keys for its id")
    return row


def _owe(connection: Connection, project_id: str | None, key_id: str) -> None:
    """Admin keys are in no cache."""
    if project_id is not None:
        outbox.owe_project(connection, project_id, cause_kind="key", cause_id=key_id)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
