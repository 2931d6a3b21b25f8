-- Senders that cannot set headers have an address of their own, and a secret where they sign.

CREATE TABLE source (
  tenant_id     TEXT NOT NULL REFERENCES tenant (id),
  id            TEXT NOT NULL,
  kind          TEXT NOT NULL,
  name          TEXT NOT NULL,
  settings      TEXT NOT NULL,
  key_hash      BYTEA NOT NULL UNIQUE,       -- SHA-256 of the key in the address, which is shown once and kept nowhere
  key_hint      TEXT NOT NULL,
  secret_sealed BYTEA,                       -- NULL: nothing is checked
  is_active     SMALLINT NOT NULL CHECK (is_active IN (0, 1)),
  created_by    TEXT NOT NULL,
  created_ms    BIGINT NOT NULL,
  updated_ms    BIGINT NOT NULL,
  deleted_ms    BIGINT,
  PRIMARY KEY (tenant_id, id)
);
