-- Who did what, when and why. Rows are only ever added, each one's hash rests on the one before it (domain/audit.py), one
-- chain a project and one ('') for what belongs to none. `before` and `after` are json, not jsonb: json keeps the very
-- characters that were hashed.

CREATE TABLE audit (
  chain         text NOT NULL,                    -- the project's id, or ''
  seq           bigint NOT NULL CHECK (seq > 0),  -- 1, 2, 3 … without a gap
  at            timestamptz NOT NULL,             -- never before the row before it
  actor         text NOT NULL CHECK (actor <> ''),
  key_id        text,
  action        text NOT NULL,
  target        text NOT NULL,
  reason        text,
  before        json,
  after         json,
  request_id    text NOT NULL,
  previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
  hash          bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_by_time ON audit (at, chain, seq);
CREATE INDEX audit_by_chain ON audit (chain, at, seq);
CREATE INDEX audit_by_action ON audit (action, at, chain, seq);
CREATE INDEX audit_by_target ON audit (target, at, chain, seq);
CREATE INDEX audit_by_actor ON audit (actor, at, chain, seq);

-- The end of each chain: its row lock puts writers in line, and a tail that was cut off is missed here.
CREATE TABLE audit_heads (
  chain text PRIMARY KEY,
  seq   bigint NOT NULL CHECK (seq >= 0),
  at    timestamptz NOT NULL,
  hash  bytea NOT NULL CHECK (octet_length(hash) = 32)
);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % refused: rows of the audit are only ever added', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION refuse_head_jump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.chain <> OLD.chain OR NEW.seq <> OLD.seq + 1 OR NEW.at < OLD.at THEN
    RAISE EXCEPTION 'UPDATE of audit_heads refused: a head moves on by one row at a time'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_heads_stay BEFORE DELETE OR TRUNCATE ON audit_heads
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_heads_move_on BEFORE UPDATE ON audit_heads
  FOR EACH ROW EXECUTE FUNCTION refuse_head_jump();

-- What the functions run as: logins are members of this role. Roles belong to the whole cluster, so another database's
-- migration may be making it at this moment.
DO $$
BEGIN
  CREATE ROLE billing_app NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT USAGE ON SCHEMA public TO billing_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO billing_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO billing_app;
REVOKE UPDATE, DELETE ON audit FROM billing_app;
REVOKE DELETE ON audit_heads FROM billing_app;
REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM billing_app;

-- Who took a grant back, and why; and the roads by which grants are listed.
ALTER TABLE grants ADD COLUMN revoked_by text, ADD COLUMN revoked_reason text;
CREATE INDEX grants_by_project ON grants (project_id, created_at, id);
CREATE INDEX grants_by_time ON grants (created_at, id);
