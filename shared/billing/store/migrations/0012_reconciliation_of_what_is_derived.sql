-- A pass of its own compares what customers hold with the rows that it is derived from.
ALTER TABLE runs DROP CONSTRAINT runs_passes_check;
ALTER TABLE runs ADD CONSTRAINT runs_passes_known CHECK (
  cardinality(passes) > 0 AND passes <@ ARRAY['events', 'listing', 'holdings', 'cache']) NOT VALID;
ALTER TABLE runs VALIDATE CONSTRAINT runs_passes_known;
ALTER TABLE drifts DROP CONSTRAINT drifts_pass_check;
ALTER TABLE drifts ADD CONSTRAINT drifts_pass_known CHECK (
  pass IN ('events', 'listing', 'holdings', 'cache')) NOT VALID;
ALTER TABLE drifts VALIDATE CONSTRAINT drifts_pass_known;

-- A rebuild of a store with sales gives at once and takes as a run does (docs/adr/0033): `step` is the round it is in,
-- `losers` are the customers from whom it took something, or would, measured by what they held when it began.
ALTER TABLE rebuilds
  ADD COLUMN step            text NOT NULL DEFAULT 'give' CHECK (step IN ('give', 'take')),
  ADD COLUMN gated           boolean NOT NULL DEFAULT false,
  ADD COLUMN losers          bigint[] NOT NULL DEFAULT '{}',
  ADD COLUMN max_revocations integer CHECK (max_revocations >= 0),
  ADD COLUMN approved_takes  integer,
  ADD COLUMN approved_by     text,
  ADD COLUMN approved_at     timestamptz;
ALTER TABLE rebuilds DROP CONSTRAINT rebuilds_status_check;
ALTER TABLE rebuilds ADD CONSTRAINT rebuilds_status_known CHECK (
  status IN ('open', 'waiting', 'done', 'canceled')) NOT VALID;
ALTER TABLE rebuilds VALIDATE CONSTRAINT rebuilds_status_known;
ALTER TABLE rebuilds DROP CONSTRAINT rebuilds_check;
ALTER TABLE rebuilds ADD CONSTRAINT rebuilds_over CHECK (
  (status IN ('done', 'canceled')) = (finished_at IS NOT NULL)) NOT VALID;
ALTER TABLE rebuilds VALIDATE CONSTRAINT rebuilds_over;
CREATE UNIQUE INDEX rebuilds_one_at_work ON rebuilds ((true)) WHERE status IN ('open', 'waiting');
DROP INDEX rebuilds_one_open;
