"""The store beside Stripe's lists, in slices of the order of ids: what only one side has, or has otherwise.

Each kind's query says the store's rows in the words of `payments/mirrored.py`. A slice reads at most as many rows of
either side as it is wide, so memory does not grow with the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Staged:
    """An object of a list, as it was at Stripe's second `at`."""

    id: str
    at: int
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unequal:
    """An object on which the two sides differ. `stored` None: the store has no such row; `listed` None: nor the list.

    `linked`: the living Stripe customer that the user of a listed one has already.
    """

    id: str
    stored: dict[str, Any] | None
    listed: dict[str, Any] | None
    user_id: str | None
    project_id: str | None
    linked: str | None


@dataclass(frozen=True, slots=True)
class _Mirror:
    """How a kind is read.

    keys: the store's ids, `id`. rows: its rows among `ids`; `state`, `watermark` (null: it has none), `stays` (there is
    something to take away if Stripe has it no more), `customer` and `product`. ours: whether a listed object that the
    store lacks belongs here.
    """

    keys: str
    rows: str
    ours: str


# Known, or found missing by the same run and mended before what refers to it.
_CUSTOMER_KNOWN = """
(EXISTS (SELECT FROM stripe_customers AS o WHERE o.id = l.state ->> 'customer')
 OR EXISTS (SELECT FROM run_listing AS o JOIN projects AS j ON j.identity_namespace = o.state -> 'fact' ->> 'namespace'
            WHERE o.run_id = %(run_id)s AND o.object_type = 'customer' AND o.object_id = l.state ->> 'customer'))
"""
_PRODUCT_KNOWN_OF = """
(EXISTS (SELECT FROM products AS o WHERE o.id IN (SELECT jsonb_array_elements_text({state} -> 'products')))
 OR EXISTS (SELECT FROM run_listing AS o JOIN projects AS j ON j.id = o.state ->> 'project'
            WHERE o.run_id = %(run_id)s AND o.object_type = 'product'
              AND o.object_id IN (SELECT jsonb_array_elements_text({state} -> 'products'))))
"""
_A_PRODUCT_KNOWN = _PRODUCT_KNOWN_OF.replace("{state}", "l.state")
_SUBSCRIPTION_KNOWN = """
(EXISTS (SELECT FROM subscriptions AS o WHERE o.id = l.state -> 'fact' ->> 'subscription')
 OR EXISTS (SELECT FROM run_listing AS u
            WHERE u.run_id = %(run_id)s AND u.object_type = 'subscription'
              AND u.object_id = l.state -> 'fact' ->> 'subscription' AND {product_known}))
""".replace("{product_known}", _PRODUCT_KNOWN_OF.replace("{state}", "u.state"))
_MIRRORS: Mapping[str, _Mirror] = {
    "customer": _Mirror(
        "SELECT id FROM stripe_customers",
        """
        SELECT k.id, jsonb_build_object('deleted', k.deleted_at IS NOT NULL, 'namespace', c.namespace,
                                        'user_id', c.user_id) AS state,
               NULL::bigint AS watermark, k.deleted_at IS NULL AS stays, k.id AS customer, NULL::text AS product
        FROM stripe_customers AS k JOIN customers AS c ON c.id = k.customer_id WHERE k.id = ANY(%(ids)s)
        """,
        "EXISTS (SELECT FROM projects AS o WHERE o.identity_namespace = l.state -> 'fact' ->> 'namespace')",
    ),
    "product": _Mirror(
        "SELECT id FROM products",
        """
        SELECT p.id, jsonb_build_object('name', p.name, 'active', p.active, 'deleted', p.deleted) AS state,
               p.watermark, NOT p.deleted AS stays, NULL::text AS customer, p.id AS product
        FROM products AS p WHERE p.id = ANY(%(ids)s)
        """,
        "EXISTS (SELECT FROM projects AS o WHERE o.id = l.state ->> 'project')",
    ),
    "price": _Mirror(
        "SELECT id FROM prices",
        """
        SELECT r.id, jsonb_build_object(
                 'product', r.product_id, 'lookup_key', r.lookup_key, 'type', r.type, 'currency', r.currency,
                 'per_unit', trim_scale(COALESCE(r.unit_amount_decimal, r.unit_amount))::text,
                 'billing_scheme', r.billing_scheme, 'interval', r.recurring_interval, 'every', r.recurring_count,
                 'usage_type', r.usage_type, 'active', r.active, 'deleted', r.deleted, 'tiers_mode', r.tiers_mode,
                 'tiers', NULLIF(r.tiers, '[]'), 'options', COALESCE(r.currency_options, '{}'),
                 'package', jsonb_build_array(r.package_size, r.package_round)) AS state,
               r.watermark, NOT r.deleted AS stays, NULL::text AS customer, r.product_id AS product
        FROM prices AS r WHERE r.id = ANY(%(ids)s)
        """,
        _A_PRODUCT_KNOWN,
    ),
    "subscription": _Mirror(
        "SELECT id FROM subscriptions",
        """
        SELECT s.id, jsonb_build_object(
                 'customer', s.stripe_customer_id, 'status', s.status,
                 'start', EXTRACT(epoch FROM s.start_at)::bigint,
                 'trial_end', EXTRACT(epoch FROM s.trial_end)::bigint,
                 'cancel_at', EXTRACT(epoch FROM s.cancel_at)::bigint,
                 'cancel_at_period_end', s.cancel_at_period_end,
                 'canceled_at', EXTRACT(epoch FROM s.canceled_at)::bigint,
                 'ended_at', EXTRACT(epoch FROM s.ended_at)::bigint,
                 'latest_invoice', s.latest_invoice_id, 'currency', s.currency, 'discounts', s.discount_ids,
                 'items', (SELECT COALESCE(jsonb_agg(jsonb_build_array(
                                    i.id, i.price_id, i.quantity, EXTRACT(epoch FROM i.period_start)::bigint,
                                    EXTRACT(epoch FROM i.period_end)::bigint, i.discount_ids)
                                  ORDER BY i.id COLLATE "C"), '[]')
                           FROM subscription_items AS i WHERE i.subscription_id = s.id)) AS state,
               s.watermark, s.ended_at IS NULL OR s.status NOT IN ('canceled', 'incomplete_expired') AS stays,
               s.stripe_customer_id AS customer,
               (SELECT min(r.product_id) FROM subscription_items AS i JOIN prices AS r ON r.id = i.price_id
                WHERE i.subscription_id = s.id) AS product
        FROM subscriptions AS s WHERE s.id = ANY(%(ids)s)
        """,
        _A_PRODUCT_KNOWN,
    ),
    # what a past due subscription's grace counts from
    "invoice": _Mirror(
        """
        SELECT i.id FROM subscriptions AS s JOIN invoices AS i ON i.subscription_id = s.id
        WHERE s.status = 'past_due' AND i.paid_at IS NULL AND i.first_failed_at IS NOT NULL
        """,
        """
        SELECT i.id, jsonb_build_object('subscription', i.subscription_id, 'paid', i.paid_at IS NOT NULL) AS state,
               NULL::bigint AS watermark, i.paid_at IS NULL AS stays, i.stripe_customer_id AS customer,
               NULL::text AS product
        FROM invoices AS i WHERE i.id = ANY(%(ids)s)
        """,
        _SUBSCRIPTION_KNOWN,
    ),
    "refund": _Mirror(
        "SELECT id FROM refunds WHERE created_at >= COALESCE(%(since)s::timestamptz, '-infinity')",
        """
        SELECT b.id, jsonb_build_object('charge', b.charge_id, 'amount', b.amount, 'status', b.status) AS state,
               NULL::bigint AS watermark, true AS stays, h.stripe_customer_id AS customer, NULL::text AS product
        FROM refunds AS b JOIN charges AS h ON h.id = b.charge_id WHERE b.id = ANY(%(ids)s)
        """,
        _CUSTOMER_KNOWN,
    ),
    "dispute": _Mirror(
        "SELECT id FROM disputes WHERE opened_at >= COALESCE(%(since)s::timestamptz, '-infinity')",
        """
        SELECT d.id, jsonb_build_object('charge', d.charge_id, 'amount', d.amount, 'status', d.status) AS state,
               NULL::bigint AS watermark, true AS stays, h.stripe_customer_id AS customer, NULL::text AS product
        FROM disputes AS d JOIN charges AS h ON h.id = d.charge_id WHERE d.id = ANY(%(ids)s)
        """,
        _CUSTOMER_KNOWN,
    ),
    "checkout.session": _Mirror(
        """
        SELECT session_id AS id FROM purchases
        WHERE paid_at >= COALESCE(%(since)s::timestamptz, '-infinity')
        """,
        """
        SELECT b.session_id AS id, jsonb_build_object(
                 'customer', min(b.stripe_customer_id), 'payment_intent', min(b.payment_intent_id),
                 'paid_at', EXTRACT(epoch FROM min(b.paid_at))::bigint,
                 'lines', jsonb_agg(jsonb_build_array(b.line_item_id, b.price_id, b.quantity, b.amount, b.currency)
                                    ORDER BY b.line_item_id COLLATE "C")) AS state,
               NULL::bigint AS watermark, true AS stays, min(b.stripe_customer_id) AS customer,
               min(r.product_id) AS product
        FROM purchases AS b JOIN prices AS r ON r.id = b.price_id
        WHERE b.session_id = ANY(%(ids)s) GROUP BY b.session_id
        """,
        f"{_CUSTOMER_KNOWN} AND {_A_PRODUCT_KNOWN}",
    ),
}

