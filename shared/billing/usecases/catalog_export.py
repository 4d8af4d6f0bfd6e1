"""The catalog there is, as the document that would make it: applying it changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from billing.domain.catalog import Benefit, PricePolicy
from billing.domain.catalog_changes import CatalogState, PriceState, ProductState
from billing.domain.prices import Money, Tier, whole, written
from billing.usecases.catalog_document import KEY, CatalogDocument


def document_of(present: CatalogState, project_id: str) -> CatalogDocument:
    """What is archived is left out, and with it what only archived prices say."""
    return CatalogDocument.model_validate(
        {
            "features": [
                {"code": n.feature.code, "type": n.feature.type, "merge": n.feature.merge, "name": n.name}
                for n in present.features
            ],
            "products": [
                _product(product, project_id) for product in present.products if product.active and not product.deleted
            ],
        }
    )


def _product(product: ProductState, project_id: str) -> dict[str, Any]:
    own = re.fullmatch(f"{re.escape(project_id)}_({KEY})", product.id)
    return {
        **({"id": product.id} if own is None else {"key": own[1]}),
        "name": product.name,
        "benefits": _benefits(product.benefits),
        "prices": [_price(price) for price in product.prices if price.active],
    }


def _benefits(given: Iterable[Benefit]) -> list[dict[str, Any]]:
    return [{"feature": b.feature, "value": b.value, "per_unit": b.per_unit, "priority": b.priority} for b in given]


def _price(price: PriceState) -> dict[str, Any]:
    """By its key, or by its id where it has none or the document cannot say its money."""
    by_key = price.simple and price.lookup_key is not None
    return {
        "lookup_key": price.lookup_key,
        "id": None if by_key else price.id,
        **(_money(price.money) if price.simple and price.money is not None else {}),
        **_policy(price.policy),
        "trial_days": price.trial_days,
        "benefits": _benefits(price.benefits),
    }


def _money(money: Money) -> dict[str, Any]:
    return {
        "currency": money.currency,
        **({} if money.tiers_mode else _amount(money.amount.per_unit)),
        "interval": money.interval,
        "interval_count": money.every,
        "tiers_mode": money.tiers_mode,
        "tiers": [_tier(tier) for tier in money.amount.tiers],
        "currency_options": {currency: _amount(amount.per_unit) for currency, amount in money.options},
    }


def _amount(amount: Any) -> dict[str, Any]:
    exact = whole(amount)
    return {"unit_amount_decimal": written(amount)} if exact is None else {"unit_amount": exact}


def _tier(tier: Tier) -> dict[str, Any]:
    exact = whole(tier.unit_amount)
    unit = {"unit_amount_decimal": written(tier.unit_amount)} if exact is None else {"unit_amount": exact}
    return {"up_to": tier.up_to, **unit, "flat_amount": int(tier.flat_amount)}


def _policy(policy: PricePolicy) -> dict[str, Any]:
    default = PricePolicy()
    grace = None if policy.grace_period == default.grace_period else policy.grace_period // timedelta(days=1)
    return {
        "grace_days": grace,
        "access_days": policy.access_days,
        "on_full_refund": policy.on_full_refund,
        "on_partial_refund": policy.on_partial_refund,
    }
