-- Monthly recurring revenue: what it rests on beyond what entitlements need, and its history (docs/adr/0024).

ALTER TABLE subscriptions
  ADD COLUMN currency text CHECK (currency ~ '^[a-z]{3}$'),  -- of its invoices; null: the prices' own
  ADD COLUMN discount_ids text[] NOT NULL DEFAULT '{}',      -- in the order in which they are taken off
  ADD COLUMN revenue_basis text NOT NULL DEFAULT '';         -- digest of what its last entries in mrr_changes rest on
ALTER TABLE subscription_items
  ADD COLUMN discount_ids text[] NOT NULL DEFAULT '{}';      -- taken off before the subscription's own

-- A price per package: Stripe's price.transform_quantity.
ALTER TABLE prices
  ADD COLUMN package_size  bigint CHECK (package_size > 0),
  ADD COLUMN package_round text CHECK (package_round IN ('up', 'down'));

-- The terms of a Stripe discount, which never change; events carry only its id.
CREATE TABLE discounts (
  id          text PRIMARY KEY,
  recurs      boolean NOT NULL,                   -- `forever` and `repeating`, not `once`
  ends_at     timestamptz,                        -- of `repeating`
  percent_off numeric CHECK (percent_off BETWEEN 0 AND 100),
  amounts_off jsonb,                              -- by currency, in minor units: {"usd": 500}
  product_ids text[],                             -- null: every product
  CHECK (num_nonnulls(percent_off, amounts_off) <= 1)   -- neither: Stripe no longer tells
);

-- Each change of what a subscription brings a project a month, which is amount / divisor minor units of the currency:
-- a fraction, so that every sum is exact. The last row up to an instant is what holds then. Rows that lie ahead are
-- discounts known to end; the next observation of the subscription writes them anew.
CREATE TABLE mrr_changes (
  project_id      text NOT NULL,                  -- its key is not checked: that would lock the project's row
  subscription_id text NOT NULL REFERENCES subscriptions,
  currency        text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
  divisor         integer NOT NULL CHECK (divisor > 0),
  since           timestamptz NOT NULL,           -- Stripe's clock
  customer_id     bigint NOT NULL REFERENCES customers,
  amount          numeric NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (project_id, subscription_id, currency, divisor, since)
);
CREATE INDEX mrr_changes_by_subscription ON mrr_changes (subscription_id, since);
CREATE INDEX mrr_changes_by_customer ON mrr_changes (customer_id, project_id, currency, since) WHERE amount > 0;

-- What came in and went back within a period.
CREATE INDEX purchases_by_price_and_time ON purchases (price_id, paid_at);
DROP INDEX purchases_by_price;
CREATE INDEX refunds_by_time ON refunds (created_at);
