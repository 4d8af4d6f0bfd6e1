"""What subscriptions bring in a month: the rule, in SQL over all rows, and the ledger of its changes.

The rule (docs/adr/0024): every item of an `active` or `past_due` subscription that is not metered, its price times its
quantity, less the discounts that recur: the item's own, then its subscription's, each in Stripe's order. A year is 12
months, 52 weeks or 365 days. What comes out is a fraction, `amount / divisor` minor units: nothing is rounded here.
"""

from __future__ import annotations

from datetime import datetime

from billing.store.connection import Connection

# What each item costs a period, before discounts; null where its price is not known well enough. `picked` names
# subscriptions and instants. Amounts are in the subscription's currency, which may be one of the price's options.
_PRICED = """priced AS (
  SELECT p.instant, s.id AS subscription_id, i.id AS item_id, k.customer_id, o.project_id, o.id AS product_id,
         paid.currency,
         CASE r.recurring_interval WHEN 'day' THEN 365 WHEN 'week' THEN 52 ELSE 1 END AS times,
         CASE r.recurring_interval WHEN 'month' THEN 1 ELSE 12 END * COALESCE(r.recurring_count, 1) AS divisor,
         CASE WHEN r.billing_scheme = 'per_unit' THEN asked.unit * sold.units
              WHEN r.tiers_mode = 'graduated' THEN (
                SELECT sum(t.flat + t.unit * (LEAST(sold.units, t.up_to) - t.below))
                FROM (SELECT (e.tier ->> 'up_to')::numeric AS up_to,
                             (e.tier ->> 'flat_amount_decimal')::numeric AS flat,
                             (e.tier ->> 'unit_amount_decimal')::numeric AS unit,
                             COALESCE(lag((e.tier ->> 'up_to')::numeric) OVER (ORDER BY e.place), 0) AS below
                      FROM jsonb_array_elements(asked.tiers) WITH ORDINALITY AS e (tier, place)) AS t
                WHERE t.below = 0 OR t.below < sold.units)
              WHEN r.tiers_mode = 'volume' THEN (
                SELECT (e.tier ->> 'flat_amount_decimal')::numeric
                       + (e.tier ->> 'unit_amount_decimal')::numeric * sold.units
                FROM jsonb_array_elements(asked.tiers) WITH ORDINALITY AS e (tier, place)
                WHERE e.tier ->> 'up_to' IS NULL OR sold.units <= (e.tier ->> 'up_to')::numeric
                ORDER BY e.place LIMIT 1)
         END AS amount,
         i.discount_ids || array_fill(NULL::text, ARRAY[longest.own - cardinality(i.discount_ids)]) || s.discount_ids
           AS discount_ids
  FROM picked AS p
  JOIN subscriptions AS s ON s.id = p.subscription_id AND s.status IN ('active', 'past_due')
  JOIN stripe_customers AS k ON k.id = s.stripe_customer_id
  JOIN subscription_items AS i ON i.subscription_id = s.id
  JOIN prices AS r ON r.id = i.price_id AND r.recurring_interval IS NOT NULL AND r.usage_type IS DISTINCT FROM 'metered'
  JOIN products AS o ON o.id = r.product_id
  CROSS JOIN LATERAL (SELECT max(cardinality(n.discount_ids)) AS own
                      FROM subscription_items AS n WHERE n.subscription_id = s.id) AS longest
  CROSS JOIN LATERAL (SELECT COALESCE(s.currency, r.currency) AS currency) AS paid
  CROSS JOIN LATERAL (
    SELECT CASE WHEN paid.currency = r.currency THEN COALESCE(r.unit_amount_decimal, r.unit_amount)
                ELSE (r.currency_options -> paid.currency ->> 'unit_amount_decimal')::numeric END AS unit,
           NULLIF(CASE WHEN paid.currency = r.currency THEN r.tiers
                       ELSE r.currency_options -> paid.currency -> 'tiers' END, 'null') AS tiers) AS asked
  CROSS JOIN LATERAL (
    SELECT CASE r.package_round WHEN 'up' THEN ceil(i.quantity / r.package_size::numeric)
                                WHEN 'down' THEN floor(i.quantity / r.package_size::numeric)
                                ELSE i.quantity END AS units) AS sold
)"""

