"""What a project sells and gates now, for its pricing page; beside the checkout, for what is listed can be sold."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from billing.domain.catalog import Benefit
from billing.domain.catalog_changes import CatalogState, PriceState, ProductState, money_to_json


class SoldFeature(BaseModel):
    code: str
    type: Literal["boolean", "limit", "config"]
    name: str


class SoldBenefit(BaseModel):
    """With `per_unit` the value is times the quantity bought."""

    feature: str
    value: Any
    per_unit: bool

    @staticmethod
    def of(benefit: Benefit) -> SoldBenefit:
        return SoldBenefit(feature=benefit.feature, value=benefit.value, per_unit=benefit.per_unit)


class SoldPrice(BaseModel):
    """Amounts in minor units, with a fraction only in `unit_amount_decimal`. Without `interval` it is paid once.

    Its `benefits` override those of its product, feature by feature.
    """

    id: str
    lookup_key: str | None
    currency: str
    unit_amount: int | None
    unit_amount_decimal: str | None
    interval: Literal["day", "week", "month", "year"] | None
    interval_count: int
    tiers_mode: Literal["graduated", "volume"] | None
    tiers: list[dict[str, Any]] | None
    currency_options: dict[str, Any] | None
    trial_days: int | None
    access_days: int | None
    benefits: list[SoldBenefit]

    @staticmethod
    def of(price: PriceState) -> SoldPrice:
        money = {} if price.money is None else money_to_json(price.money)
        return SoldPrice(
            id=str(price.id),
            lookup_key=price.lookup_key,
            trial_days=price.trial_days,
            access_days=price.policy.access_days,
            benefits=[SoldBenefit.of(benefit) for benefit in price.benefits],
            **money,
        )


class SoldProduct(BaseModel):
    id: str
    name: str
    benefits: list[SoldBenefit]
    prices: list[SoldPrice]

    @staticmethod
    def of(product: ProductState) -> SoldProduct:
        return SoldProduct(
            id=product.id,
            name=product.name,
            benefits=[SoldBenefit.of(benefit) for benefit in product.benefits],
            prices=[SoldPrice.of(price) for price in product.prices if price.active],
        )


class CatalogAnswer(BaseModel):
    """Only what can be bought now."""

    project_id: str
    features: list[SoldFeature]
    products: list[SoldProduct]

    @staticmethod
    def of(project_id: str, state: CatalogState) -> CatalogAnswer:
        features = [SoldFeature(code=n.feature.code, type=n.feature.type, name=n.name) for n in state.features]
        sold = [product for product in state.products if product.active and not product.deleted]
        return CatalogAnswer(
            project_id=project_id, features=features, products=[SoldProduct.of(product) for product in sold]
        )
