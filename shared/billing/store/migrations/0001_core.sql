-- The store's core. Money is bigint minor units with its currency; windows are half-open; time is timestamptz (UTC).
-- Rows that mirror a Stripe object carry `watermark` (Stripe's clock, whole seconds: event.created, or the Date header of
-- the fetch) and `revision` (grows with every write; fetched rows are stored by compare-and-set on it).

CREATE TABLE projects (
  id                 text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{0,62}$'),
  name               text NOT NULL,
  identity_namespace text NOT NULL CHECK (identity_namespace ~ '^[a-z][a-z0-9-]{0,62}$'),
  allowed_origins    text[] NOT NULL DEFAULT '{}',
  status             text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  -- grows with every change of features, benefits, price policies or of the project itself
  catalog_epoch      bigint NOT NULL DEFAULT 1 CHECK (catalog_epoch > 0),
  catalog_changed_at timestamptz NOT NULL DEFAULT now(),
  created_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX projects_by_namespace ON projects (identity_namespace);

CREATE TABLE api_keys (
  id         text PRIMARY KEY,
  digest     bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),   -- SHA-256 of the whole key
  role       text NOT NULL CHECK (role IN ('project', 'admin')),
  project_id text REFERENCES projects,
  name       text NOT NULL,                                             -- the actor, for the audit log
  mode       text NOT NULL CHECK (mode IN ('live', 'test')),
  version    bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  CHECK ((role = 'project') = (project_id IS NOT NULL))
);
CREATE INDEX api_keys_by_project ON api_keys (project_id);

-- One (namespace, user_id) is one customer, however many requests race.
-- `holdings` is what they hold now (domain/holdings.py), `version` counts its changes; both are written only under this
-- row's lock. The public version of an answer is this version + the project's catalog epoch: both only grow and are read
-- in one statement, so the sum orders answers.
CREATE TABLE customers (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  namespace  text NOT NULL,
  user_id    text NOT NULL CHECK (char_length(user_id) BETWEEN 1 AND 255),
  version    bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
  holdings   jsonb NOT NULL DEFAULT '[]',
  changed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (namespace, user_id),
  CHECK ((version = 0) = (changed_at IS NULL))
);