_STAGE = """
INSERT INTO run_listing (run_id, object_type, object_id, state, listed_at_second)
SELECT %(run_id)s, %(kind)s, id, state, at
FROM unnest(%(ids)s::text[], %(states)s::jsonb[], %(ats)s::bigint[]) AS t (id, state, at)
ON CONFLICT (run_id, object_type, object_id) DO UPDATE
  SET state = EXCLUDED.state, listed_at_second = EXCLUDED.listed_at_second
"""
_STAGED = "SELECT state FROM run_listing WHERE run_id = %s AND object_type = %s AND object_id = %s"
_ANCHORED = """
SELECT true FROM run_listing AS l
WHERE l.run_id = %s AND ((l.object_type = 'product' AND l.object_id IN (SELECT id FROM products))
                         OR (l.object_type = 'customer' AND l.object_id IN (SELECT id FROM stripe_customers)))
LIMIT 1
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
         COALESCE(l.state ->> 'customer', h.customer) AS customer,
         COALESCE(h.product, l.state -> 'products' ->> 0) AS product
  FROM unnest(%(ids)s::text[]) AS i (id)
  LEFT JOIN ({rows}) AS h ON h.id = i.id
  LEFT JOIN (SELECT object_id, state FROM run_listing
             WHERE run_id = %(run_id)s AND object_type = %(kind)s AND object_id = ANY(%(ids)s)) AS l
    ON l.object_id = i.id
  WHERE CASE WHEN h.id IS NULL THEN (l.state ->> 'created')::bigint < %(cut)s AND {ours}
             WHEN COALESCE(h.watermark, 0) >= %(cut)s THEN false
             WHEN l.object_id IS NULL THEN h.stays
             ELSE NOT h.state @> (l.state -> 'fact') OR (%(kind)s <> 'customer' AND h.state <> l.state -> 'fact') END
)
SELECT d.id, d.stored, d.listed, COALESCE(c.user_id, d.listed -> 'fact' ->> 'user_id') AS user_id,
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
    by_id = {row.id: row for row in rows}
    if not by_id:
        return
    members = {
        "ids": list(by_id),
        "states": [Jsonb(row.state) for row in by_id.values()],
        "ats": [row.at for row in by_id.values()],
    }
    connection.execute(_STAGE, {"run_id": run_id, "kind": kind, **members})


def staged_state(connection: Connection, run_id: str, kind: str, object_id: str) -> dict[str, Any] | None:
    row = connection.execute(_STAGED, (run_id, kind, object_id)).fetchone()
    return row[0] if row else None


def listing_is_ours(connection: Connection, run_id: str) -> bool:
    """Whether the run's lists show anything that the store knows: else they may be another account's."""
    return connection.execute(_ANCHORED, (run_id,)).fetchone() is not None


def next_ids(
    connection: Connection, run_id: str, kind: str, *, since: datetime | None, after: str, width: int
) -> list[str]:
    """The ids after `after` that either side has, in order. `since`: of kinds that are listed from then on only."""
    asked = {"run_id": run_id, "kind": kind, "since": since, "after": after, "width": width}
    statement = _IDS.replace("{keys}", _MIRRORS[kind].keys)
    return [row[0] for row in connection.execute(statement.encode(), asked).fetchall()]


def unequal(
    connection: Connection, run_id: str, kind: str, ids: list[str], *, cut: int, project_id: str | None
) -> list[Unequal]:
    """Those on which the two sides differ. What was written or made at Stripe's second `cut` or later is left out."""
    mirror = _MIRRORS[kind]
    statement = _UNEQUAL.replace("{rows}", mirror.rows).replace("{ours}", f"({mirror.ours})")
    asked = {"run_id": run_id, "kind": kind, "ids": ids, "cut": cut, "project_id": project_id}
    with connection.cursor(row_factory=class_row(Unequal)) as cursor:
        return cursor.execute(statement.encode(), asked).fetchall()


def stored_state(connection: Connection, kind: str, object_id: str) -> dict[str, Any] | None:
    """What the store says of an object now."""
    statement = "SELECT state FROM ({rows}) AS h".replace("{rows}", _MIRRORS[kind].rows)
    row = connection.execute(statement.encode(), {"ids": [object_id]}).fetchone()
    return row[0] if row else None


def told_orphans(connection: Connection, kind: str, object_ids: list[str], run_id: str) -> set[str]:
    """Those that an earlier run told of: they are a person's business since."""
    return {row[0] for row in connection.execute(_TOLD, (kind, object_ids, run_id)).fetchall()}


def ids_of_project(connection: Connection, project_id: str, ids: list[str]) -> set[str]:
    """Those of these Stripe customers and products that are the project's, or of its users."""
    rows = connection.execute(_OF_PROJECT, {"project_id": project_id, "ids": ids}).fetchall()
    return {row[0] for row in rows}
