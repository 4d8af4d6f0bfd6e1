"""The catalog as an operator writes it: features, products, their prices, and what each gives. Checked as a whole."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from billing.domain.catalog import Benefit, Feature, PricePolicy, fault_of_value
from billing.domain.policies import OnRefund

Code = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureEntry(_Strict):
    """What the project gates; `merge` says how several limits add up."""

    code: Code
    type: Literal["boolean", "limit", "config"]
    merge: Literal["max", "sum"] = "max"
    name: str = ""

    def feature(self) -> Feature:
        return Feature(self.code, self.type, self.merge)


class BenefitEntry(_Strict):
    """A feature given: `true`, a whole number, `"unlimited"`, or any JSON for a config feature."""

    feature: Code
    value: JsonValue = True
    per_unit: bool = False
    priority: int = 0

    def benefit(self) -> Benefit:
        return Benefit(self.feature, self.value, per_unit=self.per_unit, priority=self.priority)


class PriceEntry(_Strict):
    """A price by its lookup key; money in minor units. Without `interval` it is paid once."""

    lookup_key: Annotated[str, Field(min_length=1, max_length=200)]
    currency: Annotated[str, Field(pattern="^[a-z]{3}$")]
    unit_amount: Annotated[int, Field(ge=0, le=99_999_999)]
    interval: Literal["day", "week", "month", "year"] | None = None
    interval_count: Annotated[int, Field(ge=1, le=36)] = 1
    grace_days: Annotated[int, Field(ge=0, le=90)] | None = None
    access_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    on_full_refund: OnRefund | None = None
    on_partial_refund: OnRefund = "keep"
    benefits: tuple[BenefitEntry, ...] = ()

    def policy(self) -> PricePolicy:
        default = PricePolicy()
        grace = default.grace_period if self.grace_days is None else timedelta(days=self.grace_days)
        return PricePolicy(grace, default.renewal_leeway, self.access_days, self.on_full_refund, self.on_partial_refund)

    @model_validator(mode="after")
    def _policies_fit(self) -> Self:
        if self.interval is not None and self.access_days is not None:
            raise ValueError("access_days belongs to one-time prices: drop it or the interval")
        if self.interval is None and self.grace_days is not None:
            raise ValueError("grace_days belongs to recurring prices: drop it or add an interval")
        return self


class ProductEntry(_Strict):
    """A product by a key of the operator's own; its benefits hold for all its prices, unless a price overrides them."""

    key: Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,62}$")]
    name: Annotated[str, Field(min_length=1, max_length=250)]
    benefits: tuple[BenefitEntry, ...] = ()
    prices: Annotated[tuple[PriceEntry, ...], Field(min_length=1)]


class CatalogDocument(_Strict):
    """All a project sells and gates."""

    features: tuple[FeatureEntry, ...]
    products: tuple[ProductEntry, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _unique("feature code", [f.code for f in self.features])
        _unique("product key", [p.key for p in self.products])
        _unique("lookup_key", [price.lookup_key for product in self.products for price in product.prices])
        return self

    @model_validator(mode="after")
    def _benefits_fit_their_features(self) -> Self:
        features = {entry.code: entry.feature() for entry in self.features}
        for product in self.products:
            for given in (product.benefits, *(price.benefits for price in product.prices)):
                _unique(f"benefit of {product.key}", [entry.feature for entry in given])
                for entry in given:
                    _fits(features, entry, product.key)
        return self


def _unique(what: str, names: list[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ValueError(f"each {what} may appear once: {', '.join(twice)}")


def _fits(features: dict[str, Feature], entry: BenefitEntry, product: str) -> None:
    feature = features.get(entry.feature)
    if feature is None:
        raise ValueError(f"{product} gives {entry.feature!r}, which is no feature: declare it under features")
    fault = fault_of_value(feature, entry.value)
    if fault is not None:
        raise ValueError(f"{product} gives {entry.feature!r}: {fault}")
    if entry.per_unit and feature.type != "limit":
        raise ValueError(f"{product} gives {entry.feature!r} per_unit: only limits can be multiplied")
