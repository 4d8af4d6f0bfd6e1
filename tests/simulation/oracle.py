"""The second opinion: what a user may do, by a naive reading of SPEC §2 that shares no code with the product.

It asks of every source "does it live at this instant?" and never computes a window. Times are seconds since 1970.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

LEEWAY = 72 * 3600
GRACE = 7 * 86_400
EVER = 10**12


@dataclass(frozen=True)
class Policy:
    grace: float = GRACE
    leeway: float = LEEWAY
    access_days: int | None = None
    on_full_refund: str | None = None
    on_partial_refund: str = "keep"


@dataclass(frozen=True)
class Benefit:
    feature: str
    value: Any
    per_unit: bool
    priority: int


@dataclass(frozen=True)
class Shelf:
    """A project's catalog: kinds and merges of features, benefits by product and by price, policies by price."""

    features: Mapping[str, tuple[str, str]]
    by_product: Mapping[str, list[Benefit]]
    by_price: Mapping[str, list[Benefit]]
    policies: Mapping[str, Policy]


@dataclass(frozen=True)
class Money:
    refunded_at: float | None = None
    partly_refunded_at: float | None = None
    disputed_since: float | None = None
    lost_at: float | None = None


@dataclass(frozen=True)
class Item:
    price: str
    product: str
    quantity: int
    status: str
    start: float
    period_start: float
    period_end: float
    cancel_at: float | None
    cancel_at_period_end: bool
    ended_at: float | None
    past_due_since: float | None
    customer_deleted_at: float | None
    money: Money = field(default_factory=Money)


@dataclass(frozen=True)
class Bought:
    price: str
    product: str
    quantity: int
    paid_at: float
    money: Money = field(default_factory=Money)


@dataclass(frozen=True)
class Given:
    project: str
    feature: str
    value: Any
    denial: bool
    priority: int
    valid_from: float
    valid_to: float
    revoked_at: float | None
    created_at: float


Held = Item | Bought | Given


@dataclass(frozen=True)
class Access:
    """`values` are all that would be right: two config sources can be equally new."""

    allowed: bool
    values: tuple[Any, ...] = ()

    def fits(self, answer: Mapping[str, Any]) -> bool:
        if answer["allowed"] is not self.allowed:
            return False
        return not self.allowed or any(_json(answer["value"]) == _json(value) for value in self.values)


def access(held: Iterable[Held], shelf: Shelf, project: str, feature: str, at: float) -> Access:
    """May they use the project's feature at the instant, and how much of it?"""
    kind, merge = shelf.features[feature]
    every = list(held)
    grants = [g for g in every if isinstance(g, Given) and g.project == project and g.feature == feature]
    if any(g.denial and _grant_lives(g, at) for g in grants):
        return Access(False)
    live = [(g.priority, g.created_at, g.value) for g in grants if not g.denial and _grant_lives(g, at)]
    live += [given for one in every if not isinstance(one, Given) for given in _gives(one, shelf, feature, at)]
    if not live:
        return Access(False)
    if kind == "boolean":
        return Access(True, (True,))
    if kind == "config":
        best = max((priority, since) for priority, since, _ in live)
        return Access(True, tuple(value for priority, since, value in live if (priority, since) == best))
    if any(value == "unlimited" for _, _, value in live):
        return Access(True, ("unlimited",))
    numbers = [value for _, _, value in live]
    return Access(True, (sum(numbers) if merge == "sum" else max(numbers),))


def _gives(held: Item | Bought, shelf: Shelf, feature: str, at: float) -> list[tuple[int, float, Any]]:
    own = [b for b in shelf.by_price.get(held.price, []) if b.feature == feature]
    benefits = own or [b for b in shelf.by_product.get(held.product, []) if b.feature == feature]
    policy = shelf.policies.get(held.price, Policy())
    lives = _item_lives(held, policy, at) if isinstance(held, Item) else _purchase_lives(held, policy, at)
    since = held.start if isinstance(held, Item) else held.paid_at
    return [(b.priority, since, _times(b, held.quantity)) for b in benefits] if lives else []


def _times(benefit: Benefit, quantity: int) -> Any:
    return benefit.value * quantity if benefit.per_unit and benefit.value != "unlimited" else benefit.value


def _grant_lives(grant: Given, at: float) -> bool:
    return grant.valid_from <= at < grant.valid_to and (grant.revoked_at is None or at < grant.revoked_at)


def _item_lives(item: Item, policy: Policy, at: float) -> bool:
    """SPEC §2.4: each line a reason to say no."""
    if item.status not in {"active", "trialing", "past_due", "canceled"}:
        return False
    if item.status == "canceled" and item.ended_at is None:
        return False
    if at < item.start or at >= item.period_end + policy.leeway:
        return False
    if item.status == "past_due" and at >= _or(item.past_due_since, item.period_start) + policy.grace:
        return False
    if item.cancel_at_period_end and at >= item.period_end:
        return False
    if any(at >= _or(end, EVER) for end in (item.cancel_at, item.ended_at, item.customer_deleted_at)):
        return False
    return _paid_for(item.money, policy, at, on_full=policy.on_full_refund or "keep")


