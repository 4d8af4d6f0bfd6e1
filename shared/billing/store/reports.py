"""The business in numbers: per project, over all rows, each by the projects' own indexes.

What belongs to a project is what its products sold: a subscription with items of two projects counts once in each, with
the revenue of the items that are theirs. Money is in minor units, per currency, never summed over currencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from psycopg.rows import class_row

from billing.domain.revenue import Movement
from billing.store.connection import Connection
from billing.store.mrr import MRR


@dataclass(frozen=True, slots=True)
class StatusCount:
    project_id: str
    status: str
    subscriptions: int


@dataclass(frozen=True, slots=True)
class RevenueRow:
    """A summand of a project's MRR: `amount / divisor`, of so many customers who pay it.

    In the row without a currency `customers` are all who pay, whatever and however, and `unclear` the items whose
    price or discount is not known well enough.
    """

    project_id: str
    currency: str | None
    divisor: int | None
    amount: Decimal
    customers: int
    unclear: int


@dataclass(frozen=True, slots=True)
class MovementRow:
    """How many customers moved so, and in the rows with a `divisor` from what to what, as summands of their MRR."""

    project_id: str
    currency: str
    movement: Movement | None
    divisor: int | None
    customers: int
    opening: Decimal
    closing: Decimal


@dataclass(frozen=True, slots=True)
class MoneyRow:
    project_id: str
    currency: str
    number: int
    amount: int


@dataclass(frozen=True, slots=True)
class GrantCount:
    project_id: str
    denial: bool
    number: int


_PROJECTS = "SELECT id FROM projects WHERE id > %s ORDER BY id LIMIT %s"

_STATUSES = """
SELECT o.project_id, s.status, count(DISTINCT s.id) AS subscriptions
FROM products AS o
JOIN prices AS r ON r.product_id = o.id
JOIN subscription_items AS i ON i.price_id = r.id
JOIN subscriptions AS s ON s.id = i.subscription_id
WHERE o.project_id = ANY(%s) AND s.status = ANY(%s)
GROUP BY o.project_id, s.status
"""

_PICKED = """WITH RECURSIVE picked AS (
  SELECT DISTINCT i.subscription_id, %(now)s::timestamptz AS instant
  FROM products AS o
  JOIN prices AS r ON r.product_id = o.id
  JOIN subscription_items AS i ON i.price_id = r.id
  JOIN subscriptions AS s ON s.id = i.subscription_id AND s.status IN ('active', 'past_due')
  WHERE o.project_id = ANY(%(projects)s)
)"""
_SUMMED = """summed AS (
  SELECT project_id, currency, divisor, COALESCE(sum(amount), 0) AS amount,
         count(DISTINCT customer_id) FILTER (WHERE amount > 0) AS customers,
         count(*) FILTER (WHERE unclear) AS unclear
  FROM mrr WHERE project_id = ANY(%(projects)s)
  GROUP BY GROUPING SETS ((project_id, currency, divisor), (project_id))
)
SELECT project_id, currency, divisor, amount, customers, unclear FROM summed
"""
_REVENUE = f"{_PICKED},\n{MRR},\n{_SUMMED}".encode()

# What held just before each end of the period, by the ledger: a change in its first second is in the period.
_MOVEMENTS = """
WITH opening AS (
  SELECT DISTINCT ON (project_id, subscription_id, currency, divisor) project_id, currency, divisor, customer_id, amount
  FROM mrr_changes WHERE project_id = ANY(%(projects)s) AND since < %(start)s
  ORDER BY project_id, subscription_id, currency, divisor, since DESC
), closing AS (
  SELECT DISTINCT ON (project_id, subscription_id, currency, divisor) project_id, currency, divisor, customer_id, amount
  FROM mrr_changes WHERE project_id = ANY(%(projects)s) AND since < %(end)s
  ORDER BY project_id, subscription_id, currency, divisor, since DESC
), sides AS (
  SELECT project_id, currency, customer_id, divisor, amount AS opening, 0 AS closing FROM opening WHERE amount > 0
  UNION ALL
  SELECT project_id, currency, customer_id, divisor, 0, amount FROM closing WHERE amount > 0
), customers AS (
  SELECT project_id, currency, customer_id, sum(opening) AS opening, sum(closing) AS closing,
         round(sum(closing / divisor) - sum(opening / divisor), 6) AS more
  FROM sides GROUP BY project_id, currency, customer_id
), moved AS (
  SELECT c.project_id, c.currency, c.customer_id,
         CASE WHEN c.opening = 0 THEN CASE WHEN EXISTS (
                SELECT FROM mrr_changes AS m
                WHERE m.customer_id = c.customer_id AND m.project_id = c.project_id AND m.currency = c.currency
                  AND m.amount > 0 AND m.since < %(start)s) THEN 'reactivation' ELSE 'new' END
              WHEN c.closing = 0 THEN 'churn'
              WHEN c.more > 0 THEN 'expansion'
              WHEN c.more < 0 THEN 'contraction' END AS movement
  FROM customers AS c
)
SELECT project_id, currency, movement, divisor, count(DISTINCT customer_id) AS customers,
       sum(opening) AS opening, sum(closing) AS closing
