"""What was known at an instant and the changes that led there: the evidence behind `explain`. Rows are only added.

A change is known from the instant it was recorded (`changed_at`, `recorded_at`) on, by the recorder's clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from billing.domain.catalog import Catalog
from billing.domain.holdings import Holding, from_json
from billing.store.catalog import catalog_from_rows
from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Known:
    """A customer's holdings and a project's catalog as of one instant. `customer_id` None: nothing was known of them.

    `version` is the customer's own count of changes; `as_of` is when this state came to be, None before the project's.
    """

    customer_id: int | None
    version: int
    as_of: datetime | None
    holdings: tuple[Holding, ...]
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class Change:
    """The holdings after one change, and what caused it. `public_version` is the answers' version then."""

    version: int
    public_version: int
    at: datetime
    cause_kind: str
    cause_id: str
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class Edition:
    """A catalog at its epoch, cut down to one feature and some prices."""

    public_version: int
    at: datetime
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class Offer:
    """A price with what it is called and whose it is."""

    price_id: str
    project_id: str
    product_name: str
    lookup_key: str | None


@dataclass(frozen=True, slots=True)
class EventNote:
    """An event of the inbox, less its body. `created` is Stripe's clock in whole seconds."""

    event_id: str
    type: str
    created: int | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class GrantNote:
    """Who gave a grant, and why."""

    id: str
    reason: str
    actor: str


_RECORD = """
INSERT INTO catalog_history (project_id, epoch, recorded_at, catalog)
SELECT p.id, p.catalog_epoch, p.catalog_changed_at, jsonb_build_object(
  'features', (SELECT COALESCE(jsonb_agg(jsonb_build_array(f.code, f.type, f.merge)), '[]')
                 FROM features AS f WHERE f.project_id = p.id),
  'benefits', (SELECT COALESCE(jsonb_agg(jsonb_build_array(b.product_id, b.price_id, b.feature_code, b.value,
                                                           b.per_unit, b.priority)), '[]')
                 FROM benefits AS b WHERE b.project_id = p.id),
  'policies', (SELECT COALESCE(jsonb_agg(jsonb_build_array(r.id, EXTRACT(epoch FROM r.grace_period),
                                                           EXTRACT(epoch FROM r.renewal_leeway), r.access_days,
                                                           r.on_full_refund, r.on_partial_refund)), '[]')
                 FROM prices AS r
                 WHERE (r.product_id IN (SELECT o.id FROM products AS o WHERE o.project_id = p.id)
                        OR r.product_id IN (SELECT b.product_id FROM benefits AS b WHERE b.project_id = p.id)
                        OR r.id IN (SELECT b.price_id FROM benefits AS b WHERE b.project_id = p.id))
                   AND num_nonnulls(r.grace_period, r.renewal_leeway, r.access_days, r.on_full_refund,
                                    r.on_partial_refund) > 0))
FROM projects AS p WHERE p.id = %s
"""
_KNOWN = """
SELECT p.id, h.customer_id, COALESCE(h.version, 0), h.changed_at, COALESCE(h.holdings, '[]'),
       COALESCE(k.epoch, 0), k.recorded_at, k.catalog
FROM projects AS p
LEFT JOIN customers AS c ON c.namespace = p.identity_namespace AND c.user_id = %(user_id)s
LEFT JOIN LATERAL (
  SELECT customer_id, version, changed_at, holdings FROM holdings_changes
  WHERE customer_id = c.id AND changed_at <= %(at)s ORDER BY version DESC LIMIT 1) AS h ON true
LEFT JOIN LATERAL (
  SELECT epoch, recorded_at, catalog FROM catalog_history
  WHERE project_id = p.id AND recorded_at <= %(at)s ORDER BY epoch DESC LIMIT 1) AS k ON true
WHERE p.id = %(project_id)s
"""
_CHANGES = """
SELECT h.version,
       h.version + COALESCE((SELECT max(k.epoch) FROM catalog_history AS k
                             WHERE k.project_id = %(project_id)s AND k.recorded_at <= h.changed_at), 0),
       h.changed_at, h.cause_kind, h.cause_id, h.holdings
FROM holdings_changes AS h
WHERE h.customer_id = %(customer_id)s AND h.version <= %(version)s
ORDER BY h.version DESC LIMIT %(limit)s
"""
_EDITIONS = """
SELECT k.epoch + COALESCE((SELECT max(h.version) FROM holdings_changes AS h
                           WHERE h.customer_id = %(customer_id)s AND h.changed_at <= k.recorded_at), 0),
       k.recorded_at, k.epoch,
       jsonb_path_query_array(k.catalog, 'strict $.features[*] ? (@[0] == $feature)', %(kept)s),
       jsonb_path_query_array(k.catalog, 'strict $.benefits[*] ? (@[2] == $feature)', %(kept)s),
       jsonb_path_query_array(k.catalog, 'strict $.policies[*] ? (@[0] == $prices[*])', %(kept)s)
FROM catalog_history AS k
WHERE k.project_id = %(project_id)s AND k.epoch <= %(epoch)s
ORDER BY k.epoch DESC LIMIT %(limit)s
"""
_OFFERS = """
SELECT r.id AS price_id, p.project_id, p.name AS product_name, r.lookup_key
FROM prices AS r JOIN products AS p ON p.id = r.product_id
WHERE r.id = ANY(%s)
"""
_EVENTS = "SELECT event_id, type, created, received_at FROM inbox WHERE event_id = ANY(%s)"
_GRANTS = "SELECT id, reason, actor FROM grants WHERE id = ANY(%s)"


