"""A project's catalog as the store has it, row by row in pages, each list by an index."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg.rows import class_row

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class ProductRow:
    """`deleted`: in Stripe, for good."""

    id: str
    name: str
    active: bool
    deleted: bool


@dataclass(frozen=True, slots=True)
class PriceRow:
    """Amounts in minor units of `currency`; policies as they are kept, None where SPEC §2's default holds."""

    id: str
    product_id: str
    lookup_key: str | None
    type: str
    currency: str
    unit_amount: int | None
    unit_amount_decimal: Decimal | None
    recurring_interval: str | None
    recurring_count: int | None
    usage_type: str | None
    tiers_mode: str | None
    tiers: list[dict[str, Any]] | None
    currency_options: dict[str, Any] | None
    trial_days: int | None
    grace_days: float | None
    access_days: int | None
    on_full_refund: str | None
    on_partial_refund: str | None
    active: bool
    deleted: bool


@dataclass(frozen=True, slots=True)
class FeatureRow:
    code: str
    type: str
    merge: str
    name: str


@dataclass(frozen=True, slots=True)
class BenefitRow:
    """Exactly one of a product and a price gives it."""

    id: int
    product_id: str | None
    price_id: str | None
    feature: str
    value: Any
    per_unit: bool
    priority: int


_PRODUCTS = """
SELECT id, name, active, deleted FROM products WHERE project_id = %s AND id > %s ORDER BY id LIMIT %s
"""
_PRICES = """
SELECT r.id, r.product_id, r.lookup_key, r.type, r.currency, r.unit_amount, r.unit_amount_decimal,
       r.recurring_interval, r.recurring_count, r.usage_type, r.tiers_mode, r.tiers, r.currency_options, r.trial_days,
       (EXTRACT(epoch FROM r.grace_period) / 86400)::float8 AS grace_days, r.access_days, r.on_full_refund,
       r.on_partial_refund, r.active, r.deleted
FROM products AS p JOIN prices AS r ON r.product_id = p.id
WHERE p.project_id = %s AND (p.id, r.id) > (%s, %s) AND p.id >= %s
ORDER BY p.id, r.id LIMIT %s
"""
_FEATURES = "SELECT code, type, merge, name FROM features WHERE project_id = %s AND code > %s ORDER BY code LIMIT %s"
_BENEFITS = """
SELECT id, product_id, price_id, feature_code AS feature, value, per_unit, priority FROM benefits
WHERE project_id = %s AND id > %s ORDER BY id LIMIT %s
"""


def list_products(connection: Connection, project_id: str, *, after: str, limit: int) -> list[ProductRow]:
    """Archived and deleted ones too, by id, those after `after` ("": from the beginning)."""
    with connection.cursor(row_factory=class_row(ProductRow)) as cursor:
        return cursor.execute(_PRODUCTS, (project_id, after, limit)).fetchall()


def list_prices(connection: Connection, project_id: str, *, after: tuple[str, str], limit: int) -> list[PriceRow]:
    """Archived and deleted ones too, by product and id."""
    with connection.cursor(row_factory=class_row(PriceRow)) as cursor:
        return cursor.execute(_PRICES, (project_id, *after, after[0], limit)).fetchall()


def list_features(connection: Connection, project_id: str, *, after: str, limit: int) -> list[FeatureRow]:
    with connection.cursor(row_factory=class_row(FeatureRow)) as cursor:
        return cursor.execute(_FEATURES, (project_id, after, limit)).fetchall()


def list_benefits(connection: Connection, project_id: str, *, after: int, limit: int) -> list[BenefitRow]:
    """Those of archived products and prices too, in the order they were made."""
    with connection.cursor(row_factory=class_row(BenefitRow)) as cursor:
        return cursor.execute(_BENEFITS, (project_id, after, limit)).fetchall()
