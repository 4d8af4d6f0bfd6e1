"""What a customer holds, as the store knows it: subscription items, purchases and grants, before any rule."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from billing.domain.policies import NOTHING_BACK, MoneyBack
from billing.domain.windows import parse_rfc3339, rfc3339


@dataclass(frozen=True, slots=True)
class SubscriptionItem:
    """An item of a Stripe subscription; the dates are the subscription's, the period is the item's own.

    Of its payments: refunds of the latest invoice; disputes of any; `lost_at` only until a later invoice is paid.
    """

    id: str
    subscription_id: str
    price_id: str
    product_id: str
    quantity: int
    status: str
    start: datetime
    period_start: datetime
    period_end: datetime
    cancel_at: datetime | None = None
    cancel_at_period_end: bool = False
    ended_at: datetime | None = None
    past_due_since: datetime | None = None
    customer_deleted_at: datetime | None = None
    money: MoneyBack = NOTHING_BACK
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Purchase:
    """A paid line of a one-time checkout session."""

    id: str
    price_id: str
    product_id: str
    quantity: int
    paid_at: datetime
    money: MoneyBack = NOTHING_BACK
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Access an operator gave by hand, or a denial (`value` None) that beats everything."""

    id: str
    project_id: str
    feature: str
    value: object
    denial: bool
    priority: int
    valid_from: datetime
    valid_to: datetime
    created_at: datetime
    revoked_at: datetime | None = None


Holding = SubscriptionItem | Purchase | Grant
_KINDS: dict[str, type[Holding]] = {
    "subscription_item": SubscriptionItem,
    "purchase": Purchase,
    "grant": Grant,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_INSTANTS: dict[type[Any], dict[str, bool]] = {
    kind: {field.name: "datetime" in str(field.type) for field in fields(kind)} for kind in (*_NAMES, MoneyBack)
}
"""Each member of a kind, and whether it is an instant."""


def to_json(holding: Holding) -> dict[str, Any]:
    """A JSON object with `kind`; `from_json` gives the equal holding back."""
    kind = type(holding)
    return {"kind": _NAMES[kind], **_written(kind, holding)}


def from_json(document: dict[str, Any]) -> Holding:
    kind = _KINDS[document["kind"]]
    members = _read(kind, document)
    if kind is Grant:
        members.setdefault("value", None)
    elif "money" in members:
        members["money"] = MoneyBack(**_read(MoneyBack, members["money"]))
    return kind(**members)


def _written(kind: type[Any], whole: object) -> dict[str, Any]:
    """Instants as RFC 3339; what is None or empty left out."""
    written: dict[str, Any] = {}
    for name in _INSTANTS[kind]:
        value = getattr(whole, name)
        if isinstance(value, datetime):
            written[name] = rfc3339(value)
        elif isinstance(value, MoneyBack):
            if value != NOTHING_BACK:
                written[name] = _written(MoneyBack, value)
        elif value is not None:
            written[name] = value
    return written


def _read(kind: type[Any], members: dict[str, Any]) -> dict[str, Any]:
    known = _INSTANTS[kind]
    # a member of a later release is passed over, so that a rollback can still read what that release wrote
    return {k: parse_rfc3339(v) if known[k] else v for k, v in members.items() if k in known}
