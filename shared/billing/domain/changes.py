"""What became different between two states, in plain sentences: of a customer's holdings, or of a catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, assert_never

from billing.domain.catalog import Benefit, Catalog, policy_of
from billing.domain.explain import Labels, name_of
from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem
from billing.domain.policies import MoneyBack
from billing.domain.rules import length, spoken, until, when


@dataclass(frozen=True, slots=True)
class HoldingChange:
    """What one holding's change was."""

    holding: Holding
    text: str


def holdings_changed(before: Sequence[Holding], after: Sequence[Holding], labels: Labels) -> list[HoldingChange]:
    """Every holding that came, went or is different, by more than the event that stated it."""
    known = {_identity(holding): holding for holding in before}
    told: list[HoldingChange] = []
    for holding in after:
        old = known.pop(_identity(holding), None)
        if old is None:
            told.append(HoldingChange(holding, f"{name_of(holding, labels)}: {_came(holding)}"))
        elif _bare(old) != _bare(holding):
            what = ", ".join(_differences(old, holding, labels)) or "its details changed"
            told.append(HoldingChange(holding, f"{name_of(holding, labels)}: {what}"))
    told += [HoldingChange(gone, f"{name_of(gone, labels)}: no longer held") for gone in known.values()]
    return told


def _identity(holding: Holding) -> tuple[type[Holding], str]:
    return type(holding), holding.id


def _bare(holding: Holding) -> Holding:
    return holding if isinstance(holding, Grant) else replace(holding, event=None)


def _came(holding: Holding) -> str:
    match holding:
        case SubscriptionItem():
            began = f"began, {holding.status}, quantity {holding.quantity}, period until {when(holding.period_end)}"
            return ", ".join([began, *_item(replace(holding, **_UNTOUCHED), holding, {})])
        case Purchase():
            bought = f"bought, paid on {when(holding.paid_at)}, quantity {holding.quantity}"
            return ", ".join([bought, *_money(MoneyBack(), holding.money)])
        case Grant():
            what = (
                f"takes {holding.feature}" if holding.denial else f"gives {holding.feature} = {spoken(holding.value)}"
            )
            revoked = [] if holding.revoked_at is None else [f"revoked on {when(holding.revoked_at)}"]
            return ", ".join([f"{what} from {when(holding.valid_from)} on, {until(holding.valid_to)}", *revoked])
        case _:
            assert_never(holding)


_UNTOUCHED: dict[str, Any] = {
    "cancel_at": None,
    "cancel_at_period_end": False,
    "ended_at": None,
    "past_due_since": None,
    "customer_deleted_at": None,
    "money": MoneyBack(),
}
"""A subscription item to which nothing out of the ordinary has happened."""


def _differences(old: Holding, new: Holding, labels: Labels) -> Iterator[str]:
    if isinstance(old, SubscriptionItem) and isinstance(new, SubscriptionItem):
        yield from _item(old, new, labels)
    elif isinstance(old, Purchase) and isinstance(new, Purchase):
        yield from _money(old.money, new.money)
    elif isinstance(old, Grant) and isinstance(new, Grant):
        if new.revoked_at is not None and old.revoked_at is None:
            yield f"revoked on {when(new.revoked_at)}"
        if (old.valid_from, old.valid_to) != (new.valid_from, new.valid_to):
            yield f"now from {when(new.valid_from)} on, {until(new.valid_to)}"


def _item(old: SubscriptionItem, new: SubscriptionItem, labels: Labels) -> Iterator[str]:
    if old.price_id != new.price_id:
        yield f"changed from {labels.get(old.price_id, old.price_id)} to {labels.get(new.price_id, new.price_id)}"
    if old.quantity != new.quantity:
        yield f"quantity {old.quantity} → {new.quantity}"
    if old.status != new.status:
        yield f"{old.status} → {new.status}"
    if old.period_end != new.period_end:
        verb = "renewed, period" if new.period_end > old.period_end else "period now"
        yield f"{verb} until {when(new.period_end)}"
    for name, came, went in _DATES:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield came(when(now)) if now is not None else went
    if old.cancel_at_period_end != new.cancel_at_period_end:
        end = f"to be canceled at the end of its period, {when(new.period_end)}"
        yield end if new.cancel_at_period_end else "its cancellation at the period's end was taken back"
    yield from _money(old.money, new.money)


