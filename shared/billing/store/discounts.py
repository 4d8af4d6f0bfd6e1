"""The terms of Stripe's discounts. They never change, so a discount once known is never asked for again."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg.types.json import Jsonb

from billing.domain.facts import DiscountFact
from billing.store.connection import Connection

_KNOWN = "SELECT id FROM discounts WHERE id = ANY(%s)"

# A coupon that Stripe no longer told when it was first asked may have been told since; known terms stay.
_RECORD = """
INSERT INTO discounts AS d (id, recurs, ends_at, percent_off, amounts_off, product_ids) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
  recurs = EXCLUDED.recurs, ends_at = EXCLUDED.ends_at, percent_off = EXCLUDED.percent_off,
  amounts_off = EXCLUDED.amounts_off, product_ids = EXCLUDED.product_ids
WHERE num_nonnulls(d.percent_off, d.amounts_off) = 0
"""


def unknown_discounts(connection: Connection, discount_ids: Iterable[str]) -> set[str]:
    """Those whose terms are not here. Asks nothing where there are none."""
    asked = set(discount_ids)
    if not asked:
        return asked
    return asked - {row[0] for row in connection.execute(_KNOWN, (sorted(asked),))}


def record_discounts(connection: Connection, discounts: Iterable[DiscountFact]) -> None:
    for one in discounts:
        amounts = Jsonb(dict(one.amounts_off)) if one.amounts_off else None
        products = None if one.product_ids is None else list(one.product_ids)
        connection.execute(_RECORD, (one.id, one.recurs, one.ends_at, one.percent_off, amounts, products))
