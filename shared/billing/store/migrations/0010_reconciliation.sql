-- Reconciliation (SPEC 6): its runs, what each found, and where a listing lies while it is compared.

-- One run at a time. Whoever works on it has a lease; `token` grows whenever the lease is taken, and every transaction of
-- a run first asks for its token, so a worker that slept past its lease writes nothing any more.
CREATE TABLE runs (
  id              text PRIMARY KEY CHECK (id ~ '^run_'),
  cause           text NOT NULL CHECK (cause IN ('schedule', 'operator')),
  actor           text NOT NULL CHECK (actor <> ''),
  project_id      text REFERENCES projects,         -- null: all of them
  passes          text[] NOT NULL CHECK (cardinality(passes) > 0 AND passes <@ ARRAY['events', 'listing', 'cache']),
  dry_run         boolean NOT NULL DEFAULT false,
  status          text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'waiting', 'done', 'failed', 'canceled')),
  cut_at          timestamptz NOT NULL,             -- what was written since is left to events
  started_at      timestamptz NOT NULL,
  finished_at     timestamptz,
  max_revocations integer CHECK (max_revocations >= 0),   -- customers who may lose something unasked; null: the default
  approved_takes  integer,                          -- how many losers an operator saw and allowed
  approved_by     text,
  approved_at     timestamptz,
  checkpoint      jsonb NOT NULL DEFAULT '{}',      -- usecases/reconcile.py: pass, step, position
  counts          jsonb NOT NULL DEFAULT '{}',      -- drifts by kind and status
  listing_hash    bytea,                            -- SHA-256 over the pages of the listing, in their order
  listed          bigint NOT NULL DEFAULT 0,        -- objects that were looked at, of all passes
  error           text,                             -- why it failed, or what its last slice stumbled over
  token           bigint NOT NULL DEFAULT 0,
  holder          text,
  lease_until     timestamptz NOT NULL DEFAULT '-infinity',
  CHECK ((status IN ('done', 'failed', 'canceled')) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX runs_one_at_work ON runs ((true)) WHERE status IN ('open', 'waiting');
CREATE INDEX runs_by_time ON runs (started_at, id);

CREATE TABLE drifts (
  run_id       text NOT NULL REFERENCES runs ON DELETE CASCADE,
  n            bigint NOT NULL CHECK (n > 0),       -- 1, 2, 3 … as they were found
  pass         text NOT NULL CHECK (pass IN ('events', 'listing', 'cache')),
  kind         text NOT NULL CHECK (kind IN ('missing_local', 'missing_remote', 'field_mismatch', 'cache_mismatch', 'orphan')),
  object_type  text NOT NULL,
  object_id    text NOT NULL,
  user_id      text,
  project_id   text,
  before       jsonb NOT NULL,                      -- the object as the store or the cache has it; {}: it has not
  after        jsonb NOT NULL,                      -- and as it should be
  effect       jsonb,                               -- {before, after}: whose access its repair changes, and how
  takes        boolean,                             -- repairing it takes a feature from somebody; null: not tried yet
  customer_ids bigint[] NOT NULL DEFAULT '{}',      -- ours, whom repairing it touches
  status       text NOT NULL DEFAULT 'found' CHECK (status IN ('found', 'repaired', 'left', 'failed')),
  reason       text,
  found_at     timestamptz NOT NULL,
  settled_at   timestamptz,
  PRIMARY KEY (run_id, n)
);
CREATE INDEX drifts_unsettled ON drifts (run_id, pass, n) WHERE status = 'found';
CREATE INDEX drifts_taking ON drifts (run_id) WHERE takes;

-- Pages of Stripe's lists until they are compared. Unlogged: a crash of the server empties it, which the row of object
-- type '' shows, and the pass begins again.
CREATE UNLOGGED TABLE run_listing (
  run_id           text NOT NULL,
  object_type      text NOT NULL,
  object_id        text NOT NULL,
  state            jsonb NOT NULL,
  listed_at_second bigint NOT NULL,                 -- Stripe's clock when the page was answered
  PRIMARY KEY (run_id, object_type, object_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON runs, drifts, run_listing TO billing_app;
