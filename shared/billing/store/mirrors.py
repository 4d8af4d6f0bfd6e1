"""The store beside Stripe's lists, in slices of the order of ids: what only one side has, or has otherwise.

`mirror_kinds.py` says the rows of each kind in the words of `payments/mirrored.py`. A slice reads at most as many rows
of either side as it is wide, so memory does not grow with the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.store.connection import Connection
from billing.store.mirror_kinds import MIRRORS


@dataclass(frozen=True, slots=True)
class Staged:
    """An object of a list, as it was at Stripe's second `at`."""

    id: str
    at: int
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unequal:
    """An object on which the two sides differ. `stored` None: the store has no such row; `listed` None: nor the list.

    `linked`: the living Stripe customer that the user of a listed one has already. `ahead`: the row's watermark, where
    no such second has been yet.
    """

    id: str
    stored: dict[str, Any] | None
    listed: dict[str, Any] | None
    ahead: int | None
    user_id: str | None
    project_id: str | None
    linked: str | None


_STAGE = """
INSERT INTO run_listing (run_id, object_type, object_id, state, listed_at_second)
SELECT %(run_id)s, %(kind)s, id, state, at FROM jsonb_to_recordset(%(rows)s) AS t (id text, state jsonb, at bigint)
ON CONFLICT (run_id, object_type, object_id) DO UPDATE
  SET state = EXCLUDED.state, listed_at_second = EXCLUDED.listed_at_second
"""
_STAGE_CHARGES = """
INSERT INTO run_listing (run_id, object_type, object_id, state, listed_at_second)
SELECT DISTINCT ON (h.id) l.run_id, 'charge', h.id,
       jsonb_build_object(
         'created', 0, 'customer', l.state ->> 'customer',
         'fact', l.state -> 'of' || jsonb_build_object('invoice', NULL, 'subscription', NULL, 'session', h.session_id)),
       l.listed_at_second
FROM run_listing AS l
JOIN charges AS h ON h.id = l.state -> 'fact' ->> 'charge'
WHERE l.run_id = %(run_id)s AND l.object_type IN ('refund', 'dispute') AND EXISTS (
  SELECT FROM purchases AS b
  WHERE b.session_id = h.session_id AND b.payment_intent_id = l.state -> 'of' ->> 'payment_intent')
ORDER BY h.id
ON CONFLICT DO NOTHING
"""
# Of the one that is past due with a single open invoice, nothing was paid since that failed.
_PAYERS = """
WITH lost AS MATERIALIZED (
  SELECT d.state ->> 'customer' AS customer, max((d.state -> 'fact' ->> 'created')::bigint) AS opened
  FROM run_listing AS d
  WHERE d.run_id = %(run_id)s AND d.object_type = 'dispute' AND d.state -> 'fact' ->> 'status' = 'lost' GROUP BY 1
), owing AS MATERIALIZED (
  SELECT v.state -> 'fact' ->> 'subscription' AS id FROM run_listing AS v
  WHERE v.run_id = %(run_id)s AND v.object_type = 'invoice' AND v.state -> 'fact' ->> 'paid_at' IS NULL
  GROUP BY 1 HAVING count(*) > 1
)
SELECT l.object_id
FROM run_listing AS l
LEFT JOIN lost ON lost.customer = l.state ->> 'customer'
LEFT JOIN owing ON owing.id = l.object_id
WHERE l.run_id = %(run_id)s AND l.object_type = 'subscription' AND l.object_id > %(after)s
  AND l.state -> 'fact' ->> 'ended_at' IS NULL
  AND (owing.id IS NOT NULL OR lost.customer IS NOT NULL AND NOT EXISTS (
         SELECT FROM invoices AS i WHERE i.subscription_id = l.object_id AND i.paid_at > to_timestamp(lost.opened)))
ORDER BY l.object_id LIMIT %(width)s
"""
_STAGED = "SELECT state FROM run_listing WHERE run_id = %s AND object_type = %s AND object_id = %s"
_ANCHORED = """
SELECT EXISTS (SELECT FROM run_listing AS l JOIN products AS o ON o.id = l.object_id
               WHERE l.run_id = %(run_id)s AND l.object_type = 'product')
    OR EXISTS (SELECT FROM run_listing AS l JOIN stripe_customers AS o ON o.id = l.object_id
               WHERE l.run_id = %(run_id)s AND l.object_type = 'customer')
"""
_IDS = """
SELECT id FROM (
  (SELECT object_id AS id FROM run_listing
   WHERE run_id = %(run_id)s AND object_type = %(kind)s AND object_id > %(after)s ORDER BY object_id LIMIT %(width)s)
  UNION
  (SELECT DISTINCT id FROM ({keys}) AS k WHERE id > %(after)s ORDER BY id LIMIT %(width)s)) AS both_sides
ORDER BY id LIMIT %(width)s
"""
# Most are equal: whose the others are is asked of those alone. The ids are said to every part, so that each reads no
# more than the slice, whatever the planner believes of a table it has no statistics of.
_UNEQUAL = """
WITH differing AS MATERIALIZED (
  SELECT i.id, h.id IS NOT NULL AS is_stored, h.state AS stored, l.state AS listed,
         CASE WHEN h.watermark > %(ahead)s THEN h.watermark END AS ahead,
         COALESCE(l.state ->> 'customer', h.customer) AS customer,
         COALESCE(h.product, l.state -> 'products' ->> 0) AS product
  FROM unnest(%(ids)s::text[]) AS i (id)
  LEFT JOIN ({rows}) AS h ON h.id = i.id
  LEFT JOIN (SELECT object_id, state FROM run_listing
             WHERE run_id = %(run_id)s AND object_type = %(kind)s AND object_id = ANY(%(ids)s)) AS l
    ON l.object_id = i.id
  WHERE CASE WHEN h.id IS NULL THEN (l.state ->> 'created')::bigint < %(cut)s AND {ours}
             WHEN h.watermark > %(ahead)s THEN l.object_id IS NOT NULL OR h.stays
             WHEN COALESCE(h.watermark, 0) >= %(cut)s THEN false
             WHEN l.object_id IS NULL THEN h.stays
             WHEN %(kind)s = 'customer' THEN NOT h.state @> (l.state -> 'fact')
             ELSE h.state <> l.state -> 'fact' END
)
SELECT d.id, d.stored, d.listed, d.ahead, COALESCE(c.user_id, d.listed -> 'fact' ->> 'user_id') AS user_id,
       COALESCE(p.project_id, d.listed ->> 'project') AS project_id,
       (SELECT o.id FROM customers AS u JOIN stripe_customers AS o ON o.customer_id = u.id AND o.deleted_at IS NULL
        WHERE %(kind)s = 'customer' AND NOT d.is_stored AND u.namespace = d.listed -> 'fact' ->> 'namespace'
          AND u.user_id = d.listed -> 'fact' ->> 'user_id') AS linked
FROM differing AS d
LEFT JOIN stripe_customers AS k ON k.id = d.customer
LEFT JOIN customers AS c ON c.id = k.customer_id
LEFT JOIN products AS p ON p.id = d.product
WHERE %(project_id)s::text IS NULL OR %(project_id)s = COALESCE(p.project_id, d.listed ->> 'project')
   OR (p.project_id IS NULL AND EXISTS (
         SELECT FROM projects AS o WHERE o.id = %(project_id)s
           AND o.identity_namespace = COALESCE(c.namespace, d.listed -> 'fact' ->> 'namespace')))
ORDER BY d.id
"""
_OF_PROJECT = """
SELECT k.id FROM stripe_customers AS k JOIN customers AS c ON c.id = k.customer_id
JOIN projects AS p ON p.identity_namespace = c.namespace
WHERE p.id = %(project_id)s AND k.id = ANY(%(ids)s)
UNION ALL
SELECT id FROM products WHERE project_id = %(project_id)s AND id = ANY(%(ids)s)
"""
_TOLD = """
SELECT d.object_id FROM drifts AS d JOIN runs AS r ON r.id = d.run_id
WHERE d.kind = 'orphan' AND d.object_type = %s AND d.object_id = ANY(%s) AND d.status = 'left' AND d.run_id <> %s
  AND NOT r.dry_run
"""