def _purchase_lives(bought: Bought, policy: Policy, at: float) -> bool:
    if at < bought.paid_at:
        return False
    if policy.access_days is not None and at >= bought.paid_at + policy.access_days * 86_400:
        return False
    return _paid_for(bought.money, policy, at, on_full=policy.on_full_refund or "revoke")


def _paid_for(money: Money, policy: Policy, at: float, *, on_full: str) -> bool:
    """SPEC §2.6."""
    if on_full == "revoke" and at >= _or(money.refunded_at, EVER):
        return False
    if policy.on_partial_refund == "revoke" and at >= _or(money.partly_refunded_at, EVER):
        return False
    return at < _or(money.disputed_since, EVER) and at < _or(money.lost_at, EVER)


def edges(held: Iterable[Held], shelf: Shelf) -> list[float]:
    """Instants at which an answer may change: worth asking at, and just before."""
    found: set[float] = set()
    for one in held:
        if isinstance(one, Given):
            found |= {one.valid_from, one.valid_to, _or(one.revoked_at, 0)}
            continue
        policy = shelf.policies.get(one.price, Policy())
        if isinstance(one, Item):
            due = _or(one.past_due_since, one.period_start) + policy.grace
            found |= {one.period_end, one.period_end + policy.leeway, due, _or(one.cancel_at, 0)}
        elif policy.access_days is not None:
            found.add(one.paid_at + policy.access_days * 86_400)
    return sorted(edge for edge in found if edge < EVER)


# ── from the store's own words ───────────────────────────────────────────────────────────────────────────────────


def shelf_of_rows(features: Iterable[Any], benefits: Iterable[Any], policies: Iterable[Any]) -> Shelf:
    """From rows (code, type, merge), (product, price, feature, value, per_unit, priority), (price, policy…)."""
    by_product: dict[str, list[Benefit]] = {}
    by_price: dict[str, list[Benefit]] = {}
    for product, price, feature, value, per_unit, priority in benefits:
        place = by_product.setdefault(product, []) if price is None else by_price.setdefault(price, [])
        place.append(Benefit(feature, value, per_unit, priority))
    rules = {
        price: Policy(
            GRACE if grace is None else float(grace), LEEWAY if leeway is None else float(leeway), days, full,
            partial or "keep",
        )
        for price, grace, leeway, days, full, partial in policies
    }  # fmt: skip
    return Shelf({code: (kind, merge) for code, kind, merge in features}, by_product, by_price, rules)


def held_of_json(holdings: Iterable[Mapping[str, Any]]) -> list[Held]:
    """From `customers.holdings`."""
    readers: dict[str, Callable[[Mapping[str, Any]], Held]] = {
        "subscription_item": _item_of_json,
        "purchase": _bought_of_json,
        "grant": _given_of_json,
    }
    return [readers[holding["kind"]](holding) for holding in holdings]


def _item_of_json(row: Mapping[str, Any]) -> Item:
    return Item(
        price=row["price_id"],
        product=row["product_id"],
        quantity=row["quantity"],
        status=row["status"],
        start=_at(row["start"]),
        period_start=_at(row["period_start"]),
        period_end=_at(row["period_end"]),
        cancel_at=_maybe(row, "cancel_at"),
        cancel_at_period_end=row.get("cancel_at_period_end", False),
        ended_at=_maybe(row, "ended_at"),
        past_due_since=_maybe(row, "past_due_since"),
        customer_deleted_at=_maybe(row, "customer_deleted_at"),
        money=_money_of_json(row),
    )


def _bought_of_json(row: Mapping[str, Any]) -> Bought:
    return Bought(row["price_id"], row["product_id"], row["quantity"], _at(row["paid_at"]), _money_of_json(row))


def _given_of_json(row: Mapping[str, Any]) -> Given:
    return Given(
        row["project_id"], row["feature"], row.get("value"), row["denial"], row["priority"], _at(row["valid_from"]),
        _at(row["valid_to"]), _maybe(row, "revoked_at"), _at(row["created_at"]),
    )  # fmt: skip


def _money_of_json(row: Mapping[str, Any]) -> Money:
    money = row.get("money", {})
    names = ("refunded_at", "partly_refunded_at", "disputed_since", "lost_at")
    return Money(*(_maybe(money, name) for name in names))


def _maybe(row: Mapping[str, Any], name: str) -> float | None:
    return _at(row[name]) if row.get(name) is not None else None


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _json(value: Any) -> str:
    """To Python alone, true is 1."""
    return json.dumps(value, sort_keys=True)
