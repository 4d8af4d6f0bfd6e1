"""The rules a holding is under, in words: a code, what it says, where it alone would end the window (SPEC §2.4-2.6).

Told apart from `domain.sources` on purpose, in the same order: a property test holds the two against each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_never

from billing.domain.catalog import UNLIMITED, Catalog, PricePolicy, benefits_of, policy_of
from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem
from billing.domain.sources import ACCESS_STATUSES, ENDED_STATUSES, NEVER_PAID_STATUSES
from billing.domain.windows import FOREVER, capped


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that applied: a stable code and one plain sentence. `end` is where it alone would end the window."""

    code: str
    text: str
    end: datetime | None = None


def decisive(start: datetime, own: Sequence[Rule], money: Sequence[Rule]) -> Rule:
    """Of the holding's own rules the first with the earliest end; then whatever took the money back before that."""
    rule = own[0]
    for other in own[1:]:
        if _end(other) < _end(rule):
            rule = other
    end = max(start, _end(rule))
    for other in money:
        if _end(other) < end:
            rule, end = other, max(start, _end(other))
    return rule


def _end(rule: Rule) -> datetime:
    return FOREVER if rule.end is None else rule.end


def rules_of(holding: Holding, catalog: Catalog) -> tuple[list[Rule], list[Rule]]:
    """The holding's own rules, and those about money that went back."""
    match holding:
        case SubscriptionItem():
            policy = policy_of(catalog, holding.price_id)
            return list(_item_rules(holding, policy)), list(_money_rules(holding, policy))
        case Purchase():
            policy = policy_of(catalog, holding.price_id)
            return [_purchase_rule(holding, policy)], list(_money_rules(holding, policy))
        case Grant():
            return list(_grant_rules(holding)), []
        case _:
            assert_never(holding)


def _item_rules(item: SubscriptionItem, policy: PricePolicy) -> Iterator[Rule]:
    nothing = _no_access(item)
    if nothing is not None:
        yield nothing
        return
    end = capped(item.period_end, policy.renewal_leeway)
    leeway = f"and {length(policy.renewal_leeway)} more in case a renewal is told late"
    yield Rule("period_and_leeway", f"{item.status}: its period runs until {when(item.period_end)}, {leeway}", end)
    if item.status == "past_due":
        since = item.past_due_since or item.period_start
        grace = capped(since, policy.grace_period)
        text = f"past due: {length(policy.grace_period)} of grace since the first failed payment on {when(since)}"
        yield Rule("past_due_grace", f"{text}, {until(grace)}", grace)
    if item.cancel_at is not None:
        yield Rule("cancel_at", f"to be canceled: ends {when(item.cancel_at)}, no leeway", item.cancel_at)
    if item.cancel_at_period_end:
        text = f"to be canceled at the end of its period: ends {when(item.period_end)}, no leeway"
        yield Rule("cancel_at_period_end", text, item.period_end)
    if item.ended_at is not None:
        yield Rule("ended", f"over in Stripe since {when(item.ended_at)}, no leeway", item.ended_at)
    if item.customer_deleted_at is not None:
        text = f"the customer was deleted in Stripe on {when(item.customer_deleted_at)}"
        yield Rule("customer_deleted", text, item.customer_deleted_at)


def _no_access(item: SubscriptionItem) -> Rule | None:
    """The rule of a status that gives nothing at all, whatever the dates say."""
    if item.status == "unpaid":
        return Rule("unpaid", "unpaid: Stripe gave up collecting, so it gives nothing", item.start)
    if item.status == "paused":
        return Rule("paused", "paused: gives nothing until it is resumed", item.start)
    if item.status in ENDED_STATUSES and item.ended_at is None:
        return Rule("canceled", f"{item.status}, and Stripe names no end: gives nothing", item.start)
    if item.status in NEVER_PAID_STATUSES:
        return Rule("incomplete", f"{item.status}: its first payment was never made", item.start)
    if item.status not in ACCESS_STATUSES | ENDED_STATUSES | {"past_due"}:
        return Rule(
            "unknown_status", f"{item.status!r} is a status this service does not know: gives nothing", item.start
        )
    return None


