"""What a customer holds, gathered from its rows; and the record of each change of it, with its cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, cast

from psycopg.types.json import Jsonb

from billing.domain.holdings import Holding, Purchase, SubscriptionItem, from_json, to_json
from billing.domain.policies import Dispute, MoneyBack, Refund, money_back
from billing.domain.windows import parse_rfc3339
from billing.store.connection import Connection

CauseKind = Literal["event", "sync", "grant", "run"]

# One statement, so one round trip and one instant. Past due since: the first failure after the last payment, so that
# dunning which never ends does not start a new grace every period. A loss before the last payment is made good.
_HELD = """
SELECT c.holdings,
  (SELECT COALESCE(jsonb_agg(to_jsonb(held) ORDER BY held.id), '[]') FROM (
     SELECT i.id, s.id AS subscription_id, i.price_id, r.product_id, i.quantity, s.status, s.start_at AS start,
            i.period_start, i.period_end, s.cancel_at, s.cancel_at_period_end, s.ended_at,
            CASE WHEN s.status = 'past_due' THEN (
              SELECT min(f.first_failed_at) FROM invoices AS f
              WHERE f.subscription_id = s.id AND f.paid_at IS NULL
                AND f.first_failed_at > COALESCE(
                  (SELECT max(q.paid_at) FROM invoices AS q WHERE q.subscription_id = s.id), '-infinity')
            ) END AS past_due_since,
            k.deleted_at AS customer_deleted_at, s.observed_event AS event, s.latest_invoice_id,
            (SELECT max(paid.paid_at) FROM invoices AS paid WHERE paid.subscription_id = s.id) AS last_paid_at
     FROM stripe_customers AS k
     JOIN subscriptions AS s ON s.stripe_customer_id = k.id
     JOIN subscription_items AS i ON i.subscription_id = s.id
     JOIN prices AS r ON r.id = i.price_id
     WHERE k.customer_id = c.id) AS held),
  (SELECT COALESCE(jsonb_agg(to_jsonb(held) ORDER BY held.id), '[]') FROM (
     SELECT p.session_id || '/' || p.line_item_id AS id, p.session_id, p.price_id, r.product_id, p.quantity, p.paid_at,
            p.observed_event AS event
     FROM stripe_customers AS k
     JOIN purchases AS p ON p.stripe_customer_id = k.id
     JOIN prices AS r ON r.id = p.price_id
     WHERE k.customer_id = c.id AND p.paid_at IS NOT NULL) AS held),
  (SELECT COALESCE(jsonb_agg(to_jsonb(held) ORDER BY held.id), '[]') FROM (
     SELECT g.id, g.project_id, g.feature_code AS feature, g.value, g.denial, g.priority, g.valid_from, g.valid_to,
            g.created_at, g.revoked_at
     FROM grants AS g WHERE g.customer_id = c.id) AS held),
  (SELECT COALESCE(jsonb_agg(to_jsonb(charged)), '[]') FROM (
     SELECT h.amount, h.session_id, h.invoice_id, h.subscription_id,
            (SELECT COALESCE(jsonb_agg(jsonb_build_array(b.id, b.amount, b.status, b.created_at)), '[]')
               FROM refunds AS b WHERE b.charge_id = h.id) AS refunds,
            (SELECT COALESCE(jsonb_agg(jsonb_build_array(d.id, d.amount, d.status, d.opened_at, d.closed_at)), '[]')
               FROM disputes AS d WHERE d.charge_id = h.id) AS disputes
     FROM stripe_customers AS k JOIN charges AS h ON h.stripe_customer_id = k.id
     WHERE k.customer_id = c.id) AS charged)
FROM customers AS c WHERE c.id = %s
"""
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


def record_change(
    connection: Connection, customer_id: int, *, cause_kind: CauseKind, cause_id: str, now: datetime
) -> bool:
    """Bring `customers.holdings` up to date, under the caller's lock of that row.

    A change gets the next version, its cause in the history, and an outbox row. False: nothing changed but evidence.
    """
    row = connection.execute(_HELD, (customer_id,)).fetchone()
    if row is None:
        raise LookupError(f"no customer {customer_id}: customers rows are never deleted")
    before, items, purchases, grants, charges = row
    paid = [_charge(**charge) for charge in charges]
    held = [
        *(to_json(_item(item, paid)) for item in items),
        *(to_json(_purchase(purchase, paid)) for purchase in purchases),
        *(to_json(from_json({"kind": "grant", **_present(grant)})) for grant in grants),
    ]
    if _bare(before) == _bare(held):
        return False
    members = {"holdings": Jsonb(held), "now": now, "customer_id": customer_id}
    connection.execute(_CHANGE, {**members, "cause_kind": cause_kind, "cause_id": cause_id})
    return True


@dataclass(frozen=True, slots=True)
class _Charge:
    session_id: str | None
    invoice_id: str | None
    subscription_id: str | None
    became: MoneyBack


def _charge(refunds: list[Any], disputes: list[Any], amount: int, **paid: str | None) -> _Charge:
    given_back = [Refund(i, cents, status, parse_rfc3339(at)) for i, cents, status, at in refunds]
    disputed = [
        Dispute(i, cents, status, parse_rfc3339(opened), None if closed is None else parse_rfc3339(closed))
        for i, cents, status, opened, closed in disputes
    ]
    return _Charge(**paid, became=money_back(amount, given_back, disputed))


def _item(row: dict[str, Any], charges: list[_Charge]) -> Holding:
    """Refunds count of the present period's invoice; disputes of any; a loss until a later invoice is paid."""
    latest, last_paid_at = row.pop("latest_invoice_id"), row.pop("last_paid_at")
    item = cast("SubscriptionItem", from_json({"kind": "subscription_item", **_present(row)}))
    own = [charge for charge in charges if charge.subscription_id == row["subscription_id"]]
    money = _merged([charge.became for charge in own if charge.invoice_id == latest], [c.became for c in own])
    if money.lost_at is not None and last_paid_at is not None and parse_rfc3339(last_paid_at) > money.lost_at:
        money = replace(money, lost_at=None)
    return replace(item, money=money)


def _purchase(row: dict[str, Any], charges: list[_Charge]) -> Holding:
    session_id = row.pop("session_id")
    became = [charge.became for charge in charges if charge.session_id == session_id]
    purchase = cast("Purchase", from_json({"kind": "purchase", **_present(row)}))
    return replace(purchase, money=_merged(became, became))


def _present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _merged(refunded: list[MoneyBack], disputed: list[MoneyBack]) -> MoneyBack:
    return MoneyBack(
        refunded_at=_first(one.refunded_at for one in refunded),
        partly_refunded_at=_first(one.partly_refunded_at for one in refunded),
        disputed_since=_first(one.disputed_since for one in disputed),
        lost_at=max((one.lost_at for one in disputed if one.lost_at is not None), default=None),
    )


def _first(instants: Iterable[datetime | None]) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


def _bare(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Holdings less the event that stated them: a later event that states the same changes nothing."""
    return [{name: value for name, value in holding.items() if name != "event"} for holding in held]