def record_catalog(connection: Connection, project_id: str) -> None:
    """Keep the catalog of the project's present epoch, in the transaction that made it and after its last edit."""
    connection.execute(_RECORD, (project_id,))


def known_at(connection: Connection, project_id: str, user_id: str, at: datetime) -> Known | None:
    """What was recorded by `at`, read in one statement. None: no such project."""
    asked = {"project_id": project_id, "user_id": user_id, "at": at}
    row = connection.execute(_KNOWN, asked).fetchone()
    if row is None:
        return None
    _, customer_id, version, changed_at, held, epoch, recorded_at, rows = row
    catalog = Catalog(project_id, 0, {}) if rows is None else catalog_from_rows(project_id, epoch, **rows)
    moments = [moment for moment in (changed_at, recorded_at) if moment is not None]
    return Known(customer_id, version, max(moments, default=None), _holdings(held), catalog)


def changes_of(connection: Connection, project_id: str, customer_id: int, *, version: int, limit: int) -> list[Change]:
    """The customer's latest `limit` changes up to `version`, oldest first."""
    asked = {"project_id": project_id, "customer_id": customer_id, "version": version, "limit": limit}
    rows = connection.execute(_CHANGES, asked).fetchall()
    return [
        Change(number, public, at, kind, cause_id, _holdings(held))
        for number, public, at, kind, cause_id, held in reversed(rows)
    ]


def editions_of(
    connection: Connection, catalog: Catalog, customer_id: int, feature: str, price_ids: Iterable[str], *, limit: int
) -> list[Edition]:
    """The project's latest `limit` catalogs up to this one, oldest first, with what concerns the feature and prices."""
    asked = {
        "project_id": catalog.project_id,
        "customer_id": customer_id,
        "epoch": catalog.epoch,
        "kept": Jsonb({"feature": feature, "prices": sorted(price_ids)}),
        "limit": limit,
    }
    rows = connection.execute(_EDITIONS, asked).fetchall()
    return [Edition(version, at, catalog_from_rows(catalog.project_id, *kept)) for version, at, *kept in reversed(rows)]


def offers_of(connection: Connection, price_ids: Iterable[str]) -> dict[str, Offer]:
    with connection.cursor(row_factory=class_row(Offer)) as cursor:
        return {offer.price_id: offer for offer in cursor.execute(_OFFERS, (list(price_ids),))}


def events_of(connection: Connection, event_ids: Iterable[str]) -> dict[str, EventNote]:
    with connection.cursor(row_factory=class_row(EventNote)) as cursor:
        return {event.event_id: event for event in cursor.execute(_EVENTS, (list(event_ids),))}


def grants_of(connection: Connection, grant_ids: Iterable[str]) -> dict[str, GrantNote]:
    with connection.cursor(row_factory=class_row(GrantNote)) as cursor:
        return {grant.id: grant for grant in cursor.execute(_GRANTS, (list(grant_ids),))}


def _holdings(documents: list[dict[str, Any]]) -> tuple[Holding, ...]:
    return tuple(from_json(document) for document in documents)
