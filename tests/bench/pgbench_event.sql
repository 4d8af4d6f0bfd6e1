-- What one customer.subscription.updated does to the store, statement by statement, as pgbench runs it.
\set c random(1, :customers)
\set e random(1, 9000000000000000)
BEGIN;
INSERT INTO inbox (event_id, type, status, body, created, object_id, received_at) VALUES ('evt_' || :e, 'customer.subscription.updated', 'applied', decode(repeat('7b', 4000), 'hex'), 1, 'sub_' || :c, now()) ON CONFLICT (event_id) DO NOTHING;
SELECT stripe_customer_id FROM subscriptions WHERE id = 'sub_' || :c;
SELECT k.id, c.id FROM stripe_customers AS k JOIN customers AS c ON c.id = k.customer_id WHERE k.id = 'cus_' || :c ORDER BY c.id FOR UPDATE OF c;
SELECT id, status, watermark, revision FROM subscriptions WHERE id = 'sub_' || :c FOR UPDATE;
SELECT id FROM prices WHERE id = 'price_pro';
INSERT INTO subscriptions AS s (id, stripe_customer_id, status, start_at, observed_event, watermark) VALUES ('sub_' || :c, 'cus_' || :c, 'active', '2026-03-01Z', 'evt', 2) ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, watermark = EXCLUDED.watermark, revision = s.revision + 1;
DELETE FROM subscription_items WHERE subscription_id = 'sub_' || :c AND id <> 'si_' || :c;
INSERT INTO subscription_items (id, subscription_id, price_id, quantity, period_start, period_end) VALUES ('si_' || :c, 'sub_' || :c, 'price_pro', :e % 1000, '2026-03-01Z', '2026-04-01Z') ON CONFLICT (id) DO UPDATE SET quantity = EXCLUDED.quantity;
SELECT i.id, i.quantity, s.status FROM subscriptions AS s JOIN subscription_items AS i ON i.subscription_id = s.id WHERE s.id = 'sub_' || :c;
UPDATE customers SET version = version + 1, changed_at = now(), holdings = jsonb_build_array(jsonb_build_object('quantity', :e)) WHERE namespace = 'notes' AND user_id = :c::text;
INSERT INTO holdings_changes (customer_id, version, holdings, changed_at, cause_kind, cause_id) SELECT id, version, holdings, now(), 'event', 'evt' FROM customers WHERE namespace = 'notes' AND user_id = :c::text;
INSERT INTO outbox (customer_id, cause_kind, cause_id) SELECT id, 'event', 'evt' FROM customers WHERE namespace = 'notes' AND user_id = :c::text;
UPDATE inbox SET status = 'applied', settled_at = now() WHERE event_id = 'evt_' || :e;
COMMIT;
