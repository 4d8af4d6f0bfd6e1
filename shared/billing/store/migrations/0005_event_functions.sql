-- What the event transaction asks most, as functions: PostgreSQL keeps the plans of a function's statements for a
-- server session, and behind RDS Proxy nothing else does (PREPARE pins a client to its session). Planning cost more than
-- running. The rules stay in Python; here is only what reads, locks and writes.
-- VOLATILE where rows are read after a wait for a lock: each statement of a volatile function sees what was committed
-- until it began, where a single statement would see what was there before the wait.
-- A release calls these by name and shape: another shape gets another name, and the old one goes a release later.

-- What the customer's normal rows say: no row for a customer who is not there.
-- Past due since: the first failure after the last payment, so that dunning which never ends does not start a new grace
-- every period. A loss before the last payment is made good.
CREATE FUNCTION customer_rows(of_customer bigint)
RETURNS TABLE (holdings jsonb, items jsonb, purchases jsonb, grants jsonb, charges jsonb)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  RETURN QUERY
  SELECT c.holdings,
    (SELECT COALESCE(jsonb_agg(to_jsonb(held) ORDER BY held.id), '[]') FROM (
       SELECT i.id, s.id AS subscription_id, i.price_id, r.product_id, i.quantity, s.status, s.start_at AS start,
              i.period_start, i.period_end, s.cancel_at, s.cancel_at_period_end, s.ended_at,
              CASE WHEN s.status = 'past_due' THEN (
                SELECT min(f.first_failed_at) FROM invoices AS f
                WHERE f.subscription_id = s.id AND f.paid_at IS NULL
                  AND f.first_failed_at > COALESCE(
                    (SELECT max(q.paid_at) FROM invoices AS q WHERE q.subscription_id = s.id), '-infinity')
              ) END AS past_due_since,
              k.deleted_at AS customer_deleted_at, s.observed_event AS event, s.latest_invoice_id,
              (SELECT max(paid.paid_at) FROM invoices AS paid WHERE paid.subscription_id = s.id) AS last_paid_at
       FROM stripe_customers AS k
       JOIN subscriptions AS s ON s.stripe_customer_id = k.id
       JOIN subscription_items AS i ON i.subscription_id = s.id
       JOIN prices AS r ON r.id = i.price_id
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

-- The customer's next version, its cause in the history, and what is owed to the cache.
CREATE FUNCTION change_holdings(of_customer bigint, held jsonb, at timestamptz, cause text, evidence text)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  next_version bigint;
BEGIN
  UPDATE customers AS c SET holdings = held, version = c.version + 1, changed_at = at
  WHERE c.id = of_customer RETURNING c.version INTO STRICT next_version;
  INSERT INTO holdings_changes (customer_id, version, holdings, changed_at, cause_kind, cause_id)
  VALUES (of_customer, next_version, held, at, cause, evidence);
  INSERT INTO outbox (customer_id, cause_kind, cause_id) VALUES (of_customer, cause, evidence);
END
$$;

-- The owners of these Stripe customers, and of the one the subscription was last seen with, locked in the order of their
-- ids. Then the subscription's row as it is behind those locks, locked too; null where there is none.
CREATE FUNCTION lock_subject(claimants text[], of_subscription text, OUT owners jsonb, OUT subscription jsonb)
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  involved text[] := claimants || ARRAY(SELECT s.stripe_customer_id FROM subscriptions AS s
                                        WHERE s.id = of_subscription);
BEGIN
  SELECT COALESCE(jsonb_object_agg(locked.stripe_id, locked.customer_id), '{}') INTO owners FROM (
    SELECT k.id AS stripe_id, c.id AS customer_id
    FROM stripe_customers AS k JOIN customers AS c ON c.id = k.customer_id
    WHERE k.id = ANY (involved)
    ORDER BY c.id
    FOR UPDATE OF c) AS locked;
  SELECT to_jsonb(s) INTO subscription FROM subscriptions AS s WHERE s.id = of_subscription FOR UPDATE;
END
$$;

-- Makes this transaction the one that settles the event, then locks what it is about (`lock_subject`). Waits for another
-- transaction that has the claim. `customer_ids` are those the inbox names by now; null: the event is settled already.
CREATE FUNCTION claim_event(
  the_id text, its_type text, its_status text, its_reason text, its_body bytea, stamped bigint, its_object text,
  at timestamptz, given_up text, claimants text[], of_subscription text,
  OUT customer_ids bigint[], OUT owners jsonb, OUT subscription jsonb)
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  INSERT INTO inbox AS i (event_id, type, status, reason, body, created, object_id, customer_ids, received_at, settled_at)
  SELECT the_id, its_type, its_status, its_reason, its_body, stamped, its_object,
         ARRAY(SELECT DISTINCT k.customer_id FROM stripe_customers AS k WHERE k.id = ANY (claimants) ORDER BY 1), at, at
  ON CONFLICT (event_id) DO UPDATE SET
    status = EXCLUDED.status, reason = EXCLUDED.reason, customer_ids = EXCLUDED.customer_ids, settled_at = at
  WHERE i.status = 'failed' AND starts_with(i.reason, given_up)
  RETURNING i.customer_ids INTO customer_ids;
  IF FOUND THEN
    SELECT s.owners, s.subscription INTO owners, subscription FROM lock_subject(claimants, of_subscription) AS s;
  END IF;
END
$$;
