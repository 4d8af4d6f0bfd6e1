-- The one token bucket that all event workers share for asking Stripe: ties and missing objects must never use up the
-- account's rate limit, which checkouts need too.

CREATE TABLE fetch_budget (
  only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  tokens    double precision NOT NULL,
  filled_at timestamptz NOT NULL
);
INSERT INTO fetch_budget (tokens, filled_at) VALUES (10, '2000-01-01Z');