def stage(connection: Connection, run_id: str, kind: str, rows: Iterable[Staged]) -> None:
    """Keep a page until it is compared; the same page again changes nothing."""
    by_id = {row.id: {"id": row.id, "state": row.state, "at": row.at} for row in rows}
    if by_id:
        # One JSON text: psycopg quotes each element of an array of them anew, which costs more than all the rest.
        page = Jsonb([*by_id.values()], msgspec.json.encode)
        connection.execute(_STAGE, {"run_id": run_id, "kind": kind, "rows": page})


def stage_charges(connection: Connection, run_id: str) -> None:
    """What the staged refunds and disputes tell of their charges, as far as it is all there is to say of them."""
    connection.execute(_STAGE_CHARGES, {"run_id": run_id})


def payers(connection: Connection, run_id: str, *, after: str, width: int) -> list[str]:
    """Of the staged subscriptions those whose last payment matters, in order from behind `after`."""
    asked = {"run_id": run_id, "after": after, "width": width}
    return [row[0] for row in connection.execute(_PAYERS, asked).fetchall()]


def staged_state(connection: Connection, run_id: str, kind: str, object_id: str) -> dict[str, Any] | None:
    row = connection.execute(_STAGED, (run_id, kind, object_id)).fetchone()
    return row[0] if row else None