def _purchase_rule(purchase: Purchase, policy: PricePolicy) -> Rule:
    bought = f"bought on {when(purchase.paid_at)}"
    if policy.access_days is None:
        return Rule("bought_for_ever", f"{bought}, for ever", FOREVER)
    days = timedelta(days=policy.access_days)
    end = capped(purchase.paid_at, days)
    return Rule("bought_for_days", f"{bought} for {length(days)}, {until(end)}", end)


def _money_rules(holding: SubscriptionItem | Purchase, policy: PricePolicy) -> Iterator[Rule]:
    money = holding.money
    if money.refunded_at is not None:
        on_full = policy.on_full_refund or ("revoke" if isinstance(holding, Purchase) else "keep")
        yield _refund("full", "refunded in full", money.refunded_at, revokes=on_full == "revoke")
    if money.partly_refunded_at is not None:
        revokes = policy.on_partial_refund == "revoke"
        yield _refund("partial", "refunded in part", money.partly_refunded_at, revokes=revokes)
    if money.disputed_since is not None:
        text = f"disputed since {when(money.disputed_since)}, suspended until the dispute is decided"
        yield Rule("dispute_open", text, money.disputed_since)
    if money.lost_at is not None:
        text = f"the dispute of {when(money.lost_at)} was lost, and the money with it"
        yield Rule("dispute_lost", text, money.lost_at)


def _refund(share: str, what: str, at: datetime, *, revokes: bool) -> Rule:
    if revokes:
        return Rule(f"{share}_refund_revokes", f"{what} on {when(at)}, and access ended with that", at)
    return Rule(f"{share}_refund_keeps", f"{what} on {when(at)}, and this price keeps access all the same")


def _grant_rules(grant: Grant) -> Iterator[Rule]:
    what, kind = ("denied", "denial") if grant.denial else ("given", "grant")
    text = f"{what} by an operator from {when(grant.valid_from)} on, {until(grant.valid_to)}"
    yield Rule("denied" if grant.denial else "granted", text, grant.valid_to)
    if grant.revoked_at is not None:
        text = f"the {kind} was revoked on {when(grant.revoked_at)}"
        yield Rule(f"{kind}_revoked", text, grant.revoked_at)


def value_rules(holding: Holding, feature: str, catalog: Catalog) -> Iterator[Rule]:
    """Where the value comes from: the price's own benefit, else its product's, by the unit or not."""
    if isinstance(holding, Grant):
        return
    by_price = {benefit.feature for benefit in catalog.by_price.get(holding.price_id, ())}
    giver = "price" if feature in by_price else "product"
    for benefit in benefits_of(catalog, holding.product_id, holding.price_id):
        if benefit.feature == feature:
            units = f" for each of {holding.quantity}" if benefit.per_unit and benefit.value != UNLIMITED else ""
            yield Rule(f"{giver}_gives", f"its {giver} gives {benefit.feature} = {spoken(benefit.value)}{units}")


def when(instant: datetime) -> str:
    """`2026-12-01 10:00:00 UTC`, or `for ever` where that never comes."""
    if instant >= FOREVER:
        return "for ever"
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ") + " UTC"


def until(end: datetime) -> str:
    return "for ever" if end >= FOREVER else f"until {when(end)}"


def length(time: timedelta) -> str:
    """`7 days`, `36 hours`, `90 seconds`: the largest unit that says it exactly."""
    seconds = time.total_seconds()
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def spoken(value: object) -> str:
    """A feature's value in words: `yes`, a number, `unlimited`, or as it is written in JSON."""
    return "yes" if value is True else value if isinstance(value, str) else json.dumps(value)
