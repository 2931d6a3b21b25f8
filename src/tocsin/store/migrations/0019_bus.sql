-- compatible: a table that nothing else refers to.
-- Messages of an event bus that were no events. They are acknowledged once they are here.

CREATE TABLE bus_refused (
  tenant_id  TEXT NOT NULL REFERENCES tenant (id),
  id         TEXT NOT NULL,
  bus        TEXT NOT NULL,
  position   TEXT NOT NULL,                  -- where it was in the stream; the hash of its body where there is no such thing
  reason     TEXT NOT NULL,
  body       BYTEA NOT NULL,                 -- its first bytes
  size       BIGINT NOT NULL,
  refused_ms BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, bus, position)
);
