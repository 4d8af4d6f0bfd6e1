"""Grants: what operators gave or denied by hand. A row is never deleted; taking it back is an instant in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.domain.catalog import Feature
from billing.store.connection import Connection

State = Literal["scheduled", "live", "ended", "revoked"]


@dataclass(frozen=True, slots=True)
class Grant:
    """A row with its user. `value` is None for a denial; `revoked_*` are None until it is taken back."""

    id: str
    customer_id: int
    project_id: str
    user_id: str
    feature: str
    value: Any
    denial: bool
    priority: int
    valid_from: datetime
    valid_to: datetime
    reason: str
    actor: str
    created_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_reason: str | None


@dataclass(frozen=True, slots=True)
class NewGrant:
    id: str
    customer_id: int
    project_id: str
    feature: str
    value: Any
    denial: bool
    priority: int
    valid_from: datetime
    valid_to: datetime
    reason: str
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Gate:
    """A project as grants see it: whose users it has, and what it gates."""

    project_id: str
    namespace: str
    features: Mapping[str, Feature]


# FOR SHARE: the catalog does not change under a grant's feet, so its value fits its feature when it is committed.
_GATES = "SELECT id, identity_namespace FROM projects WHERE id = ANY(%s) ORDER BY id FOR SHARE"
_FEATURES = "SELECT project_id, code, type, merge FROM features WHERE project_id = ANY(%s) AND code = ANY(%s)"


def lock_gates(connection: Connection, asked: Iterable[tuple[str, str]]) -> dict[str, Gate]:
    """The projects of these (project, feature) with those of the features that exist; a project not here is unknown."""
    pairs = set(asked)
    projects = sorted({project_id for project_id, _ in pairs})
    found = connection.execute(_GATES, (projects,)).fetchall()
    features = connection.execute(_FEATURES, (projects, sorted({code for _, code in pairs}))).fetchall()
    return {
        project_id: Gate(
            project_id,
            namespace,
            {code: Feature(code, kind, merge) for owner, code, kind, merge in features if owner == project_id},
        )
        for project_id, namespace in found
    }


_INSERT = """
INSERT INTO grants (id, customer_id, project_id, feature_code, value, denial, priority, valid_from, valid_to, reason,
                    actor, created_at)
VALUES (%(id)s, %(customer_id)s, %(project_id)s, %(feature)s, %(value)s, %(denial)s, %(priority)s, %(valid_from)s,
        %(valid_to)s, %(reason)s, %(actor)s, %(created_at)s)
"""
_REVOKE = """
UPDATE grants SET revoked_at = %s, revoked_by = %s, revoked_reason = %s WHERE id = %s AND revoked_at IS NULL
"""
_COLUMNS = """
SELECT g.id, g.customer_id, g.project_id, c.user_id, g.feature_code AS feature, g.value, g.denial, g.priority,
       g.valid_from, g.valid_to, g.reason, g.actor, g.created_at, g.revoked_at, g.revoked_by, g.revoked_reason
FROM grants AS g JOIN customers AS c ON c.id = g.customer_id
"""
_BY_ID = _COLUMNS + "WHERE g.id = ANY(%s) ORDER BY g.id"
_OF_FEATURE = _COLUMNS + "WHERE g.customer_id = %s AND g.project_id = %s AND g.feature_code = %s AND g.denial = %s "
_UNENDED = _OF_FEATURE + "AND g.revoked_at IS NULL AND g.valid_to > %s ORDER BY g.id"
_REVOKED_LAST = _OF_FEATURE + "AND g.revoked_at IS NOT NULL ORDER BY g.revoked_at DESC, g.id LIMIT 100"


def insert_grant(connection: Connection, grant: NewGrant) -> None:
    """Under the customer's row lock."""
    members = {name: getattr(grant, name) for name in NewGrant.__dataclass_fields__}
    connection.execute(_INSERT, {**members, "value": None if grant.denial else Jsonb(grant.value)})


def revoke_grant(connection: Connection, grant_id: str, at: datetime, by: str, reason: str) -> None:
    """Under the customer's row lock. One that was taken back before stays as it is."""
    connection.execute(_REVOKE, (at, by, reason, grant_id))


def find_grants(connection: Connection, ids: Iterable[str]) -> dict[str, Grant]:
    """Those of the ids that exist."""
    with connection.cursor(row_factory=class_row(Grant)) as cursor:
        return {grant.id: grant for grant in cursor.execute(_BY_ID, (sorted(set(ids)),)).fetchall()}


def grants_of_feature(
    connection: Connection, customer_id: int, project_id: str, feature: str, *, denial: bool, now: datetime
) -> list[Grant]:
    """The grants (or denials) that a revocation at `now` is about: those that have not ended and are not taken back.

    Where there is none: those that were taken back last, so that the same request again gets the same answer.
    """
    asked = (customer_id, project_id, feature, denial)
    with connection.cursor(row_factory=class_row(Grant)) as cursor:
        unended = cursor.execute(_UNENDED, (*asked, now)).fetchall()
        if unended:
            return unended
        last = cursor.execute(_REVOKED_LAST, asked).fetchall()
    return [grant for grant in last if grant.revoked_at == last[0].revoked_at]


_LIST = (
    _COLUMNS
    + """
WHERE (%(project_id)s::text IS NULL OR g.project_id = %(project_id)s)
  AND (%(customer_id)s::bigint IS NULL OR g.customer_id = %(customer_id)s)
  AND CASE %(state)s::text
        WHEN 'revoked' THEN g.revoked_at IS NOT NULL
        WHEN 'scheduled' THEN g.revoked_at IS NULL AND g.valid_from > %(now)s
        WHEN 'ended' THEN g.revoked_at IS NULL AND g.valid_to <= %(now)s
        WHEN 'live' THEN g.revoked_at IS NULL AND g.valid_from <= %(now)s AND g.valid_to > %(now)s
        ELSE true END
  AND (%(at)s::timestamptz IS NULL OR (g.created_at, g.id) < (%(at)s, %(id)s))
ORDER BY g.created_at DESC, g.id DESC LIMIT %(limit)s
"""
)


def list_grants(
    connection: Connection,
    *,
    project_id: str | None,
    customer_id: int | None,
    state: State | None,
    now: datetime,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Grant]:
    """Newest first, those after (created_at, id) `after`."""
    at, grant_id = after if after is not None else (None, None)
    asked = {"project_id": project_id, "customer_id": customer_id, "state": state, "now": now, "limit": limit}
    with connection.cursor(row_factory=class_row(Grant)) as cursor:
        return cursor.execute(_LIST, {**asked, "at": at, "id": grant_id}).fetchall()
