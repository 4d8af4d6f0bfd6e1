"""All that is kept about one user, read in one statement, every list bounded: newest first, one row more than asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, dict_row

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer in a list. `stripe_customer` is the one that lives; `version` counts the changes of what they hold."""

    user_id: str
    version: int
    stripe_customer: str | None
    created_at: datetime
    changed_at: datetime | None


# Each list in its own subquery, as JSON: one round trip, one instant. Events by their own index first (the fence is
# MATERIALIZED): sought by walking time, those of one customer could lie anywhere.
_PAGE = """
SELECT p.identity_namespace AS namespace, c.user_id, c.version, c.created_at, c.changed_at,
  (SELECT COALESCE(jsonb_agg(to_jsonb(one)), '[]') FROM (
     SELECT k.id, k.created_at, k.deleted_at FROM stripe_customers AS k WHERE k.customer_id = c.id
     ORDER BY k.created_at DESC, k.id LIMIT %(many)s) AS one) AS stripe_customers,
  (SELECT COALESCE(jsonb_agg(to_jsonb(one)), '[]') FROM (
     SELECT s.id, s.stripe_customer_id, s.status, s.start_at, s.trial_end, s.cancel_at, s.cancel_at_period_end,
            s.canceled_at, s.ended_at, s.latest_invoice_id,
            (SELECT COALESCE(jsonb_agg(to_jsonb(item)), '[]') FROM (
               SELECT i.id, r.product_id, o.project_id, i.price_id, r.lookup_key, i.quantity, i.period_start,
                      i.period_end
               FROM subscription_items AS i JOIN prices AS r ON r.id = i.price_id
               JOIN products AS o ON o.id = r.product_id
               WHERE i.subscription_id = s.id ORDER BY i.id LIMIT %(many)s) AS item) AS items
     FROM stripe_customers AS k JOIN subscriptions AS s ON s.stripe_customer_id = k.id WHERE k.customer_id = c.id
     ORDER BY s.start_at DESC, s.id LIMIT %(many)s) AS one) AS subscriptions,
  (SELECT COALESCE(jsonb_agg(to_jsonb(one)), '[]') FROM (
     SELECT b.session_id, b.line_item_id, r.product_id, o.project_id, b.price_id, r.lookup_key, b.quantity, b.amount,
            b.currency, b.payment_intent_id, b.paid_at
     FROM stripe_customers AS k JOIN purchases AS b ON b.stripe_customer_id = k.id
     JOIN prices AS r ON r.id = b.price_id JOIN products AS o ON o.id = r.product_id WHERE k.customer_id = c.id
     ORDER BY b.paid_at DESC NULLS FIRST, b.session_id, b.line_item_id LIMIT %(many)s) AS one) AS purchases,
  (SELECT COALESCE(jsonb_agg(to_jsonb(one)), '[]') FROM (
     SELECT h.id, h.amount, h.currency, h.payment_intent_id, h.invoice_id, h.subscription_id, h.session_id,
            (SELECT COALESCE(jsonb_agg(to_jsonb(back)), '[]') FROM (
               SELECT f.id, f.amount, f.status, f.created_at FROM refunds AS f WHERE f.charge_id = h.id
               ORDER BY f.created_at DESC, f.id LIMIT %(many)s) AS back) AS refunds,
            (SELECT COALESCE(jsonb_agg(to_jsonb(claim)), '[]') FROM (
               SELECT d.id, d.amount, d.status, d.opened_at, d.closed_at FROM disputes AS d WHERE d.charge_id = h.id
               ORDER BY d.opened_at DESC, d.id LIMIT %(many)s) AS claim) AS disputes
     FROM stripe_customers AS k JOIN charges AS h ON h.stripe_customer_id = k.id WHERE k.customer_id = c.id
     ORDER BY h.id LIMIT %(many)s) AS one) AS charges,
  (SELECT COALESCE(jsonb_agg(to_jsonb(one)), '[]') FROM (
     SELECT g.id, g.project_id, g.feature_code AS feature, g.value, g.denial, g.priority, g.valid_from,
            NULLIF(g.valid_to, '9999-12-31T00:00:00Z') AS valid_to, g.reason, g.actor, g.created_at, g.revoked_at
     FROM grants AS g WHERE g.customer_id = c.id ORDER BY g.created_at DESC, g.id LIMIT %(many)s) AS one) AS grants,
  (SELECT COALESCE(jsonb_agg(to_jsonb(one)), '[]') FROM (
     SELECT e.id, e.project_id, e.mode, e.status, e.expires_at, e.created_at FROM checkout_sessions AS e
     WHERE e.customer_id = c.id ORDER BY e.created_at DESC, e.id LIMIT %(many)s) AS one) AS checkout_sessions,
  (SELECT COALESCE(jsonb_agg(to_jsonb(one)), '[]') FROM (
     WITH theirs AS MATERIALIZED (
       SELECT n.event_id AS id, n.type, n.status, n.reason, to_timestamp(n.created) AS created, n.received_at
       FROM inbox AS n WHERE n.customer_ids @> ARRAY[c.id])
     SELECT * FROM theirs ORDER BY received_at DESC, id DESC LIMIT %(few)s) AS one) AS events
FROM projects AS p
LEFT JOIN customers AS c ON c.namespace = p.identity_namespace AND c.user_id = %(user_id)s
WHERE p.id = %(project_id)s
"""
_LIST = """
SELECT c.user_id, c.version,
  (SELECT k.id FROM stripe_customers AS k WHERE k.customer_id = c.id AND k.deleted_at IS NULL) AS stripe_customer,
  c.created_at, c.changed_at
FROM projects AS p JOIN customers AS c ON c.namespace = p.identity_namespace
WHERE p.id = %(project_id)s AND c.user_id > %(after)s
ORDER BY c.user_id LIMIT %(limit)s
"""


def read_page(
    connection: Connection, project_id: str, user_id: str, *, many: int, few: int
) -> Mapping[str, Any] | None:
    """The user's rows by kind, each list of at most `many` (events: `few`) rows and one more where there are more.

    `user_id` is None where the namespace has no such customer. None: no such project.
    """
    asked = {"project_id": project_id, "user_id": user_id, "many": many + 1, "few": few + 1}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_PAGE, asked).fetchone()


def list_customers(connection: Connection, project_id: str, *, after: str, limit: int) -> list[CustomerRow]:
    """The customers of the project's namespace, in the order of their user ids, those behind `after`."""
    with connection.cursor(row_factory=class_row(CustomerRow)) as cursor:
        return cursor.execute(_LIST, {"project_id": project_id, "after": after, "limit": limit}).fetchall()