def listing_is_ours(connection: Connection, run_id: str) -> bool:
    """Whether the run's lists show anything that the store knows: else they may be another account's."""
    row = connection.execute(_ANCHORED, {"run_id": run_id}).fetchone()
    return bool(row and row[0])


def next_ids(
    connection: Connection, run_id: str, kind: str, *, since: datetime | None, after: str, width: int
) -> list[str]:
    """The ids after `after` that either side has, in order. `since`: of kinds that are listed from then on only."""
    asked = {"run_id": run_id, "kind": kind, "since": since, "after": after, "width": width}
    statement = _IDS.replace("{keys}", MIRRORS[kind].keys)
    return [row[0] for row in connection.execute(statement.encode(), asked).fetchall()]


def unequal(
    connection: Connection, run_id: str, kind: str, ids: list[str], *, cut: int, ahead: int, project_id: str | None
) -> list[Unequal]:
    """Those on which the two sides differ. What was written or made at Stripe's second `cut` or later is left out, but
    not what says to be of a second behind `ahead`.
    """
    mirror = MIRRORS[kind]
    statement = _UNEQUAL.replace("{rows}", mirror.rows).replace("{ours}", f"({mirror.ours})")
    asked = {"run_id": run_id, "kind": kind, "ids": ids, "cut": cut, "ahead": ahead, "project_id": project_id}
    with connection.cursor(row_factory=class_row(Unequal)) as cursor:
        return cursor.execute(statement.encode(), asked).fetchall()


def stored_state(connection: Connection, run_id: str, kind: str, object_id: str) -> dict[str, Any] | None:
    """What the store says of an object now, as the run compares it."""
    statement = "SELECT state FROM ({rows}) AS h".replace("{rows}", MIRRORS[kind].rows)
    row = connection.execute(statement.encode(), {"ids": [object_id], "run_id": run_id}).fetchone()
    return row[0] if row else None


def watermark_of(connection: Connection, kind: str, object_id: str) -> int | None:
    """Stripe's second that the row says to be of; None: its kind has none, or there is no row."""
    statement = "SELECT watermark FROM ({rows}) AS h".replace("{rows}", MIRRORS[kind].rows)
    row = connection.execute(statement.encode(), {"ids": [object_id], "run_id": None}).fetchone()
    return row[0] if row else None


def told_orphans(connection: Connection, kind: str, object_ids: list[str], run_id: str) -> set[str]:
    """Those that an earlier run told of: they are a person's business since."""
    return {row[0] for row in connection.execute(_TOLD, (kind, object_ids, run_id)).fetchall()}


def ids_of_project(connection: Connection, project_id: str, ids: list[str]) -> set[str]:
    """Those of these Stripe customers and products that are the project's, or of its users."""
    rows = connection.execute(_OF_PROJECT, {"project_id": project_id, "ids": ids}).fetchall()
    return {row[0] for row in rows}