FROM sides JOIN moved USING (project_id, currency, customer_id)
GROUP BY GROUPING SETS ((project_id, currency, movement, divisor), (project_id, currency, movement))
"""

_PURCHASES = """
SELECT o.project_id, p.currency, count(*) AS number, sum(p.amount)::bigint AS amount
FROM products AS o
JOIN prices AS r ON r.product_id = o.id
JOIN purchases AS p ON p.price_id = r.id
WHERE o.project_id = ANY(%(projects)s)
  AND p.paid_at >= COALESCE(%(start)s::timestamptz, '-infinity')
  AND p.paid_at < COALESCE(%(end)s::timestamptz, 'infinity')
GROUP BY o.project_id, p.currency ORDER BY p.currency
"""

# A refund of what several projects sold counts whole in each: its charge does not say which part went back.
_REFUNDS = """
SELECT sold.project_id, h.currency, count(*) AS number, sum(b.amount)::bigint AS amount
FROM refunds AS b
JOIN charges AS h ON h.id = b.charge_id
CROSS JOIN LATERAL (
  SELECT o.project_id
  FROM purchases AS p JOIN prices AS r ON r.id = p.price_id JOIN products AS o ON o.id = r.product_id
  WHERE p.session_id = h.session_id AND o.project_id = ANY(%(projects)s)
  UNION
  SELECT o.project_id
  FROM subscription_items AS i JOIN prices AS r ON r.id = i.price_id JOIN products AS o ON o.id = r.product_id
  WHERE i.subscription_id = h.subscription_id AND o.project_id = ANY(%(projects)s)) AS sold
WHERE b.created_at >= %(start)s AND b.created_at < %(end)s AND b.status NOT IN ('failed', 'canceled')
GROUP BY sold.project_id, h.currency ORDER BY h.currency
"""

_GRANTS = """
SELECT project_id, denial, count(*) AS number
FROM grants
WHERE project_id = ANY(%(projects)s) AND valid_from <= %(now)s AND valid_to > %(now)s
  AND (revoked_at IS NULL OR revoked_at > %(now)s)
GROUP BY project_id, denial
"""

_INBOX = "SELECT status, count(*) FROM inbox GROUP BY status"
_OUTBOX = "SELECT count(*), min(created_at) FROM outbox"


def list_project_ids(connection: Connection, after: str | None, limit: int) -> list[str]:
    """In order, from the one that follows `after`."""
    return [row[0] for row in connection.execute(_PROJECTS, (after or "", limit))]


def count_subscriptions(connection: Connection, projects: Sequence[str], statuses: Sequence[str]) -> list[StatusCount]:
    """As they are now. What has none is not there."""
    with connection.cursor(row_factory=class_row(StatusCount)) as cursor:
        return cursor.execute(_STATUSES, (list(projects), list(statuses))).fetchall()


def sum_revenue(connection: Connection, projects: Sequence[str], now: datetime) -> list[RevenueRow]:
    """The MRR of all subscriptions as they are mirrored now, with the discounts that are live at `now`."""
    with connection.cursor(row_factory=class_row(RevenueRow)) as cursor:
        return cursor.execute(_REVENUE, {"projects": list(projects), "now": now}).fetchall()


def sum_movements(connection: Connection, projects: Sequence[str], start: datetime, end: datetime) -> list[MovementRow]:
    """By the ledger, between what held just before `start` and just before `end`. None: it did not move."""
    with connection.cursor(row_factory=class_row(MovementRow)) as cursor:
        return cursor.execute(_MOVEMENTS, {"projects": list(projects), "start": start, "end": end}).fetchall()


def sum_purchases(
    connection: Connection,
    projects: Sequence[str],
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[MoneyRow]:
    """Lines of one-time checkouts that were paid in `[start, end)`, by currency; None: without that bound."""
    with connection.cursor(row_factory=class_row(MoneyRow)) as cursor:
        return cursor.execute(_PURCHASES, {"projects": list(projects), "start": start, "end": end}).fetchall()


def sum_refunds(connection: Connection, projects: Sequence[str], start: datetime, end: datetime) -> list[MoneyRow]:
    """Refunds made in `[start, end)`, by currency, less those that failed or were canceled."""
    with connection.cursor(row_factory=class_row(MoneyRow)) as cursor:
        return cursor.execute(_REFUNDS, {"projects": list(projects), "start": start, "end": end}).fetchall()


def count_grants(connection: Connection, projects: Sequence[str], now: datetime) -> list[GrantCount]:
    """Grants and denials whose window contains `now`."""
    with connection.cursor(row_factory=class_row(GrantCount)) as cursor:
        return cursor.execute(_GRANTS, {"projects": list(projects), "now": now}).fetchall()


def count_inbox(connection: Connection) -> dict[str, int]:
    """Events by what became of them."""
    return dict(connection.execute(_INBOX).fetchall())


def outbox_debts(connection: Connection) -> tuple[int, datetime | None]:
    """How many publications are owed, and since when the oldest is."""
    row = connection.execute(_OUTBOX).fetchone()
    return row or (0, None)
