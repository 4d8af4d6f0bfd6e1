-- Charges with what came of them. Every fact is absorbing: a status is only ever replaced by one of higher rank
-- (domain/policies.py), so the order of events does not matter.

CREATE TABLE charges (
  id                 text PRIMARY KEY,            -- Stripe charge
  stripe_customer_id text NOT NULL REFERENCES stripe_customers,
  amount             bigint NOT NULL CHECK (amount >= 0),
  currency           text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
  payment_intent_id  text,
  invoice_id         text,                        -- what it paid: an invoice of a subscription …
  subscription_id    text,
  session_id         text,                        -- … or a one-time checkout session
  CHECK (session_id IS NULL OR invoice_id IS NULL)
);
CREATE INDEX charges_by_customer ON charges (stripe_customer_id);

CREATE TABLE refunds (
  id         text PRIMARY KEY,
  charge_id  text NOT NULL REFERENCES charges,
  amount     bigint NOT NULL CHECK (amount >= 0),
  status     text NOT NULL,
  rank       smallint NOT NULL,
  created_at timestamptz NOT NULL                 -- Stripe's clock
);
CREATE INDEX refunds_by_charge ON refunds (charge_id);

CREATE TABLE disputes (
  id        text PRIMARY KEY,
  charge_id text NOT NULL REFERENCES charges,
  amount    bigint NOT NULL CHECK (amount >= 0),
  status    text NOT NULL,
  rank      smallint NOT NULL,
  opened_at timestamptz NOT NULL,                 -- Stripe's clock
  closed_at timestamptz                           -- the earliest event that told this status, where it ended
);
CREATE INDEX disputes_by_charge ON disputes (charge_id);