-- The Stripe customer of a customer: exactly one that lives; deleted ones are kept, so their late events find their owner.
CREATE TABLE stripe_customers (
  id          text PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers,
  deleted_at  timestamptz,
  watermark   bigint NOT NULL DEFAULT 0,
  revision    bigint NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX stripe_customers_one_live ON stripe_customers (customer_id) WHERE deleted_at IS NULL;
CREATE INDEX stripe_customers_by_customer ON stripe_customers (customer_id);

CREATE TABLE features (
  project_id text NOT NULL REFERENCES projects,
  code       text NOT NULL CHECK (code ~ '^[A-Za-z][A-Za-z0-9_.-]{0,62}$'),
  type       text NOT NULL CHECK (type IN ('boolean', 'limit', 'config')),
  merge      text NOT NULL DEFAULT 'max' CHECK (merge IN ('max', 'sum')),
  name       text NOT NULL DEFAULT '',
  PRIMARY KEY (project_id, code)
);

CREATE TABLE products (
  id         text PRIMARY KEY,                    -- Stripe product
  project_id text NOT NULL REFERENCES projects,   -- the owner; the only road from a Stripe object to a project
  name       text NOT NULL,
  active     boolean NOT NULL,
  deleted    boolean NOT NULL DEFAULT false,
  watermark  bigint NOT NULL,
  revision   bigint NOT NULL DEFAULT 1
);
CREATE INDEX products_by_project ON products (project_id);

CREATE TABLE prices (
  id                   text PRIMARY KEY,          -- Stripe price
  product_id           text NOT NULL REFERENCES products,
  lookup_key           text,
  type                 text NOT NULL CHECK (type IN ('recurring', 'one_time')),
  currency             text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
  unit_amount          bigint,                    -- null: tiered or sub-unit prices
  billing_scheme       text NOT NULL DEFAULT 'per_unit',
  recurring_interval   text CHECK (recurring_interval IN ('day', 'week', 'month', 'year')),
  recurring_count      integer CHECK (recurring_count > 0),
  usage_type           text,
  active               boolean NOT NULL,
  deleted              boolean NOT NULL DEFAULT false,
  watermark            bigint NOT NULL,
  revision             bigint NOT NULL DEFAULT 1,
  -- our own policies (SPEC 2.4-2.6), never written by an event; null is the default
  grace_period         interval CHECK (grace_period >= interval '0'),
  renewal_leeway       interval CHECK (renewal_leeway >= interval '0'),
  access_days          integer CHECK (access_days > 0),
  on_full_refund       text CHECK (on_full_refund IN ('revoke', 'keep')),
  on_partial_refund    text CHECK (on_partial_refund IN ('revoke', 'keep')),
  CHECK ((type = 'recurring') = (recurring_interval IS NOT NULL))
);
CREATE INDEX prices_by_product ON prices (product_id);
CREATE INDEX prices_by_lookup_key ON prices (lookup_key) WHERE lookup_key IS NOT NULL;

-- "This product (or this price, which overrides its product) gives this feature this value."
CREATE TABLE benefits (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  product_id   text REFERENCES products,
  price_id     text REFERENCES prices,
  project_id   text NOT NULL,
  feature_code text NOT NULL,
  value        jsonb NOT NULL,                    -- true | integer ≥ 0 | "unlimited" | any JSON for config
  per_unit     boolean NOT NULL DEFAULT false,    -- × the item's quantity
  priority     integer NOT NULL DEFAULT 0,        -- config: highest wins
  FOREIGN KEY (project_id, feature_code) REFERENCES features,
  CHECK (num_nonnulls(product_id, price_id) = 1),
  UNIQUE NULLS NOT DISTINCT (product_id, price_id, project_id, feature_code)
);
CREATE INDEX benefits_by_project ON benefits (project_id);
CREATE INDEX benefits_by_price ON benefits (price_id);

CREATE TABLE subscriptions (
  id                   text PRIMARY KEY,
  stripe_customer_id   text NOT NULL REFERENCES stripe_customers,
  status               text NOT NULL,             -- Stripe's word; unknown ones are kept and give nothing
  start_at             timestamptz NOT NULL,      -- subscription.start_date
  trial_end            timestamptz,
  cancel_at            timestamptz,
  cancel_at_period_end boolean NOT NULL DEFAULT false,
  canceled_at          timestamptz,
  ended_at             timestamptz,
  latest_invoice_id    text,
  observed_event       text,                      -- the event (or fetch) that wrote the row: evidence
  watermark            bigint NOT NULL,
  revision             bigint NOT NULL DEFAULT 1
);
CREATE INDEX subscriptions_by_customer ON subscriptions (stripe_customer_id);

CREATE TABLE subscription_items (
  id              text PRIMARY KEY,
  subscription_id text NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
  price_id        text NOT NULL REFERENCES prices,
  quantity        bigint NOT NULL CHECK (quantity >= 0),
  period_start    timestamptz NOT NULL,
  period_end      timestamptz NOT NULL,
  CHECK (period_end >= period_start)
);
CREATE INDEX subscription_items_by_subscription ON subscription_items (subscription_id);
CREATE INDEX subscription_items_by_price ON subscription_items (price_id);

-- Absorbing facts about invoices: paid once is paid; the first failure of an attempt is the earliest seen.
CREATE TABLE invoices (
  id                 text PRIMARY KEY,
  stripe_customer_id text NOT NULL,
  subscription_id    text,
  first_failed_at    timestamptz,
  paid_at            timestamptz
);
CREATE INDEX invoices_by_subscription ON invoices (subscription_id);

CREATE TABLE checkout_sessions (
  id          text PRIMARY KEY,
  project_id  text NOT NULL REFERENCES projects,
  customer_id bigint NOT NULL REFERENCES customers,
  mode        text NOT NULL CHECK (mode IN ('payment', 'subscription')),
  status      text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'complete', 'expired')),
  expires_at  timestamptz NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX checkout_sessions_by_customer ON checkout_sessions (customer_id);

