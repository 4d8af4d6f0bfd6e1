"""All of one project's catalog as the store has it, for comparing it with a wanted one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg import errors
from psycopg.rows import class_row

from billing.domain.catalog import Benefit, Catalog, Feature
from billing.domain.catalog_changes import CatalogState, NamedFeature, PriceState, ProductState
from billing.domain.policies import OnRefund
from billing.domain.prices import Amount, Interval, Money, TiersMode, options_from_json, tiers_from_json, whole
from billing.errors import Transient
from billing.store.catalog import catalog_from_rows, policy_of_row
from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class _PriceRow:
    id: str
    product_id: str
    lookup_key: str | None
    currency: str
    unit_amount_decimal: Decimal | None
    recurring_interval: Interval | None
    recurring_count: int | None
    usage_type: str | None
    tiers_mode: TiersMode | None
    tiers: list[dict[str, Any]] | None
    currency_options: dict[str, Any] | None
    trial_days: int | None
    active: bool
    grace: float | None
    leeway: float | None
    access_days: int | None
    on_full_refund: OnRefund | None
    on_partial_refund: OnRefund | None

    @property
    def money(self) -> Money:
        amount = Amount(self.unit_amount_decimal, tiers_from_json(self.tiers or []))
        options = options_from_json(self.currency_options or {})
        interval, every = self.recurring_interval, self.recurring_count or 1
        return Money(self.currency, amount, interval, every, self.tiers_mode, options)

    def state(self, benefits: tuple[Benefit, ...]) -> PriceState:
        policy = policy_of_row(self.grace, self.leeway, self.access_days, self.on_full_refund, self.on_partial_refund)
        money = self.money
        return PriceState(
            self.id,
            self.product_id,
            self.lookup_key,
            money,
            policy,
            self.trial_days,
            benefits,
            self.active,
            is_simple(money, self.usage_type),
        )


def is_simple(money: Money, usage_type: str | None) -> bool:
    """Whether a catalog document can say all of this money."""
    said = bool(money.amount.tiers) if money.tiers_mode else money.amount.per_unit is not None
    flat = all(whole(tier.flat_amount) is not None for tier in money.amount.tiers)
    others = all(amount.per_unit is not None for _, amount in money.options)
    return said and flat and others and usage_type != "metered" and not (money.tiers_mode and money.options)


_FEATURES = "SELECT code, type, merge, name FROM features WHERE project_id = %s ORDER BY code"
_PRODUCTS = "SELECT id, name, active, deleted FROM products WHERE project_id = %s ORDER BY id"
_PRICES = """
SELECT r.id, r.product_id, r.lookup_key, r.currency, r.unit_amount_decimal, r.recurring_interval, r.recurring_count,
       r.usage_type, r.tiers_mode, r.tiers, r.currency_options, r.trial_days, r.active,
       EXTRACT(epoch FROM r.grace_period)::float8 AS grace, EXTRACT(epoch FROM r.renewal_leeway)::float8 AS leeway,
       r.access_days, r.on_full_refund, r.on_partial_refund
FROM products AS p JOIN prices AS r ON r.product_id = p.id
WHERE p.project_id = %s AND NOT r.deleted ORDER BY r.id
"""
_BENEFITS = """
SELECT product_id, price_id, feature_code, value, per_unit, priority FROM benefits
WHERE project_id = %s ORDER BY feature_code, id
"""


def state_of(connection: Connection, project_id: str) -> CatalogState:
    """Features by code, products and prices by id, archived ones too; what Stripe has deleted has no prices here."""
    features = [
        NamedFeature(Feature(code, kind, merge), name)
        for code, kind, merge, name in connection.execute(_FEATURES, (project_id,)).fetchall()
    ]
    given: dict[tuple[str | None, str | None], list[Benefit]] = {}
    for product_id, price_id, code, value, per_unit, priority in connection.execute(
        _BENEFITS, (project_id,)
    ).fetchall():
        benefit = Benefit(code, value, per_unit=per_unit, priority=priority)
        given.setdefault((product_id, price_id), []).append(benefit)
    prices: dict[str, list[PriceState]] = {}
    with connection.cursor(row_factory=class_row(_PriceRow)) as cursor:
        for row in cursor.execute(_PRICES, (project_id,)):
            prices.setdefault(row.product_id, []).append(row.state(tuple(given.get((None, row.id), ()))))
    products = [
        ProductState(
            product_id,
            name,
            active,
            tuple(given.get((product_id, None), ())),
            tuple(prices.get(product_id, ())),
            deleted=deleted,
        )
        for product_id, name, active, deleted in connection.execute(_PRODUCTS, (project_id,)).fetchall()
    ]
    return CatalogState(tuple(features), tuple(products))


_CATALOG = """
SELECT p.catalog_epoch,
  (SELECT COALESCE(jsonb_agg(jsonb_build_array(f.code, f.type, f.merge)), '[]')
     FROM features AS f WHERE f.project_id = p.id),
  (SELECT COALESCE(jsonb_agg(jsonb_build_array(b.product_id, b.price_id, b.feature_code, b.value, b.per_unit,
                                               b.priority)), '[]')
     FROM benefits AS b WHERE b.project_id = p.id),
  (SELECT COALESCE(jsonb_agg(jsonb_build_array(r.id, EXTRACT(epoch FROM r.grace_period),
                                               EXTRACT(epoch FROM r.renewal_leeway), r.access_days,
                                               r.on_full_refund, r.on_partial_refund)), '[]')
     FROM prices AS r
     WHERE r.product_id IN (SELECT o.id FROM products AS o WHERE o.project_id = p.id)
        OR r.product_id IN (SELECT b.product_id FROM benefits AS b WHERE b.project_id = p.id)
        OR r.id IN (SELECT b.price_id FROM benefits AS b WHERE b.project_id = p.id))