# Discount after discount, in step for all items of a subscription. An amount is taken off once a bill, so the items
# that are billed in one rhythm share it: in whole minor units, by cumulated amounts, so that none of it is lost or
# counted twice. `unclear`: a price or a discount's terms are not known, so the amount may be wrong.
_DISCOUNTED = """discounted AS (
  SELECT 0 AS step, p.*, p.amount IS NULL AS unclear FROM priced AS p
  UNION ALL
  SELECT f.step + 1, f.instant, f.subscription_id, f.item_id, f.customer_id, f.project_id, f.product_id, f.currency,
         f.times, f.divisor,
         CASE WHEN f.percent_off IS NOT NULL THEN f.amount * (100 - f.percent_off) * 0.01
              WHEN f.off IS NULL THEN f.amount
              WHEN f.off >= f.bill THEN 0
              ELSE f.amount - div(f.off * f.sum_here, f.bill) + div(f.off * (f.sum_here - f.amount), f.bill) END,
         f.discount_ids, f.unclear OR (f.known AND f.percent_off IS NULL AND f.off IS NULL)
  FROM (
    SELECT b.*, d.id IS NOT NULL AS known, d.percent_off, (d.amounts_off ->> b.currency)::numeric AS off,
           sum(b.amount) OVER (PARTITION BY b.instant, b.subscription_id, b.times, b.divisor, d.id) AS bill,
           sum(b.amount) OVER (PARTITION BY b.instant, b.subscription_id, b.times, b.divisor, d.id
                               ORDER BY b.item_id) AS sum_here
    FROM discounted AS b
    LEFT JOIN discounts AS d
      ON d.id = b.discount_ids[b.step + 1] AND d.recurs AND (d.ends_at IS NULL OR d.ends_at > b.instant)
         AND (d.product_ids IS NULL OR b.product_id = ANY(d.product_ids))
    WHERE b.step < cardinality(b.discount_ids)) AS f
)"""

_MRR = """mrr AS (
  SELECT instant, subscription_id, customer_id, project_id, currency, divisor, times * amount AS amount, unclear
  FROM discounted WHERE step = cardinality(discount_ids)
)"""

MRR = f"{_PRICED},\n{_DISCOUNTED},\n{_MRR}"
"""The common table expressions of the rule: `mrr` has a row an item, out of `picked (subscription_id, instant)`.

Use it under WITH RECURSIVE, after `picked`. An item's MRR is `amount / divisor` minor units; null where `unclear`.
"""

# Now, and whenever a discount ends by itself.
_PICKED = """WITH RECURSIVE picked AS (
  SELECT %(id)s::text AS subscription_id, %(at)s::timestamptz AS instant
  UNION
  SELECT s.id, d.ends_at
  FROM subscriptions AS s
  JOIN subscription_items AS i ON i.subscription_id = s.id
  JOIN discounts AS d ON d.id = ANY(s.discount_ids || i.discount_ids) AND d.recurs AND d.ends_at > %(at)s
  WHERE s.id = %(id)s
)"""
_CHANGES = """found AS (
  SELECT instant, project_id, currency, divisor, customer_id, sum(amount) AS amount
  FROM mrr WHERE amount > 0 GROUP BY instant, project_id, currency, divisor, customer_id
), before AS (
  SELECT DISTINCT ON (project_id, currency, divisor) project_id, currency, divisor, customer_id, amount
  FROM mrr_changes WHERE subscription_id = %(id)s ORDER BY project_id, currency, divisor, since DESC
), lines AS (
  SELECT project_id, currency, divisor FROM found UNION SELECT project_id, currency, divisor FROM before
), course AS (
  SELECT p.instant, l.project_id, l.currency, l.divisor, f.customer_id, COALESCE(f.amount, 0) AS amount
  FROM picked AS p CROSS JOIN lines AS l
  LEFT JOIN found AS f USING (instant, project_id, currency, divisor)
), changes AS (
  SELECT c.*, lag(c.customer_id, 1, b.customer_id) OVER later AS prior_customer_id,
         lag(c.amount, 1, COALESCE(b.amount, 0)) OVER later AS prior_amount
  FROM course AS c LEFT JOIN before AS b USING (project_id, currency, divisor)
  WINDOW later AS (PARTITION BY c.project_id, c.currency, c.divisor ORDER BY c.instant)
)
INSERT INTO mrr_changes AS m (project_id, subscription_id, currency, divisor, since, customer_id, amount)
SELECT project_id, %(id)s, currency, divisor, instant, COALESCE(customer_id, prior_customer_id), amount
FROM changes
WHERE amount <> prior_amount OR (amount > 0 AND customer_id <> prior_customer_id)
ON CONFLICT (project_id, subscription_id, currency, divisor, since)
DO UPDATE SET customer_id = EXCLUDED.customer_id, amount = EXCLUDED.amount
"""
LEDGER = f"{_PICKED},\n{MRR},\n{_CHANGES}"
"""What the function `record_mrr` of migration 0013 does, which keeps the plan."""


def record_mrr(connection: Connection, subscription_id: str, at: datetime) -> None:
    """Write into the ledger what the subscription brings from Stripe's second `at` on, where that is a change.

    Under its owner's lock, once the subscription is stored. What lay ahead of `at` is written anew.
    """
    connection.tell("SELECT record_mrr($1, $2)", subscription_id, at.isoformat())
