"""From a holding to the windows in which it gives a feature: SPEC §2.4 (items), §2.5 (purchases), grants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, assert_never

from billing.domain.catalog import UNLIMITED, Benefit, Catalog, PricePolicy, benefits_of, policy_of
from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem
from billing.domain.windows import FOREVER, Window, capped

EndReason = Literal["expired", "past_due_grace_ended", "suspended_dispute", "no_source"]
SourceKind = Literal["subscription_item", "purchase", "grant"]

ACCESS_STATUSES = frozenset({"active", "trialing"})
ENDED_STATUSES = frozenset({"canceled", "paused"})
NEVER_PAID_STATUSES = frozenset({"incomplete", "incomplete_expired"})
KNOWN_STATUSES = ACCESS_STATUSES | ENDED_STATUSES | NEVER_PAID_STATUSES | {"past_due", "unpaid"}
"""Every `subscription.status` this service has a rule for; another gives no access and raises an alarm."""


@dataclass(frozen=True, slots=True)
class Source:
    """Why a customer holds a feature: a value in a window, and what to say once the window is over."""

    kind: SourceKind
    id: str
    feature: str
    value: object
    window: Window
    since: datetime
    priority: int = 0
    end_reason: EndReason = "expired"
    evidence: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Denial:
    """A grant that takes a feature away for a window, whatever else gives it."""

    id: str
    feature: str
    window: Window


def item_window(item: SubscriptionItem, policy: PricePolicy) -> tuple[Window, EndReason]:
    """When a subscription item gives access, and why not afterwards (SPEC §2.4).

    Rests on `subscription.status`, `.start_date`, `.cancel_at`, `.cancel_at_period_end`, `.ended_at` and
    `items.data[].current_period_end`.
    """
    nothing = Window(item.start, item.start)
    end = capped(item.period_end, policy.renewal_leeway)
    reason: EndReason = "expired"
    if item.status == "past_due":
        since = item.past_due_since or item.period_start
        grace_end = capped(since, policy.grace_period)
        if grace_end < end:
            end, reason = grace_end, "past_due_grace_ended"
    elif item.status == "unpaid":
        return nothing, "past_due_grace_ended"
    elif item.status in ENDED_STATUSES and (item.status == "paused" or item.ended_at is None):
        return nothing, "expired"
    elif item.status not in ACCESS_STATUSES | ENDED_STATUSES:
        return nothing, "no_source"
    for limit in _ends(item):
        if limit < end:
            end, reason = limit, "expired"
    return Window(item.start, max(item.start, end)), reason


def _ends(item: SubscriptionItem) -> list[datetime]:
    """The ends that take no leeway."""
    at_period_end = item.period_end if item.cancel_at_period_end else None
    ends = (item.cancel_at, at_period_end, item.ended_at, item.customer_deleted_at)
    return [end for end in ends if end is not None]


def purchase_window(purchase: Purchase, policy: PricePolicy) -> Window:
    """From payment, for ever or for the price's `access_days` of 24 hours (SPEC §2.5)."""
    if policy.access_days is None:
        return Window(purchase.paid_at, FOREVER)
    return Window(purchase.paid_at, capped(purchase.paid_at, timedelta(days=policy.access_days)))


def after_money_back(
    holding: SubscriptionItem | Purchase, window: Window, reason: EndReason, policy: PricePolicy
) -> tuple[Window, EndReason]:
    """The window cut where a refund or a dispute ends it (SPEC §2.6). Whatever is undone restores it exactly."""
    on_full = policy.on_full_refund or ("revoke" if isinstance(holding, Purchase) else "keep")
    ends: list[tuple[datetime | None, EndReason]] = [
        (holding.money.refunded_at if on_full == "revoke" else None, "expired"),
        (holding.money.partly_refunded_at if policy.on_partial_refund == "revoke" else None, "expired"),
        (holding.money.disputed_since, "suspended_dispute"),
        (holding.money.lost_at, "expired"),
    ]
    for end, why in ends:
        if end is not None and end < window.end:
            window, reason = Window(window.start, max(window.start, end)), why
    return window, reason


def grant_window(grant: Grant) -> Window:
    """The grant's own window, cut where it was revoked."""
    end = grant.valid_to if grant.revoked_at is None else min(grant.valid_to, grant.revoked_at)
    return Window(grant.valid_from, max(grant.valid_from, end))


def sources_of(holding: Holding, catalog: Catalog) -> list[Source | Denial]:
    """Everything one holding gives or denies in a project, by its catalog as it is now (SPEC §2.8)."""
    match holding:
        case SubscriptionItem():
            policy = policy_of(catalog, holding.price_id)
            window, reason = after_money_back(holding, *item_window(holding, policy), policy)
            evidence = _evidence(holding, subscription=holding.subscription_id, status=holding.status)
            return [
                _source(holding, benefit, window, reason, holding.start, evidence)
                for benefit in benefits_of(catalog, holding.product_id, holding.price_id)
                if benefit.feature in catalog.features
            ]
        case Purchase():
            policy = policy_of(catalog, holding.price_id)
            window, reason = after_money_back(holding, purchase_window(holding, policy), "expired", policy)
            evidence = _evidence(holding)
            return [
                _source(holding, benefit, window, reason, holding.paid_at, evidence)
                for benefit in benefits_of(catalog, holding.product_id, holding.price_id)
                if benefit.feature in catalog.features
            ]
        case Grant():
            ours = holding.project_id == catalog.project_id and holding.feature in catalog.features
            return _granted(holding) if ours else []
        case _:
            assert_never(holding)


def _granted(grant: Grant) -> list[Source | Denial]:
    window = grant_window(grant)
    if grant.denial:
        return [Denial(grant.id, grant.feature, window)]
    return [Source("grant", grant.id, grant.feature, grant.value, window, grant.created_at, priority=grant.priority)]


def _source(
    holding: SubscriptionItem | Purchase,
    benefit: Benefit,
    window: Window,
    reason: EndReason,
    since: datetime,
    evidence: tuple[tuple[str, str], ...],
) -> Source:
    kind: SourceKind = "subscription_item" if isinstance(holding, SubscriptionItem) else "purchase"
    value = benefit.value
    if benefit.per_unit and value != UNLIMITED and isinstance(value, int):
        value = value * holding.quantity
    return Source(kind, holding.id, benefit.feature, value, window, since, benefit.priority, reason, evidence)


def _evidence(holding: SubscriptionItem | Purchase, **more: str) -> tuple[tuple[str, str], ...]:
    named = {**more, "product": holding.product_id, "price": holding.price_id}
    if holding.event is not None:
        named["event"] = holding.event
    return tuple(named.items())
