-- A debt that could not be paid steps back, so that it holds up none that can. Null: not tried by a sweep yet.
ALTER TABLE outbox
  ADD COLUMN attempts    integer NOT NULL DEFAULT 0,
  ADD COLUMN next_try_at timestamptz;
CREATE INDEX outbox_tried ON outbox (next_try_at) WHERE next_try_at IS NOT NULL;

-- The store built anew out of Stripe. `stage` and `after` (the last object done of Stripe's list) are where it goes on;
-- `counts` are by stage, `left_out` the first objects that could not be taken, with why.
CREATE TABLE rebuilds (
  id          text PRIMARY KEY,
  status      text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'done')),
  stage       text NOT NULL,
  after       text,
  counts      jsonb NOT NULL DEFAULT '{}',
  left_out    jsonb NOT NULL DEFAULT '[]',
  actor       text NOT NULL CHECK (actor <> ''),
  started_at  timestamptz NOT NULL,
  changed_at  timestamptz NOT NULL,
  finished_at timestamptz,
  CHECK ((status = 'done') = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX rebuilds_one_open ON rebuilds (status) WHERE status = 'open';
CREATE INDEX rebuilds_by_time ON rebuilds (started_at, id);
