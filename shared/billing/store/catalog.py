"""Products and prices as Stripe has them, features and benefits as we do, and the catalog a project reads by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.domain.catalog import Benefit, Catalog, Feature, PricePolicy
from billing.domain.facts import PriceFact, ProductFact
from billing.domain.policies import OnRefund
from billing.domain.prices import options_to_json, tiers_to_json
from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Mirror:
    """How much is known of a mirrored row: its watermark (Stripe's seconds) and revision."""

    id: str
    watermark: int
    revision: int


@dataclass(frozen=True, slots=True)
class SoldPrice:
    """A price as a project sells it."""

    id: str
    product_id: str
    project_id: str
    type: str
    currency: str
    unit_amount: int | None
    trial_days: int | None
    sellable: bool


_LOCK_PRODUCT = "SELECT id, watermark, revision FROM products WHERE id = %s FOR UPDATE"
_LOCK_PRICE = "SELECT id, watermark, revision FROM prices WHERE id = %s FOR UPDATE"

_INSERT_PRODUCT = """
INSERT INTO products (id, project_id, name, active, deleted, watermark) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING
"""
_UPDATE_PRODUCT = """
UPDATE products SET name = %s, active = %s, deleted = deleted OR %s, watermark = %s, revision = revision + 1
WHERE id = %s
"""
_UPSERT_PRICE = """
INSERT INTO prices (id, product_id, lookup_key, type, currency, unit_amount, billing_scheme, recurring_interval,
                    recurring_count, usage_type, active, deleted, watermark, unit_amount_decimal, tiers_mode, tiers,
                    currency_options, package_size, package_round)
VALUES (%(id)s, %(product_id)s, %(lookup_key)s, %(type)s, %(currency)s, %(unit_amount)s, %(billing_scheme)s,
        %(recurring_interval)s, %(recurring_count)s, %(usage_type)s, %(active)s, %(deleted)s, %(watermark)s,
        COALESCE(%(unit_amount_decimal)s, %(unit_amount)s::bigint), %(tiers_mode)s, %(tiers)s, %(currency_options)s,
        %(package_size)s, %(package_round)s)
ON CONFLICT (id) DO UPDATE SET
  lookup_key = EXCLUDED.lookup_key, active = EXCLUDED.active, deleted = prices.deleted OR EXCLUDED.deleted,
  tiers = COALESCE(EXCLUDED.tiers, prices.tiers),
  currency_options = COALESCE(EXCLUDED.currency_options, prices.currency_options),
  package_size = EXCLUDED.package_size, package_round = EXCLUDED.package_round,
  watermark = EXCLUDED.watermark, revision = prices.revision + 1
"""
_DELETE_PRICES = "UPDATE prices SET active = false, deleted = true, revision = revision + 1 WHERE id = ANY(%s)"
_KNOWN_PRICES = """
SELECT id FROM prices
WHERE id = ANY(%(ids)s) AND (billing_scheme = 'per_unit' OR tiers IS NOT NULL)
  AND (%(currency)s::text IS NULL OR currency = %(currency)s OR currency_options ? %(currency)s)
"""
_KNOWN_PRODUCT = "SELECT project_id FROM products WHERE id = %s"
_SOLD = """
SELECT r.id, r.product_id, p.project_id, r.type, r.currency, r.unit_amount, r.trial_days,
       r.active AND p.active AND NOT r.deleted AND NOT p.deleted AS sellable
FROM prices AS r JOIN products AS p ON p.id = r.product_id
"""
_SOLD_BY_ID = _SOLD + "WHERE p.project_id = %s AND r.id = ANY(%s)"
_SOLD_BY_LOOKUP_KEY = _SOLD + "WHERE p.project_id = %s AND r.lookup_key = %s AND r.active AND NOT r.deleted LIMIT 2"

_UPSERT_FEATURE = """
INSERT INTO features (project_id, code, type, merge, name) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (project_id, code) DO UPDATE SET type = EXCLUDED.type, merge = EXCLUDED.merge, name = EXCLUDED.name
"""
_UPSERT_BENEFIT = """
INSERT INTO benefits (product_id, price_id, project_id, feature_code, value, per_unit, priority)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (product_id, price_id, project_id, feature_code) DO UPDATE SET
  value = EXCLUDED.value, per_unit = EXCLUDED.per_unit, priority = EXCLUDED.priority
"""
_SET_POLICY = """
UPDATE prices SET grace_period = %s, renewal_leeway = %s, access_days = %s, on_full_refund = %s, on_partial_refund = %s,
                  trial_days = %s
WHERE id = %s
"""


def lock_product(connection: Connection, product_id: str) -> Mirror | None:
    with connection.cursor(row_factory=class_row(Mirror)) as cursor:
        return cursor.execute(_LOCK_PRODUCT, (product_id,)).fetchone()


def lock_price(connection: Connection, price_id: str) -> Mirror | None:
    with connection.cursor(row_factory=class_row(Mirror)) as cursor:
        return cursor.execute(_LOCK_PRICE, (price_id,)).fetchone()


def insert_product(connection: Connection, project_id: str, fact: ProductFact, watermark: int) -> None:
    """A product comes to a project by an operator's hand only, never by an event."""
    row = (fact.id, project_id, fact.name, fact.active, fact.deleted, watermark)
    connection.execute(_INSERT_PRODUCT, row)


def update_product(connection: Connection, fact: ProductFact, watermark: int) -> None:
    """Deletion is final: Stripe never brings a deleted product back."""
    connection.execute(_UPDATE_PRODUCT, (fact.name, fact.active, fact.deleted, watermark, fact.id))


def upsert_price(connection: Connection, fact: PriceFact, watermark: int) -> None:
    """A price's money never changes; only its key and whether it is sold do. Its policies are not touched.

    Tiers and currencies that this fact was not told stay as they are.
    """
    members = {name: getattr(fact, name) for name in PriceFact.__dataclass_fields__}
    tiers = None if fact.tiers is None else Jsonb(tiers_to_json(fact.tiers))
    options = None if fact.currency_options is None else Jsonb(options_to_json(fact.currency_options))
    row = {**members, "tiers": tiers, "currency_options": options, "watermark": watermark}
    connection.execute(_UPSERT_PRICE, row)


def delete_prices(connection: Connection, price_ids: Iterable[str]) -> None:
    """Stripe has them no more; here they stay, for what refers to them."""
    connection.execute(_DELETE_PRICES, (sorted(price_ids),))


def unknown_prices(connection: Connection, price_ids: Iterable[str], currency: str | None = None) -> list[str]:
    """Those of the prices that are not mirrored here with all they ask (in `currency`), in order."""
    asked = sorted(set(price_ids))
    known = {row[0] for row in connection.execute(_KNOWN_PRICES, {"ids": asked, "currency": currency})}
    return [price_id for price_id in asked if price_id not in known]


def project_of_product(connection: Connection, product_id: str) -> str | None:
    row = connection.execute(_KNOWN_PRODUCT, (product_id,)).fetchone()
    return row[0] if row else None


def sold_prices(connection: Connection, project_id: str, price_ids: Iterable[str]) -> dict[str, SoldPrice]:
    """The project's prices among these ids; another project's is simply not there."""
    with connection.cursor(row_factory=class_row(SoldPrice)) as cursor:
        rows = cursor.execute(_SOLD_BY_ID, (project_id, list(price_ids))).fetchall()
    return {row.id: row for row in rows}


def price_by_lookup_key(connection: Connection, project_id: str, lookup_key: str) -> SoldPrice | None:
    """The project's one active price of that key; Stripe keeps lookup keys unique among active prices."""
    with connection.cursor(row_factory=class_row(SoldPrice)) as cursor:
        rows = cursor.execute(_SOLD_BY_LOOKUP_KEY, (project_id, lookup_key)).fetchall()
    return rows[0] if len(rows) == 1 else None


def upsert_feature(connection: Connection, project_id: str, feature: Feature, name: str) -> None:
    connection.execute(_UPSERT_FEATURE, (project_id, feature.code, feature.type, feature.merge, name))


def upsert_benefit(
    connection: Connection, project_id: str, benefit: Benefit, *, product_id: str | None, price_id: str | None
) -> None:
    """Give the project's feature by exactly one of a product and a price."""
    value = Jsonb(benefit.value)
    row = (product_id, price_id, project_id, benefit.feature, value, benefit.per_unit, benefit.priority)
    connection.execute(_UPSERT_BENEFIT, row)


def set_policy(connection: Connection, price_id: str, policy: PricePolicy, trial_days: int | None = None) -> None:
    times = (policy.grace_period, policy.renewal_leeway, policy.access_days)
    connection.execute(_SET_POLICY, (*times, policy.on_full_refund, policy.on_partial_refund, trial_days, price_id))


def catalog_from_rows(
    project_id: str, epoch: int, features: list[Any], benefits: list[Any], policies: list[Any]
) -> Catalog:
    """The catalog out of the JSON rows that `store.snapshots` reads beside a customer's holdings, in one statement."""
    by_product: dict[str, list[Benefit]] = {}
    by_price: dict[str, list[Benefit]] = {}
    for product_id, price_id, code, value, per_unit, priority in benefits:
        target = by_product.setdefault(product_id, []) if price_id is None else by_price.setdefault(price_id, [])
        target.append(Benefit(code, value, per_unit=per_unit, priority=priority))
    return Catalog(
        project_id,
        epoch,
        {code: Feature(code, kind, merge) for code, kind, merge in features},
        {product_id: tuple(given) for product_id, given in by_product.items()},
        {price_id: tuple(given) for price_id, given in by_price.items()},
        {price_id: policy_of_row(*row) for price_id, *row in policies},
    )


def policy_of_row(
    grace_seconds: float | None,
    leeway_seconds: float | None,
    access_days: int | None,
    on_full_refund: OnRefund | None,
    on_partial_refund: OnRefund | None,
) -> PricePolicy:
    """Times in seconds; what is None is SPEC §2's default."""
    default = PricePolicy()
    return PricePolicy(
        default.grace_period if grace_seconds is None else timedelta(seconds=grace_seconds),
        default.renewal_leeway if leeway_seconds is None else timedelta(seconds=leeway_seconds),
        access_days,
        on_full_refund,
        on_partial_refund or default.on_partial_refund,
    )
