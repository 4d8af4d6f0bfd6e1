"""What a price asks: exact amounts in minor units, per unit or by tiers, in one currency or several."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Interval = Literal["day", "week", "month", "year"]
TiersMode = Literal["graduated", "volume"]


@dataclass(frozen=True, slots=True)
class Tier:
    """A step of a tiered price, for units up to and including `up_to` (None: all others); amounts in minor units."""

    up_to: int | None
    unit_amount: Decimal = Decimal(0)
    flat_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Amount:
    """What a price asks in one currency: `per_unit` in minor units, or `tiers`; neither where the customer chooses."""

    per_unit: Decimal | None = None
    tiers: tuple[Tier, ...] = ()


Options = tuple[tuple[str, Amount], ...]
"""Amounts in further currencies, in order of the currency."""


@dataclass(frozen=True, slots=True)
class Money:
    """All of a price that never changes in Stripe: `every` intervals or, without one, once."""

    currency: str
    amount: Amount
    interval: Interval | None = None
    every: int = 1
    tiers_mode: TiersMode | None = None
    options: Options = ()


def whole(amount: Decimal | None) -> int | None:
    """The amount as an integer, None where it has a fraction."""
    return int(amount) if amount is not None and amount == amount.to_integral_value() else None


def written(amount: Decimal) -> str:
    """`900`, `0.5`: as Stripe writes its `unit_amount_decimal`."""
    return format(amount.normalize(), "f")


def tiers_to_json(tiers: tuple[Tier, ...]) -> list[dict[str, Any]]:
    """As Stripe's `price.tiers`: each amount as an integer (null with a fraction) and as a decimal string."""
    return [
        {
            "up_to": tier.up_to,
            "unit_amount": whole(tier.unit_amount),
            "unit_amount_decimal": written(tier.unit_amount),
            "flat_amount": whole(tier.flat_amount),
            "flat_amount_decimal": written(tier.flat_amount),
        }
        for tier in tiers
    ]


def tiers_from_json(rows: list[dict[str, Any]]) -> tuple[Tier, ...]:
    return tuple(
        Tier(row["up_to"], Decimal(row["unit_amount_decimal"]), Decimal(row["flat_amount_decimal"])) for row in rows
    )


def options_to_json(options: Options) -> dict[str, Any]:
    """`{"eur": {"unit_amount", "unit_amount_decimal", "tiers"}}`, as Stripe's `price.currency_options`."""
    return {
        currency: {
            "unit_amount": whole(amount.per_unit),
            "unit_amount_decimal": None if amount.per_unit is None else written(amount.per_unit),
            "tiers": tiers_to_json(amount.tiers) or None,
        }
        for currency, amount in options
    }


def options_from_json(document: dict[str, Any]) -> Options:
    return tuple(
        (currency, Amount(_decimal(option["unit_amount_decimal"]), tiers_from_json(option["tiers"] or [])))
        for currency, option in sorted(document.items())
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
