"""What the store says of what was published: whose it is, what is still owed, and a version lifted over the cache's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from billing.store.connection import Connection

_PROJECTS = "SELECT id FROM projects"
_CUSTOMERS = """
SELECT p.id, c.user_id, c.id
FROM unnest(%s::text[], %s::text[]) AS asked (project_id, user_id)
JOIN projects AS p ON p.id = asked.project_id
JOIN customers AS c ON c.namespace = p.identity_namespace AND c.user_id = asked.user_id
"""
_OWED = """
SELECT customer_id, NULL FROM outbox WHERE customer_id = ANY(%s)
UNION SELECT NULL, project_id FROM outbox WHERE project_id = ANY(%s)
"""
_OWE_CUSTOMER = "INSERT INTO outbox (customer_id, cause_kind, cause_id) VALUES (%s, 'run', %s)"
# The holdings stay: the history tells that a run gave them a later version.
_LIFT = """
WITH lifted AS (
  UPDATE customers SET version = %(version)s, changed_at = GREATEST(changed_at, %(now)s)
  WHERE id = %(customer_id)s AND version < %(version)s
  RETURNING id, version, holdings, changed_at
)
INSERT INTO holdings_changes (customer_id, version, holdings, changed_at, cause_kind, cause_id)
SELECT id, version, holdings, changed_at, 'run', %(run_id)s FROM lifted
"""


def project_ids(connection: Connection) -> list[str]:
    """All of them: some hundreds at most."""
    return [row[0] for row in connection.execute(_PROJECTS).fetchall()]


def customers_of(connection: Connection, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The customer behind each (project, user_id), where there is one."""
    asked = [project_id for project_id, _ in pairs], [user_id for _, user_id in pairs]
    rows = connection.execute(_CUSTOMERS, asked).fetchall()
    return {(project_id, user_id): customer_id for project_id, user_id, customer_id in rows}


def owed(connection: Connection, customer_ids: Iterable[int], project_ids: Iterable[str]) -> tuple[set[int], set[str]]:
    """Those of the customers and projects that a publication is owed."""
    rows = connection.execute(_OWED, (list(customer_ids), list(project_ids))).fetchall()
    return {row[0] for row in rows if row[0] is not None}, {row[1] for row in rows if row[1] is not None}


def owe_customer(connection: Connection, customer_id: int, run_id: str) -> None:
    connection.execute(_OWE_CUSTOMER, (customer_id, run_id))


def lift_version(connection: Connection, customer_id: int, version: int, run_id: str, now: datetime) -> None:
    """Make `version` the customer's own, if theirs is lower: the same holdings, told anew. Owe it afterwards."""
    connection.execute(_LIFT, {"customer_id": customer_id, "version": version, "run_id": run_id, "now": now})
