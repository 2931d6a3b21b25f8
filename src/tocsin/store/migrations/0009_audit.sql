-- Who changed what, from where, and who was refused. Each entry's hash covers the one before it: see store/audit.py.

CREATE TABLE audit (
  tenant_id  TEXT NOT NULL,
  number     BIGINT NOT NULL,  -- 1, 2, 3 … of each tenant, without a gap
  time_ms    BIGINT NOT NULL,
  actor      TEXT NOT NULL,    -- a user, a service's token, 'tocsin' itself, 'environment', 'command line'
  token_id   TEXT NOT NULL,
  role       TEXT NOT NULL,
  address    TEXT NOT NULL,
  request_id TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  action     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  object_id  TEXT NOT NULL,
  outcome    TEXT NOT NULL CHECK (outcome IN ('done', 'denied')),
  reason     TEXT NOT NULL,
  before     TEXT NOT NULL,    -- JSON of the fields that changed, secrets masked; '' where there was nothing
  after      TEXT NOT NULL,
  hash       BYTEA NOT NULL,   -- SHA-256 over the hash before and this row
  seal       BYTEA NOT NULL,   -- key id (4 bytes), then HMAC-SHA256 over the hash: nobody without the key can make one
  PRIMARY KEY (tenant_id, number)
);
CREATE INDEX audit_object ON audit (tenant_id, kind, object_id, number);
CREATE INDEX audit_actor ON audit (tenant_id, actor, number);
CREATE INDEX audit_time ON audit (tenant_id, time_ms);

-- The end of each tenant's trail, locked by whoever appends; and where it begins, once old entries were removed.
CREATE TABLE audit_head (
  tenant_id     TEXT PRIMARY KEY,
  number        BIGINT NOT NULL,
  hash          BYTEA NOT NULL,
  removed_until BIGINT NOT NULL DEFAULT 0,
  removed_hash  BYTEA NOT NULL,
  removed_seal  BYTEA NOT NULL,
  removed_ms    BIGINT NOT NULL DEFAULT 0
);
