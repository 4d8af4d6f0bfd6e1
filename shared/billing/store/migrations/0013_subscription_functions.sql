-- The event's transaction in three calls, each for one event or for many, as functions: PostgreSQL keeps the plans of a
-- function's statements for a server session (docs/adr/0026, 0045). A release calls these by name and shape: another shape
-- gets another name, and the old one goes a release later.
-- A kept plan is often made while a table is still empty, when reading it whole looks cheapest, and stays for the life of
-- the session: so these may only go by index, row by row.

ALTER FUNCTION customer_rows(bigint) SET enable_seqscan = off;
ALTER FUNCTION change_holdings(bigint, jsonb, timestamptz, text, text) SET enable_seqscan = off;
ALTER FUNCTION lock_subject(text[], text) SET enable_seqscan = off;

-- Makes this transaction the one that settles these events, told in the order of their ids, their bodies one behind the
-- other; waits for another transaction that has the claim of one. `claimed` has the customers that the inbox names for
-- each by now; an event that is not in it was settled before. Then locks what the claimed ones are about, as
-- `lock_subject` does for one: all owners in the order of their ids, then the subscriptions.
CREATE FUNCTION claim_events(
  told jsonb, bodies bytea, at timestamptz, given_up text,
  OUT claimed jsonb, OUT owners jsonb, OUT subscriptions jsonb)
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  involved text[];
  of_subscriptions text[];
BEGIN
  WITH inserted AS (
    INSERT INTO inbox AS i (event_id, type, status, reason, body, created, object_id, customer_ids, received_at,
                            settled_at)
    SELECT e.id, e.type, e.status, e.reason, substr(bodies, e.place, e.size), e.created, e.object,
           ARRAY(SELECT DISTINCT k.customer_id FROM stripe_customers AS k WHERE k.id = ANY (e.claimants) ORDER BY 1),
           at, at
    FROM jsonb_to_recordset(told) AS e (
      id text, type text, status text, reason text, created bigint, object text, place integer, size integer,
      claimants text[])
    ON CONFLICT (event_id) DO UPDATE SET
      status = EXCLUDED.status, reason = EXCLUDED.reason, customer_ids = EXCLUDED.customer_ids, settled_at = at
    WHERE i.status = 'failed' AND starts_with(i.reason, given_up)
    RETURNING i.event_id, i.customer_ids
  )
  SELECT COALESCE(jsonb_object_agg(n.event_id, n.customer_ids), '{}') INTO claimed FROM inserted AS n;
  owners := '{}';
  subscriptions := '{}';
  involved := ARRAY(SELECT jsonb_array_elements_text(e.about -> 'claimants')
                    FROM jsonb_array_elements(told) AS e (about) WHERE claimed ? (e.about ->> 'id'));
  of_subscriptions := ARRAY(SELECT e.about ->> 'subscription'
                            FROM jsonb_array_elements(told) AS e (about)
                            WHERE claimed ? (e.about ->> 'id') AND e.about ->> 'subscription' IS NOT NULL);
  IF cardinality(involved) + cardinality(of_subscriptions) = 0 THEN
    RETURN;
  END IF;

  involved := involved || ARRAY(SELECT s.stripe_customer_id FROM subscriptions AS s WHERE s.id = ANY (of_subscriptions));
  SELECT COALESCE(jsonb_object_agg(locked.stripe_id, locked.customer_id), '{}') INTO owners FROM (
    SELECT k.id AS stripe_id, c.id AS customer_id
    FROM stripe_customers AS k JOIN customers AS c ON c.id = k.customer_id
    WHERE k.id = ANY (involved)
    ORDER BY c.id
    FOR UPDATE OF c) AS locked;
  SELECT COALESCE(jsonb_object_agg(locked.id, to_jsonb(locked)), '{}') INTO subscriptions FROM (
    SELECT s.id, s.stripe_customer_id, s.status, s.watermark, s.revision, s.revenue_basis
    FROM subscriptions AS s WHERE s.id = ANY (of_subscriptions) ORDER BY s.id FOR UPDATE) AS locked;
END
$$;

