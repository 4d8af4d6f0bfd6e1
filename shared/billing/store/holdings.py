"""What a customer holds, gathered from its rows; and the record of each change of it, with its cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, cast

import msgspec

from billing.domain.holdings import Holding, Purchase, SubscriptionItem, from_json, to_json
from billing.domain.policies import Dispute, MoneyBack, Refund, money_back
from billing.domain.windows import parse_rfc3339
from billing.store.connection import Connection

CauseKind = Literal["event", "sync", "grant", "run"]

# Both are functions of migration 0005.
_ROWS = "SELECT to_jsonb(r) FROM customer_rows($1) AS r"
_CHANGE = "SELECT change_holdings($1, $2, $3, $4, $5)"

_CHANGES = "SELECT change_holdings_of_many($1, $2)"  # a function of migration 0013

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


@dataclass(frozen=True, slots=True)
class CustomerRows:
    """What a customer's rows say (the function `customer_rows`), and what is stored of it: `holdings`."""

    holdings: list[dict[str, Any]]
    items: list[Any]
    purchases: list[Any]
    grants: list[Any]
    charges: list[Any]

    def news(self) -> list[dict[str, Any]] | None:
        """What the customer holds, where that is another than what is stored, evidence apart."""
        held = held_by_rows(self.items, self.purchases, self.grants, self.charges)
        return None if bare(self.holdings) == bare(held) else held


def record_change(
    connection: Connection,
    customer_id: int,
    *,
    cause_kind: CauseKind,
    cause_id: str,
    now: datetime,
    rows: CustomerRows | None = None,
) -> bool:
    """Bring `customers.holdings` up to date, under the caller's lock of that row.

    A change gets the next version, its cause in the history, and an outbox row. False: nothing changed but evidence.
    `rows`: the customer's, where the caller has read them since they were last written.
    """
    held = (rows or _read_rows(connection, customer_id)).news()
    if held is not None:
        store_change(connection, customer_id, held, cause_kind=cause_kind, cause_id=cause_id, now=now)
    return held is not None


def _read_rows(connection: Connection, customer_id: int) -> CustomerRows:
    row = connection.ask(_ROWS, str(customer_id))
    if not row or row[0] is None:
        raise LookupError(f"no customer {customer_id}: customers rows are never deleted")
    return msgspec.json.decode(row[0], type=CustomerRows)


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
    document = msgspec.json.encode(held).decode()
    connection.tell(_CHANGE, str(customer_id), document, now.isoformat(), cause_kind, cause_id)


@dataclass(frozen=True, slots=True)
class Change:
    """What a customer holds from now on, and the event or the like that made it so."""

    customer: int
    held: list[dict[str, Any]]
    cause: CauseKind
    evidence: str


def store_changes(connection: Connection, changes: list[Change], now: datetime) -> None:
    """As `store_change`, for customers that are named once each."""
    if changes:
        connection.tell(_CHANGES, msgspec.json.encode(changes).decode(), now.isoformat())


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
