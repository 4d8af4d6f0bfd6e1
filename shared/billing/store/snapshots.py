"""Everything an answer rests on, read in one statement: one consistent instant of holdings, version and catalog."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.domain.holdings import from_json
from billing.domain.snapshot import Snapshot, build
from billing.store.catalog import catalog_from_rows
from billing.store.connection import Connection

# Policies only of the prices that are held: a project may have thousands. Intervals go out as seconds.
_STATE = """
SELECT p.id, %(user_id)s::text, p.catalog_epoch, p.catalog_changed_at,
       COALESCE(c.version, 0), COALESCE(c.holdings, '[]'), c.changed_at,
       (SELECT COALESCE(jsonb_agg(jsonb_build_array(f.code, f.type, f.merge)), '[]')
          FROM features AS f WHERE f.project_id = p.id),
       (SELECT COALESCE(jsonb_agg(jsonb_build_array(b.product_id, b.price_id, b.feature_code, b.value, b.per_unit,
                                                    b.priority)), '[]')
          FROM benefits AS b WHERE b.project_id = p.id),
       (SELECT COALESCE(jsonb_agg(jsonb_build_array(r.id, EXTRACT(epoch FROM r.grace_period),
                                                    EXTRACT(epoch FROM r.renewal_leeway), r.access_days,
                                                    r.on_full_refund, r.on_partial_refund)), '[]')
          FROM prices AS r
          WHERE r.id IN (SELECT h ->> 'price_id' FROM jsonb_array_elements(c.holdings) AS h)
            AND num_nonnulls(r.grace_period, r.renewal_leeway, r.access_days, r.on_full_refund,
                             r.on_partial_refund) > 0)
FROM projects AS p
"""
_OF_USER = (
    _STATE
    + """
LEFT JOIN customers AS c ON c.namespace = p.identity_namespace AND c.user_id = %(user_id)s
WHERE p.id = %(project_id)s
"""
)
_OF_CUSTOMER = (
    _STATE.replace("%(user_id)s::text", "c.user_id")
    + """
JOIN customers AS c ON c.namespace = p.identity_namespace
WHERE c.id = %(customer_id)s
"""
)

_AS_HELD = _OF_CUSTOMER.replace("COALESCE(c.holdings, '[]')", "%(holdings)s::jsonb").replace(
    "jsonb_array_elements(c.holdings)", "jsonb_array_elements(%(holdings)s::jsonb)"
)


def snapshot_of(connection: Connection, project_id: str, user_id: str) -> Snapshot | None:
    """The snapshot as the store knows it now; of an unknown user an empty one. None: no such project."""
    row = connection.execute(_OF_USER, {"project_id": project_id, "user_id": user_id}).fetchone()
    return None if row is None else _snapshot(*row)


def snapshots_of_customer(connection: Connection, customer_id: int) -> list[Snapshot]:
    """The customer's snapshot in every project of their namespace: a bundle may serve several."""
    rows = connection.execute(_OF_CUSTOMER, {"customer_id": customer_id}).fetchall()
    return [_snapshot(*row) for row in rows]


def snapshots_as_held(connection: Connection, customer_id: int, holdings: list[dict[str, Any]]) -> list[Snapshot]:
    """What the customer's snapshots would be if they held this, by the catalog as it is now."""
    asked = {"customer_id": customer_id, "holdings": Jsonb(holdings)}
    return [_snapshot(*row) for row in connection.execute(_AS_HELD, asked).fetchall()]


@dataclass(frozen=True, slots=True)
class Version:
    """Of one project's snapshot of a customer. `changes` counts the customer's own, without the catalog's."""

    customer_id: int
    project_id: str
    user_id: str
    changes: int
    version: int


_VERSIONS = """
SELECT c.id AS customer_id, p.id AS project_id, c.user_id, c.version AS changes, c.version + p.catalog_epoch AS version
FROM customers AS c JOIN projects AS p ON p.identity_namespace = c.namespace
WHERE c.id = ANY(%s) ORDER BY c.id, p.id
"""


def versions_of_customers(connection: Connection, customer_ids: Iterable[int]) -> list[Version]:
    """The version of each snapshot of these customers, in every project of their namespaces."""
    with connection.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(_VERSIONS, (sorted(set(customer_ids)),)).fetchall()


def _snapshot(
    project_id: str,
    user_id: str,
    epoch: int,
    catalog_changed_at: Any,
    version: int,
    holdings: list[dict[str, Any]],
    changed_at: Any,
    features: list[Any],
    benefits: list[Any],
    policies: list[Any],
) -> Snapshot:
    catalog = catalog_from_rows(project_id, epoch, features, benefits, policies)
    as_of = catalog_changed_at if changed_at is None else max(changed_at, catalog_changed_at)
    return build(user_id, version, as_of, [from_json(holding) for holding in holdings], catalog)