FROM projects AS p WHERE p.id = %s
"""


def catalog_of(connection: Connection, project_id: str) -> Catalog:
    """What the project's customers are answered by now, with what other projects' products give."""
    row = connection.execute(_CATALOG, (project_id,)).fetchone()
    return Catalog(project_id, 0, {}) if row is None else catalog_from_rows(project_id, *row)


_OWNERS = "SELECT id, project_id FROM products WHERE id = ANY(%s)"
_GRANTED = """
SELECT f.code FROM features AS f WHERE f.project_id = %s
  AND EXISTS (SELECT FROM grants AS g WHERE g.project_id = f.project_id AND g.feature_code = f.code)
"""
_GIVEN_ELSEWHERE = """
SELECT DISTINCT b.feature_code FROM benefits AS b
LEFT JOIN prices AS r ON r.id = b.price_id
JOIN products AS o ON o.id = COALESCE(b.product_id, r.product_id)
WHERE b.project_id = %s AND o.project_id <> b.project_id
"""


def owners_of(connection: Connection, product_ids: Iterable[str]) -> dict[str, str]:
    """Product → project, for those that are mapped."""
    return dict(connection.execute(_OWNERS, (sorted(set(product_ids)),)).fetchall())


def granted_features(connection: Connection, project_id: str) -> frozenset[str]:
    """Features that a grant names, over or not."""
    return frozenset(row[0] for row in connection.execute(_GRANTED, (project_id,)))


def features_given_elsewhere(connection: Connection, project_id: str) -> frozenset[str]:
    """Features that other projects' products give."""
    return frozenset(row[0] for row in connection.execute(_GIVEN_ELSEWHERE, (project_id,)))


_HOLDERS = """
SELECT user_id, holdings FROM customers WHERE namespace = %s AND user_id > %s ORDER BY user_id LIMIT %s
"""


def customers_after(
    connection: Connection, namespace: str, user_id: str, limit: int
) -> list[tuple[str, list[dict[str, Any]]]]:
    """The namespace's next customers and what they hold, by user_id."""
    return connection.execute(_HOLDERS, (namespace, user_id, limit)).fetchall()


_DROP_PRODUCT_BENEFITS = """
DELETE FROM benefits WHERE product_id = %s AND project_id = %s AND feature_code <> ALL(%s)
"""
_DROP_PRICE_BENEFITS = "DELETE FROM benefits WHERE price_id = %s AND project_id = %s AND feature_code <> ALL(%s)"
_DROP_FEATURES = "DELETE FROM features WHERE project_id = %s AND code <> ALL(%s)"


def drop_other_benefits(
    connection: Connection, project_id: str, kept: Iterable[str], *, product_id: str | None, price_id: str | None
) -> None:
    """Leave exactly one of a product and a price only the benefits of these features."""
    statement, giver = (_DROP_PRICE_BENEFITS, price_id) if product_id is None else (_DROP_PRODUCT_BENEFITS, product_id)
    connection.execute(statement, (giver, project_id, list(kept)))


def drop_other_features(connection: Connection, project_id: str, kept: Iterable[str]) -> None:
    """Raises Transient where something has taken hold of one meanwhile."""
    try:
        connection.execute(_DROP_FEATURES, (project_id, list(kept)))
    except errors.ForeignKeyViolation as fault:
        raise Transient("raced", "a feature that was to go is in use since a moment: plan again") from fault
