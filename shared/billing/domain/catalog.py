"""What a project sells and gates: features, and which product or price gives which feature what value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from billing.domain.policies import OnRefund

FeatureType = Literal["boolean", "limit", "config"]
Merge = Literal["max", "sum"]

UNLIMITED = "unlimited"
"""The value of a `limit` that beats every number."""

Value = object
"""A JSON value: `True` (boolean), an int ≥ 0 or `UNLIMITED` (limit), anything (config)."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What a project gates. `merge` matters for limits only."""

    code: str
    type: FeatureType
    merge: Merge = "max"


@dataclass(frozen=True, slots=True)
class Benefit:
    """A product or price gives `feature` this `value`; `per_unit` multiplies a limit by the item's quantity."""

    feature: str
    value: Value
    per_unit: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class PricePolicy:
    """How long a price's holders keep access around failures, and what a refund does. Defaults are SPEC §2's.

    `on_full_refund` None: revoke a one-time purchase, keep a subscription.
    """

    grace_period: timedelta = timedelta(days=7)
    renewal_leeway: timedelta = timedelta(hours=72)
    access_days: int | None = None
    on_full_refund: OnRefund | None = None
    on_partial_refund: OnRefund = "keep"


DEFAULT_POLICY = PricePolicy()


@dataclass(frozen=True, slots=True)
class Catalog:
    """One project's features at one `epoch`, and the benefits that reach them, by product and by price."""

    project_id: str
    epoch: int
    features: Mapping[str, Feature]
    by_product: Mapping[str, tuple[Benefit, ...]] = field(default_factory=dict)
    by_price: Mapping[str, tuple[Benefit, ...]] = field(default_factory=dict)
    policies: Mapping[str, PricePolicy] = field(default_factory=dict)


def benefits_of(catalog: Catalog, product_id: str, price_id: str) -> tuple[Benefit, ...]:
    """What holding this price gives: the price's own benefits override its product's, feature by feature."""
    own = catalog.by_price.get(price_id, ())
    overridden = {benefit.feature for benefit in own}
    return own + tuple(b for b in catalog.by_product.get(product_id, ()) if b.feature not in overridden)


def policy_of(catalog: Catalog, price_id: str) -> PricePolicy:
    return catalog.policies.get(price_id, DEFAULT_POLICY)


def fault_of_value(feature: Feature, value: Value) -> str | None:
    """Why `value` is none for this feature, or None when it is."""
    if feature.type == "boolean":
        return None if value is True else "a boolean feature is given as true"
    if feature.type == "limit":
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return None if whole or value == UNLIMITED else f"a limit is a whole number from 0 or {UNLIMITED!r}"
    return None
