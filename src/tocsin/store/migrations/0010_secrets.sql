-- Secrets that endpoints refer to by name, and what a POST with an Idempotency-Key was answered.

CREATE TABLE secret (
  tenant_id    TEXT NOT NULL REFERENCES tenant (id),
  id           TEXT NOT NULL,
  name         TEXT NOT NULL,
  description  TEXT NOT NULL,
  usable_by    TEXT NOT NULL CHECK (usable_by IN ('developer', 'admin')),
  value_sealed BYTEA,                        -- NULL once it is deleted: the value goes, the row stays
  created_by   TEXT NOT NULL,
  created_ms   BIGINT NOT NULL,
  updated_by   TEXT NOT NULL,
  updated_ms   BIGINT NOT NULL,
  deleted_by   TEXT NOT NULL DEFAULT '',
  deleted_ms   BIGINT,
  PRIMARY KEY (tenant_id, id),
  CHECK ((value_sealed IS NULL) = (deleted_ms IS NOT NULL))
);
CREATE UNIQUE INDEX secret_name ON secret (tenant_id, name) WHERE deleted_ms IS NULL;

-- Which part of which endpoint says `secret:NAME`, stored or of the environment.
CREATE TABLE secret_use (
  tenant_id   TEXT NOT NULL,
  name        TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  part        TEXT NOT NULL CHECK (part IN ('address', 'secret', 'headers', 'settings')),
  PRIMARY KEY (tenant_id, name, endpoint_id, part)
);
CREATE INDEX secret_use_endpoint ON secret_use (tenant_id, endpoint_id, part);

-- id: a hash of the tenant, the token and the key. Answers may hold a secret that is shown once: they are sealed.
CREATE TABLE answer (
  id           TEXT PRIMARY KEY,
  tenant_id    TEXT NOT NULL,
  request_hash BYTEA NOT NULL,
  status       SMALLINT NOT NULL,
  body_sealed  BYTEA NOT NULL,
  created_ms   BIGINT NOT NULL
);
CREATE INDEX answer_age ON answer (created_ms);