-- A line of a paid one-time checkout. Facts here are absorbing: they are set once and never unset by an event.
CREATE TABLE purchases (
  session_id         text NOT NULL,               -- Stripe checkout session
  line_item_id       text NOT NULL,
  stripe_customer_id text NOT NULL REFERENCES stripe_customers,
  price_id           text NOT NULL REFERENCES prices,
  quantity           bigint NOT NULL CHECK (quantity >= 1),
  amount             bigint NOT NULL,
  currency           text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
  payment_intent_id  text,
  paid_at            timestamptz,                 -- null: not (yet) paid
  observed_event     text,
  PRIMARY KEY (session_id, line_item_id)
);
CREATE INDEX purchases_by_customer ON purchases (stripe_customer_id);
CREATE INDEX purchases_by_payment_intent ON purchases (payment_intent_id);
CREATE INDEX purchases_by_price ON purchases (price_id);

CREATE TABLE grants (
  id           text PRIMARY KEY,
  customer_id  bigint NOT NULL REFERENCES customers,
  project_id   text NOT NULL,
  feature_code text NOT NULL,
  value        jsonb,                             -- null for a denial
  denial       boolean NOT NULL DEFAULT false,
  priority     integer NOT NULL DEFAULT 0,
  valid_from   timestamptz NOT NULL,
  valid_to     timestamptz NOT NULL DEFAULT '9999-12-31T00:00:00Z',
  reason       text NOT NULL CHECK (reason <> ''),
  actor        text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  revoked_at   timestamptz,
  FOREIGN KEY (project_id, feature_code) REFERENCES features,
  CHECK (valid_from < valid_to),
  CHECK (denial = (value IS NULL))
);
CREATE INDEX grants_by_customer ON grants (customer_id, project_id);

-- Every change of a customer's holdings with its cause: the evidence behind `explain`, and its answers for past instants.
CREATE TABLE holdings_changes (
  customer_id bigint NOT NULL REFERENCES customers,
  version     bigint NOT NULL CHECK (version > 0),
  holdings    jsonb NOT NULL,
  changed_at  timestamptz NOT NULL,
  cause_kind  text NOT NULL CHECK (cause_kind IN ('event', 'sync', 'grant', 'run')),
  cause_id    text NOT NULL,
  PRIMARY KEY (customer_id, version)
);

-- Every event Stripe ever delivered, once. The body is bytea: jsonb and text refuse \u0000.
CREATE TABLE inbox (
  event_id    text PRIMARY KEY,
  type        text NOT NULL,
  status      text NOT NULL CHECK (status IN ('applied', 'superseded', 'ignored', 'failed', 'rejected_mode')),
  reason      text,
  body        bytea NOT NULL,
  created     bigint,                             -- event.created, Stripe's clock
  object_id   text,
  customer_ids bigint[] NOT NULL DEFAULT '{}',    -- ours, whose holdings it may have changed
  received_at timestamptz NOT NULL DEFAULT now(),
  settled_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX inbox_by_status ON inbox (status, received_at);
CREATE INDEX inbox_by_customer ON inbox USING gin (customer_ids);

-- What a commit still owes to the cache and the bus: keys, never bodies; a publisher reads the state of its own moment.
-- Exactly one of the two: a customer (their snapshot in every project of the namespace), or a project (its key records).
CREATE TABLE outbox (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint REFERENCES customers,
  project_id  text REFERENCES projects,
  cause_kind  text NOT NULL,
  cause_id    text NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  CHECK (num_nonnulls(customer_id, project_id) = 1)
);
CREATE INDEX outbox_by_customer ON outbox (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX outbox_by_project ON outbox (project_id) WHERE project_id IS NOT NULL;

-- One row per Idempotency-Key, in the same database as the work it guards.
CREATE TABLE idempotency_keys (
  project_id  text NOT NULL,
  route       text NOT NULL,
  key         text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
  body_digest bytea NOT NULL,
  holder      text NOT NULL,                      -- random per attempt: a crashed holder's late finish is refused
  lease_until timestamptz NOT NULL,
  status      integer,                            -- null: in flight
  response    text,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, route, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