-- Makes the rows of these subscriptions equal to what is stated of them, items and all, and answers what the rows of the
-- customers then say (`customer_rows`). With `if_known`, where a price that is stated is not mirrored with all it asks,
-- `unknown_prices` names it and nothing is stored. Under the locks of the subscriptions' owners.
CREATE FUNCTION store_subscriptions(
  stated jsonb, if_known boolean, of_customers bigint[],
  OUT unknown_prices text[], OUT customers jsonb)
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  IF if_known THEN
    SELECT array_agg(DISTINCT i.price_id ORDER BY i.price_id) INTO unknown_prices
    FROM jsonb_to_recordset(stated) AS s (currency text, items jsonb)
    CROSS JOIN LATERAL jsonb_to_recordset(s.items) AS i (price_id text)
    WHERE NOT EXISTS (
      SELECT FROM prices AS r
      WHERE r.id = i.price_id AND (r.billing_scheme = 'per_unit' OR r.tiers IS NOT NULL)
        AND (s.currency IS NULL OR r.currency = s.currency OR r.currency_options ? s.currency));
    IF unknown_prices IS NOT NULL THEN
      RETURN;
    END IF;
  END IF;

  INSERT INTO subscriptions AS s (id, stripe_customer_id, status, start_at, trial_end, cancel_at, cancel_at_period_end,
                                  canceled_at, ended_at, latest_invoice_id, currency, discount_ids, revenue_basis,
                                  observed_event, watermark)
  SELECT n.id, n.stripe_customer_id, n.status, n.start, n.trial_end, n.cancel_at, n.cancel_at_period_end,
         n.canceled_at, n.ended_at, n.latest_invoice_id, n.currency, n.discount_ids, n.revenue_basis, n.observed_event,
         n.watermark
  FROM jsonb_to_recordset(stated) AS n (
    id text, stripe_customer_id text, status text, start timestamptz, trial_end timestamptz, cancel_at timestamptz,
    cancel_at_period_end boolean, canceled_at timestamptz, ended_at timestamptz, latest_invoice_id text, currency text,
    discount_ids text[], revenue_basis text, observed_event text, watermark bigint)
  ON CONFLICT (id) DO UPDATE SET
    stripe_customer_id = EXCLUDED.stripe_customer_id, status = EXCLUDED.status, start_at = EXCLUDED.start_at,
    trial_end = EXCLUDED.trial_end, cancel_at = EXCLUDED.cancel_at,
    cancel_at_period_end = EXCLUDED.cancel_at_period_end, canceled_at = EXCLUDED.canceled_at,
    ended_at = EXCLUDED.ended_at, latest_invoice_id = EXCLUDED.latest_invoice_id, currency = EXCLUDED.currency,
    discount_ids = EXCLUDED.discount_ids, revenue_basis = EXCLUDED.revenue_basis,
    observed_event = EXCLUDED.observed_event, watermark = EXCLUDED.watermark, revision = s.revision + 1;

  DELETE FROM subscription_items AS i USING jsonb_to_recordset(stated) AS n (id text, item_ids text[])
  WHERE i.subscription_id = n.id AND i.id <> ALL (n.item_ids);

  INSERT INTO subscription_items (id, subscription_id, price_id, quantity, period_start, period_end, discount_ids)
  SELECT i.id, n.id, i.price_id, i.quantity, i.period_start, i.period_end, i.discount_ids
  FROM jsonb_to_recordset(stated) AS n (id text, items jsonb)
  CROSS JOIN LATERAL jsonb_to_recordset(n.items) AS i (
    id text, price_id text, quantity bigint, period_start timestamptz, period_end timestamptz, discount_ids text[])
  ON CONFLICT (id) DO UPDATE SET
    subscription_id = EXCLUDED.subscription_id, price_id = EXCLUDED.price_id, quantity = EXCLUDED.quantity,
    period_start = EXCLUDED.period_start, period_end = EXCLUDED.period_end, discount_ids = EXCLUDED.discount_ids;

  SELECT COALESCE(jsonb_object_agg(c.id, to_jsonb(r)), '{}') INTO customers
  FROM unnest(of_customers) AS c (id) CROSS JOIN LATERAL customer_rows(c.id) AS r;
END
$$;

-- As `change_holdings`, for many customers: `changes` has each one's new holdings with their cause and evidence.
CREATE FUNCTION change_holdings_of_many(changes jsonb, at timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  found_customers bigint;
BEGIN
  WITH changed AS (
    UPDATE customers AS c SET holdings = n.held, version = c.version + 1, changed_at = at
    FROM jsonb_to_recordset(changes) AS n (customer bigint, held jsonb, cause text, evidence text)
    WHERE c.id = n.customer RETURNING c.id, c.version, c.holdings, n.cause, n.evidence
  ), recorded AS (
    INSERT INTO holdings_changes (customer_id, version, holdings, changed_at, cause_kind, cause_id)
    SELECT id, version, holdings, at, cause, evidence FROM changed
  )
  INSERT INTO outbox (customer_id, cause_kind, cause_id) SELECT id, cause, evidence FROM changed ORDER BY id;
  GET DIAGNOSTICS found_customers = ROW_COUNT;
  IF found_customers <> jsonb_array_length(changes) THEN
    RAISE EXCEPTION 'customers rows are never deleted, and each is told once';
  END IF;
END
$$;

-- Writes into the ledger what the subscription brings from Stripe's second `at` on, where that is a change; what lay
-- ahead of it is written anew. The rule is that of store/mrr.py, word for word: a test compares the two.
CREATE FUNCTION record_mrr(of_subscription text, at timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  DELETE FROM mrr_changes WHERE subscription_id = of_subscription AND since > at;
  WITH RECURSIVE picked AS (
    SELECT of_subscription::text AS subscription_id, at::timestamptz AS instant
    UNION
    SELECT s.id, d.ends_at
    FROM subscriptions AS s
    JOIN subscription_items AS i ON i.subscription_id = s.id
    JOIN discounts AS d ON d.id = ANY(s.discount_ids || i.discount_ids) AND d.recurs AND d.ends_at > at
    WHERE s.id = of_subscription
  ),
  priced AS (
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
  ),
  discounted AS (
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
  ),
  mrr AS (
    SELECT instant, subscription_id, customer_id, project_id, currency, divisor, times * amount AS amount, unclear
    FROM discounted WHERE step = cardinality(discount_ids)
  ),
  found AS (
    SELECT instant, project_id, currency, divisor, customer_id, sum(amount) AS amount
    FROM mrr WHERE amount > 0 GROUP BY instant, project_id, currency, divisor, customer_id
  ), before AS (
    SELECT DISTINCT ON (project_id, currency, divisor) project_id, currency, divisor, customer_id, amount
    FROM mrr_changes WHERE subscription_id = of_subscription ORDER BY project_id, currency, divisor, since DESC
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
  SELECT project_id, of_subscription, currency, divisor, instant, COALESCE(customer_id, prior_customer_id), amount
  FROM changes
  WHERE amount <> prior_amount OR (amount > 0 AND customer_id <> prior_customer_id)
  ON CONFLICT (project_id, subscription_id, currency, divisor, since)
  DO UPDATE SET customer_id = EXCLUDED.customer_id, amount = EXCLUDED.amount;
END
$$;
