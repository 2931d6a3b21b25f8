-- Messages that are kept up to date, alarms that are closed again, limits that endpoints share, and the inbox.

ALTER TABLE endpoint ADD COLUMN settings_sealed BYTEA;  -- JSON object of the settings that are secret; NULL: there are none

ALTER TABLE run ADD COLUMN about TEXT NOT NULL DEFAULT '';  -- what its events said of the run as a whole, JSON

-- What an endpoint was told of a run (or of an alarm), so that it can be edited, answered or closed. One writer at a time.
CREATE TABLE thread (
  tenant_id      TEXT NOT NULL,
  endpoint_id    TEXT NOT NULL,
  key            TEXT NOT NULL,
  state          TEXT NOT NULL DEFAULT '',
  lease          TEXT,
  lease_until_ms BIGINT NOT NULL DEFAULT 0,
  updated_ms     BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, endpoint_id, key)
);
CREATE INDEX thread_age ON thread (updated_ms);

-- Limits that several endpoints share, such as those of a bot's token.
CREATE TABLE shared_limit (
  tenant_id TEXT NOT NULL,
  key       TEXT NOT NULL,
  bucket_us BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, key)
);

-- Trouble that an endpoint was told of and that a recovery closes there.
CREATE TABLE incident (
  tenant_id   TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  key         TEXT NOT NULL,
  rule_id     TEXT NOT NULL,
  opened_ms   BIGINT NOT NULL,
  closed_ms   BIGINT,
  PRIMARY KEY (tenant_id, endpoint_id, key)
);
CREATE INDEX incident_open ON incident (tenant_id, key) WHERE closed_ms IS NULL;
CREATE INDEX incident_age ON incident (closed_ms) WHERE closed_ms IS NOT NULL;

-- Messages for people in Tocsin itself.
CREATE TABLE inbox (
  tenant_id   TEXT NOT NULL,
  id          TEXT NOT NULL,  -- the delivery's: a message that is sent twice is there once
  user_id     TEXT NOT NULL,
  title       TEXT NOT NULL,
  text        TEXT NOT NULL,
  tone        TEXT NOT NULL,
  url         TEXT NOT NULL,
  created_ms  BIGINT NOT NULL,
  read_ms     BIGINT,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX inbox_user ON inbox (tenant_id, user_id, id);
CREATE INDEX inbox_unread ON inbox (tenant_id, user_id) WHERE read_ms IS NULL;
