"""Projects and their API keys. A key is shown once: only its SHA-256 is kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from billing.domain import keys
from billing.domain.origins import parse_origin
from billing.errors import FieldFault, Refused
from billing.store import keys as stored_keys
from billing.store import outbox, projects
from billing.store.connection import transaction
from billing.usecases.publish_outbox import Publisher, publish_project


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is the key itself: hand it over now, it cannot be shown again."""

    id: str
    secret: str


def create_project(
    database_url: str, *, project_id: str, name: str, allowed_origins: list[str], namespace: str | None = None
) -> bool:
    """False where the project exists already; it is left as it is. `namespace` defaults to the project's own id.

    Raises Refused (`invalid_request`) for an origin that is none.
    """
    faults = tuple(
        FieldFault(f"/allowed_origins/{place}", "an origin is https://host[:port], or http:// on localhost")
        for place, origin in enumerate(allowed_origins)
        if parse_origin(origin) is None
    )
    if faults:
        raise Refused("invalid_request", "an allowed origin is not one", fields=faults)
    with transaction(database_url) as connection:
        return projects.insert_project(
            connection,
            project_id=project_id,
            name=name,
            namespace=namespace or project_id,
            allowed_origins=allowed_origins,
        )


def create_key(
    database_url: str,
    *,
    project_id: str | None,
    name: str,
    mode: keys.Mode,
    expires_at: datetime | None = None,
) -> NewKey:
    """A key of the project, or an admin key where `project_id` is None. Usable at once: a miss reads the store."""
    secret = keys.mint(mode, project_id, secrets.token_bytes(keys.RANDOM_BYTES))
    key_id = f"key_{secrets.token_hex(8)}"
    with transaction(database_url) as connection:
        if project_id is not None and projects.find_project(connection, project_id) is None:
            raise Refused("project_not_found", f"there is no project {project_id}: create it first")
        stored_keys.insert_key(
            connection,
            key_id=key_id,
            digest=keys.digest(secret),
            role="admin" if project_id is None else "project",
            project_id=project_id,
            name=name,
            mode=mode,
            expires_at=expires_at,
        )
    return NewKey(key_id, secret)


def revoke_key(publisher: Publisher, project_id: str, key_id: str, now: datetime) -> None:
    """Refused from the next request on: done only once the cache knows it. Safe to repeat. Raises Transient."""
    with transaction(publisher.database_url) as connection:
        if stored_keys.revoke_key(connection, key_id, now):
            outbox.owe_project(connection, project_id, cause_kind="key", cause_id=key_id)
    publish_project(publisher, project_id, now)
