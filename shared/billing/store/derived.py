"""What customers hold beside what their rows come to: one transaction writes both, so only damage parts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row

from billing.domain.holdings import from_json
from billing.store.connection import Connection
from billing.store.holdings import bare, held_by_rows, store_change

Fault = Literal["holdings", "version", "history"]
"""`holdings`: they are not what the rows come to. `version`: it lies behind the history's last, so no change could be
recorded any more. `history`: its last entry is another than the customer's state.
"""


@dataclass(frozen=True, slots=True)
class Derived:
    """A customer as stored, and the rows that it is derived from. `recorded` is the history's last entry."""

    customer_id: int
    namespace: str
    user_id: str
    version: int
    stored: list[dict[str, Any]]
    items: list[Any]
    purchases: list[Any]
    grants: list[Any]
    charges: list[Any]
    recorded_version: int
    recorded: list[dict[str, Any]]

    def held(self) -> list[dict[str, Any]]:
        """What they hold by their rows."""
        rows = (self.items, self.purchases, self.grants, self.charges)
        return held_by_rows(*([dict(row) for row in kind] for kind in rows))

    def fault(self) -> Fault | None:
        if not all(isinstance(document, dict) for document in self.stored) or bare(self.stored) != bare(self.held()):
            return "holdings"
        if self.version < self.recorded_version:
            return "version"
        return None if (self.version, self.stored) == (self.recorded_version, self.recorded) else "history"

    def readable(self) -> list[dict[str, Any]]:
        """Of what is stored that which an answer can be made from."""
        return [document for document in self.stored if _can_be_read(document)]


def _can_be_read(document: dict[str, Any]) -> bool:
    try:
        from_json(document)
    except (KeyError, TypeError, ValueError):
        return False
    return True


_DERIVED = """
SELECT c.id AS customer_id, c.namespace, c.user_id, c.version, r.holdings AS stored, r.items, r.purchases, r.grants,
       r.charges, COALESCE(h.version, 0) AS recorded_version, COALESCE(h.holdings, '[]') AS recorded
FROM ({customers}) AS c
CROSS JOIN LATERAL customer_rows(c.id) AS r
LEFT JOIN LATERAL (SELECT o.version, o.holdings FROM holdings_changes AS o
                   WHERE o.customer_id = c.id ORDER BY o.version DESC LIMIT 1) AS h ON true
ORDER BY c.id
"""
_SLICE = _DERIVED.replace(
    "{customers}",
    """
    SELECT u.id, u.namespace, u.user_id, u.version FROM customers AS u
    WHERE u.id > %(after)s AND (%(project_id)s::text IS NULL OR u.namespace = (
      SELECT p.identity_namespace FROM projects AS p WHERE p.id = %(project_id)s))
    ORDER BY u.id LIMIT %(limit)s
    """,
)
_ONE = _DERIVED.replace(
    "{customers}",
    """
    SELECT u.id, u.namespace, u.user_id, u.version FROM customers AS u
    WHERE u.namespace = %(namespace)s AND u.user_id = %(user_id)s
    """,
)
_LEVEL = """
UPDATE customers SET version = %(version)s, changed_at = COALESCE(changed_at, %(now)s)
WHERE id = %(customer_id)s AND version < %(version)s
"""


def derived_after(connection: Connection, after: int, *, project_id: str | None, limit: int) -> list[Derived]:
    """The next customers behind that id, in its order; of the project's namespace where one is given. Of one instant:
    whoever is changed at this moment is seen whole, before or after.
    """
    asked = {"after": after, "project_id": project_id, "limit": limit}
    with connection.cursor(row_factory=class_row(Derived)) as cursor:
        return cursor.execute(_SLICE.encode(), asked).fetchall()


def derived_of(connection: Connection, namespace: str, user_id: str) -> Derived | None:
    with connection.cursor(row_factory=class_row(Derived)) as cursor:
        return cursor.execute(_ONE.encode(), {"namespace": namespace, "user_id": user_id}).fetchone()


def correct(connection: Connection, found: Derived, *, run_id: str, now: datetime) -> None:
    """The next version is what the rows come to, with the run as its cause; under the lock of the customer's row, since
    before `found` was read.
    """
    level = {"customer_id": found.customer_id, "version": found.recorded_version, "now": now}
    connection.execute(_LEVEL, level)
    store_change(connection, found.customer_id, found.held(), cause_kind="run", cause_id=f"run:{run_id}", now=now)