_DATES: tuple[tuple[str, Callable[[str], str], str], ...] = (
    ("cancel_at", "to be canceled on {}".format, "its cancellation was taken back"),
    ("past_due_since", "payments fail since {}".format, "payments are in order again"),
    ("ended_at", "ended on {}".format, "its end was taken back"),
    ("customer_deleted_at", "its customer was deleted in Stripe on {}".format, "its customer is back"),
)


def _money(old: MoneyBack, new: MoneyBack) -> Iterator[str]:
    if old.refunded_at is None and new.refunded_at is not None:
        yield f"refunded in full on {when(new.refunded_at)}"
    if old.partly_refunded_at is None and new.partly_refunded_at is not None:
        yield f"refunded in part on {when(new.partly_refunded_at)}"
    if old.refunded_at is not None and new.refunded_at is None:
        yield "its refund came to nothing or no longer counts"
    elif old.partly_refunded_at is not None and new.partly_refunded_at is None and new.refunded_at is None:
        yield "its partial refund came to nothing or no longer counts"
    if old.disputed_since is None and new.disputed_since is not None:
        yield f"disputed since {when(new.disputed_since)}"
    if old.lost_at is None and new.lost_at is not None:
        yield f"the dispute of {when(new.lost_at)} was lost"
    elif old.lost_at is not None and new.lost_at is None:
        yield "a later payment made up for the lost dispute"
    elif old.disputed_since is not None and new.disputed_since is None:
        yield "the dispute is over, and not lost"


# --- catalogs --------------------------------------------------------------------------------------------------------


def catalog_changed(before: Catalog, after: Catalog, feature: str, labels: Labels) -> list[str]:
    """What is different about one feature, and about the policies of the prices that have a label."""
    return [
        *_feature(before, after, feature),
        *_benefits(before, after, feature, labels),
        *_policies(before, after, labels),
    ]


def _feature(before: Catalog, after: Catalog, code: str) -> Iterator[str]:
    old, new = before.features.get(code), after.features.get(code)
    if old != new:
        yield f"feature {code} is no more" if new is None else f"feature {code} is a {new.type}, merged by {new.merge}"


def _benefits(before: Catalog, after: Catalog, code: str, labels: Labels) -> Iterator[str]:
    for giver, old_side, new_side in (
        ("product", before.by_product, after.by_product),
        ("price", before.by_price, after.by_price),
    ):
        for giver_id in sorted(set(old_side) | set(new_side)):
            old, new = (_only(side.get(giver_id, ()), code) for side in (old_side, new_side))
            if old != new:
                yield f"{giver} {labels.get(giver_id, giver_id)} gives {code}: {_given(old)} → {_given(new)}"


def _only(benefits: Iterable[Benefit], code: str) -> Benefit | None:
    return next((benefit for benefit in benefits if benefit.feature == code), None)


def _given(benefit: Benefit | None) -> str:
    if benefit is None:
        return "nothing"
    return f"{spoken(benefit.value)}{' a unit' if benefit.per_unit else ''}"


def _policies(before: Catalog, after: Catalog, labels: Labels) -> Iterator[str]:
    for price_id in sorted(labels):
        old, new = policy_of(before, price_id), policy_of(after, price_id)
        for field in fields(old):
            was, now = getattr(old, field.name), getattr(new, field.name)
            if was != now:
                yield f"price {labels[price_id]}: {field.name} {_policy_value(was)} → {_policy_value(now)}"


def _policy_value(value: object) -> str:
    if isinstance(value, timedelta):
        return length(value)
    return "by default" if value is None else str(value)
