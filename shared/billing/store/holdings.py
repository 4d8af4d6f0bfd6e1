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

# Both are functions of migration 0005.
_ROWS = "SELECT holdings, items, purchases, grants, charges FROM customer_rows(%s)"
_CHANGE = "SELECT change_holdings(%s, %s, %s, %s, %s)"

# The rows that this very transaction wrote (outside savepoints), by the first of which each customer's change began.
_HELD_BEFORE = """
SELECT mine.customer_id, COALESCE(h.holdings, '[]') FROM (
  SELECT customer_id, min(version) AS version FROM holdings_changes
  WHERE customer_id = ANY(%s) AND xmin = pg_current_xact_id()::xid GROUP BY customer_id) AS mine
LEFT JOIN holdings_changes AS h ON h.customer_id = mine.customer_id AND h.version = mine.version - 1
ORDER BY mine.customer_id
"""


def held_before(connection: Connection, customer_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """What those customers held when this transaction began whose holdings it has changed so far."""
    return dict(connection.execute(_HELD_BEFORE, (sorted(set(customer_ids)),)).fetchall())


def record_change(
    connection: Connection, customer_id: int, *, cause_kind: CauseKind, cause_id: str, now: datetime
) -> bool:
    """Bring `customers.holdings` up to date, under the caller's lock of that row.

    A change gets the next version, its cause in the history, and an outbox row. False: nothing changed but evidence.
    """
    row = connection.execute(_ROWS, (customer_id,)).fetchone()
    if row is None:
        raise LookupError(f"no customer {customer_id}: customers rows are never deleted")
    before, *rows = row
    held = held_by_rows(*rows)
    if bare(before) == bare(held):
        return False
    store_change(connection, customer_id, held, cause_kind=cause_kind, cause_id=cause_id, now=now)
    return True


def store_change(
    connection: Connection,
    customer_id: int,
    held: list[dict[str, Any]],
    *,
    cause_kind: CauseKind,
    cause_id: str,
    now: datetime,
) -> None:
    """The customer's next version, under the caller's lock of their row."""
    connection.execute(_CHANGE, (customer_id, Jsonb(held), now, cause_kind, cause_id))


def held_by_rows(items: list[Any], purchases: list[Any], grants: list[Any], charges: list[Any]) -> list[dict[str, Any]]:
    """What these rows of a customer come to, as `customers.holdings` has it. Rows are those of `customer_rows`."""
    paid = [_charge(**charge) for charge in charges]
    return [
        *(to_json(_item(item, paid)) for item in items),
        *(to_json(_purchase(purchase, paid)) for purchase in purchases),
        *(to_json(from_json({"kind": "grant", **_present(grant)})) for grant in grants),
    ]


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


def bare(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Holdings less the event that stated them: a later event that states the same changes nothing."""
    return [{name: value for name, value in holding.items() if name != "event"} for holding in held]
