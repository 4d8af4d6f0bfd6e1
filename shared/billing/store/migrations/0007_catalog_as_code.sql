-- What a price asks beyond one amount in one currency. Null: not known (Stripe's events carry neither), or none.
-- The shapes are those of domain/prices.py.
ALTER TABLE prices
  ADD COLUMN tiers_mode          text CHECK (tiers_mode IN ('graduated', 'volume')),
  ADD COLUMN tiers               jsonb,     -- [{"up_to", "unit_amount", "unit_amount_decimal", "flat_amount", …}]
  ADD COLUMN unit_amount_decimal numeric,   -- minor units, with a fraction where unit_amount is null
  ADD COLUMN currency_options    jsonb,     -- {"eur": {"unit_amount", "unit_amount_decimal", "tiers"}}, others only
  ADD COLUMN trial_days          integer CHECK (trial_days BETWEEN 1 AND 730);  -- ours: what a checkout defaults to

UPDATE prices SET unit_amount_decimal = unit_amount WHERE unit_amount IS NOT NULL;

-- Who is applying a catalog to a project: one at a time. Another document waits for the lease; the same one takes it over.
CREATE TABLE catalog_applies (
  project_id  text PRIMARY KEY REFERENCES projects,
  holder      text NOT NULL,
  digest      bytea NOT NULL CHECK (octet_length(digest) = 32),   -- of what is applied
  lease_until timestamptz NOT NULL
);

-- Whether any grant keeps a feature from going.
CREATE INDEX grants_by_feature ON grants (project_id, feature_code);

-- Lists go by these keys, page by page.
DROP INDEX products_by_project;
CREATE INDEX products_by_project ON products (project_id, id);
DROP INDEX prices_by_product;
CREATE INDEX prices_by_product ON prices (product_id, id);
DROP INDEX benefits_by_project;
CREATE INDEX benefits_by_project ON benefits (project_id, id);
