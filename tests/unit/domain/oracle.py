"""SPEC §2 a second time, as plainly as it can be said: no windows, one question at one instant, answered yes or no."""

from __future__ import annotations

from datetime import datetime, timedelta

from billing.domain.catalog import Benefit, Catalog, PricePolicy
from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem

Answer = tuple[bool, object]
"""Allowed, and the value (None when not)."""


def answer(holdings: list[Holding], catalog: Catalog, code: str, at: datetime) -> Answer:
    """May they use the feature at this instant, and how much of it?"""
    if any(_denies(holding, catalog, code, at) for holding in holdings):
        return False, None
    given = [gift for holding in holdings if _live(holding, catalog, at) for gift in _gifts(holding, catalog, code)]
    if not given:
        return False, None
    feature = catalog.features[code]
    values = [value for _, value in given]
    if feature.type == "boolean":
        return True, True
    if feature.type == "config":
        return True, max(given, key=lambda gift: gift[0])[1]
    if "unlimited" in values:
        return True, "unlimited"
    numbers = [int(str(value)) for value in values]
    return True, sum(numbers) if feature.merge == "sum" else max(numbers)


def _denies(holding: Holding, catalog: Catalog, code: str, at: datetime) -> bool:
    return (
        isinstance(holding, Grant)
        and holding.denial
        and (holding.project_id, holding.feature) == (catalog.project_id, code)
        and _grant_live(holding, at)
    )


def _live(holding: Holding, catalog: Catalog, at: datetime) -> bool:
    if isinstance(holding, Grant):
        return not holding.denial and _grant_live(holding, at)
    policy = catalog.policies.get(holding.price_id, PricePolicy())
    if _money_gone(holding, policy, at):
        return False
    if isinstance(holding, Purchase):
        return _purchase_live(holding, policy, at)
    return _item_live(holding, policy, at)


def _money_gone(holding: SubscriptionItem | Purchase, policy: PricePolicy, at: datetime) -> bool:
    money, full = holding.money, policy.on_full_refund
    if isinstance(holding, Purchase) and full is None:
        full = "revoke"
    took = [money.disputed_since, money.lost_at]
    took += [money.refunded_at] if full == "revoke" else []
    took += [money.partly_refunded_at] if policy.on_partial_refund == "revoke" else []
    return any(when is not None and at >= when for when in took)


def _grant_live(grant: Grant, at: datetime) -> bool:
    if at < grant.valid_from or at >= grant.valid_to:
        return False
    return grant.revoked_at is None or at < grant.revoked_at


def _purchase_live(purchase: Purchase, policy: PricePolicy, at: datetime) -> bool:
    if at < purchase.paid_at:
        return False
    return policy.access_days is None or at - purchase.paid_at < timedelta(days=policy.access_days)


def _item_live(item: SubscriptionItem, policy: PricePolicy, at: datetime) -> bool:
    ended = [item.ended_at, item.customer_deleted_at, item.cancel_at]
    if any(end is not None and at >= end for end in ended):
        return False
    if at < item.start or at - item.period_end >= policy.renewal_leeway:
        return False
    if item.cancel_at_period_end and at >= item.period_end:
        return False
    if item.status == "past_due":
        return at - (item.past_due_since or item.period_start) < policy.grace_period
    if item.status == "canceled":
        return item.ended_at is not None
    return item.status in ("active", "trialing")


Rank = tuple[int, datetime, str, str]


def _gifts(holding: Holding, catalog: Catalog, code: str) -> list[tuple[Rank, object]]:
    """The values of this feature that a live holding gives, ranked as configs are."""
    if isinstance(holding, Grant):
        ours = (holding.project_id, holding.feature) == (catalog.project_id, code)
        return [((holding.priority, holding.created_at, "grant", holding.id), holding.value)] if ours else []
    benefit = _benefit(catalog, holding.product_id, holding.price_id, code)
    if benefit is None:
        return []
    value = benefit.value
    if benefit.per_unit and value != "unlimited":
        value = sum(int(str(value)) for _ in range(holding.quantity))
    if isinstance(holding, Purchase):
        return [((benefit.priority, holding.paid_at, "purchase", holding.id), value)]
    return [((benefit.priority, holding.start, "subscription_item", holding.id), value)]


def _benefit(catalog: Catalog, product_id: str, price_id: str, code: str) -> Benefit | None:
    for benefit in (*catalog.by_price.get(price_id, ()), *catalog.by_product.get(product_id, ())):
        if benefit.feature == code:
            return benefit
    return None
