-- Past due since, where no failure is known that came after the last payment: that payment, or the period's start where
-- that is later. An invoice still open that had failed before it may be tried again and fail; and an invoice over nothing
-- is paid at once, so a payment alone must not put the start of grace back to the period's.
-- Else as `customer_rows` was, with its name and shape: older code is served well by it too.
CREATE OR REPLACE FUNCTION customer_rows(of_customer bigint)
RETURNS TABLE (holdings jsonb, items jsonb, purchases jsonb, grants jsonb, charges jsonb)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off AS $$
BEGIN
  RETURN QUERY
  SELECT c.holdings,
    (SELECT COALESCE(jsonb_agg(to_jsonb(held) ORDER BY held.id), '[]') FROM (
       SELECT i.id, s.id AS subscription_id, i.price_id, r.product_id, i.quantity, s.status, s.start_at AS start,
              i.period_start, i.period_end, s.cancel_at, s.cancel_at_period_end, s.ended_at,
              CASE WHEN s.status = 'past_due' THEN COALESCE(
                (SELECT min(f.first_failed_at) FROM invoices AS f
                 WHERE f.subscription_id = s.id AND f.paid_at IS NULL
                   AND f.first_failed_at > COALESCE(paid.last, '-infinity')),
                GREATEST(i.period_start, paid.last)) END AS past_due_since,
              k.deleted_at AS customer_deleted_at, s.observed_event AS event, s.latest_invoice_id,
              paid.last AS last_paid_at
       FROM stripe_customers AS k
       JOIN subscriptions AS s ON s.stripe_customer_id = k.id
       JOIN subscription_items AS i ON i.subscription_id = s.id
       JOIN prices AS r ON r.id = i.price_id
       CROSS JOIN LATERAL (
         SELECT max(q.paid_at) AS last FROM invoices AS q WHERE q.subscription_id = s.id) AS paid
       WHERE k.customer_id = c.id) AS held),
    (SELECT COALESCE(jsonb_agg(to_jsonb(held) ORDER BY held.id), '[]') FROM (
       SELECT p.session_id || '/' || p.line_item_id AS id, p.session_id, p.price_id, r.product_id, p.quantity,
              p.paid_at, p.observed_event AS event
       FROM stripe_customers AS k
       JOIN purchases AS p ON p.stripe_customer_id = k.id
       JOIN prices AS r ON r.id = p.price_id
       WHERE k.customer_id = c.id AND p.paid_at IS NOT NULL) AS held),
    (SELECT COALESCE(jsonb_agg(to_jsonb(held) ORDER BY held.id), '[]') FROM (
       SELECT g.id, g.project_id, g.feature_code AS feature, g.value, g.denial, g.priority, g.valid_from, g.valid_to,
              g.created_at, g.revoked_at
       FROM grants AS g WHERE g.customer_id = c.id) AS held),
    (SELECT COALESCE(jsonb_agg(to_jsonb(charged)), '[]') FROM (
       SELECT h.amount, h.session_id, h.invoice_id, h.subscription_id,
              (SELECT COALESCE(jsonb_agg(jsonb_build_array(b.id, b.amount, b.status, b.created_at)), '[]')
                 FROM refunds AS b WHERE b.charge_id = h.id) AS refunds,
              (SELECT COALESCE(jsonb_agg(jsonb_build_array(d.id, d.amount, d.status, d.opened_at, d.closed_at)), '[]')
                 FROM disputes AS d WHERE d.charge_id = h.id) AS disputes
       FROM stripe_customers AS k JOIN charges AS h ON h.stripe_customer_id = k.id
       WHERE k.customer_id = c.id) AS charged)
  FROM customers AS c WHERE c.id = of_customer;
END
$$;
