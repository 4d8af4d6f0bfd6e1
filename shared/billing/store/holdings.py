"""What a customer holds, gathered from its rows; and the record of each change of it, with its cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem, to_json
from billing.domain.policies import MoneyBack
from billing.store.charges import Paid, paid_by
from billing.store.connection import Connection

CauseKind = Literal["event", "sync", "grant", "run"]

# Past due since: the first failure of the invoice that is due now. Absorbing facts, so no order of events matters.
_ITEMS = """
SELECT i.id, s.id AS subscription_id, i.price_id, r.product_id, i.quantity, s.status, s.start_at AS start,
       i.period_start, i.period_end, s.cancel_at, s.cancel_at_period_end, s.ended_at,
       CASE WHEN s.status = 'past_due' THEN v.first_failed_at END AS past_due_since,
       k.deleted_at AS customer_deleted_at, s.observed_event AS event
FROM stripe_customers AS k
JOIN subscriptions AS s ON s.stripe_customer_id = k.id
JOIN subscription_items AS i ON i.subscription_id = s.id
JOIN prices AS r ON r.id = i.price_id
LEFT JOIN invoices AS v ON v.id = s.latest_invoice_id
WHERE k.customer_id = %s
ORDER BY i.id
"""
_PURCHASES = """
SELECT p.session_id || '/' || p.line_item_id AS id, p.price_id, r.product_id, p.quantity, p.paid_at,
       p.observed_event AS event
FROM stripe_customers AS k
JOIN purchases AS p ON p.stripe_customer_id = k.id
JOIN prices AS r ON r.id = p.price_id
WHERE k.customer_id = %s AND p.paid_at IS NOT NULL
ORDER BY p.session_id, p.line_item_id
"""
_GRANTS = """
SELECT id, project_id, feature_code AS feature, value, denial, priority, valid_from, valid_to, created_at, revoked_at
FROM grants WHERE customer_id = %s ORDER BY id
"""
_INVOICES = """
SELECT s.latest_invoice_id, (SELECT max(v.paid_at) FROM invoices AS v WHERE v.subscription_id = s.id)
FROM subscriptions AS s WHERE s.id = %s
"""
_HELD = "SELECT holdings FROM customers WHERE id = %s"
_CHANGE = """
WITH changed AS (
  UPDATE customers SET holdings = %(holdings)s, version = version + 1, changed_at = %(now)s
  WHERE id = %(customer_id)s RETURNING version
), recorded AS (
  INSERT INTO holdings_changes (customer_id, version, holdings, changed_at, cause_kind, cause_id)
  SELECT %(customer_id)s, version, %(holdings)s, %(now)s, %(cause_kind)s, %(cause_id)s FROM changed
)
INSERT INTO outbox (customer_id, cause_kind, cause_id) VALUES (%(customer_id)s, %(cause_kind)s, %(cause_id)s)
"""


def holdings_of(connection: Connection, customer_id: int) -> list[Holding]:
    """All of a customer's items, purchases and grants, ended ones too: they are why somebody no longer has access."""
    held: list[Holding] = []
    charges = paid_by(connection, customer_id)
    with connection.cursor(row_factory=class_row(SubscriptionItem)) as items:
        rows = items.execute(_ITEMS, (customer_id,)).fetchall()
        held += [_with_subscription_payments(connection, row, charges) for row in rows]
    with connection.cursor(row_factory=class_row(Purchase)) as purchases:
        held += [_with_payment(row, charges) for row in purchases.execute(_PURCHASES, (customer_id,))]
    with connection.cursor(row_factory=class_row(Grant)) as grants:
        held += grants.execute(_GRANTS, (customer_id,)).fetchall()
    return held


def _with_payment(purchase: Purchase, charges: list[Paid]) -> Purchase:
    session_id = purchase.id.partition("/")[0]
    became = [charge.became for charge in charges if charge.session_id == session_id]
    return replace(purchase, money=_merged(became, became))


def _with_subscription_payments(
    connection: Connection, item: SubscriptionItem, charges: list[Paid]
) -> SubscriptionItem:
    """Refunds count of the present period's invoice; disputes of any; a loss until a later invoice is paid."""
    own = [charge for charge in charges if charge.subscription_id == item.subscription_id]
    if not own:
        return item
    latest, last_paid_at = connection.execute(_INVOICES, (item.subscription_id,)).fetchall()[0]
    refunded = [charge.became for charge in own if charge.invoice_id == latest]
    money = _merged(refunded, [charge.became for charge in own])
    if money.lost_at is not None and last_paid_at is not None and last_paid_at > money.lost_at:
        money = replace(money, lost_at=None)
    return replace(item, money=money)


def _merged(refunded: list[MoneyBack], disputed: list[MoneyBack]) -> MoneyBack:
    return MoneyBack(
        refunded_at=_first(one.refunded_at for one in refunded),
        partly_refunded_at=_first(one.partly_refunded_at for one in refunded),
        disputed_since=_first(one.disputed_since for one in disputed),
        lost_at=max((one.lost_at for one in disputed if one.lost_at is not None), default=None),
    )


def _first(instants: Iterable[datetime | None]) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


def record_change(
    connection: Connection, customer_id: int, *, cause_kind: CauseKind, cause_id: str, now: datetime
) -> bool:
    """Bring `customers.holdings` up to date, under the caller's lock of that row.

    A change gets the next version, its cause in the history, and an outbox row. False: nothing changed but evidence.
    """
    held = [to_json(holding) for holding in holdings_of(connection, customer_id)]
    row = connection.execute(_HELD, (customer_id,)).fetchone()
    if row is not None and _bare(row[0]) == _bare(held):
        return False
    members = {"holdings": Jsonb(held), "now": now, "customer_id": customer_id}
    connection.execute(_CHANGE, {**members, "cause_kind": cause_kind, "cause_id": cause_id})
    return True


def _bare(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Holdings less the event that stated them: a later event that states the same changes nothing."""
    return [{name: value for name, value in holding.items() if name != "event"} for holding in held]
