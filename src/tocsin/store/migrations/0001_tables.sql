-- Every table of a tenant's data starts with the tenant. Times are Unix milliseconds, flags are 0 or 1, JSON is text.
-- Written once for both stores: for SQLite the runner turns BYTEA into BLOB and BIGINT and SMALLINT into INTEGER.

CREATE TABLE tenant (
  id             TEXT PRIMARY KEY,
  name           TEXT NOT NULL,
  config_version BIGINT NOT NULL DEFAULT 1,  -- grows with every change to endpoints and rules; caches compare it
  created_ms     BIGINT NOT NULL
);

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE token (
  tenant_id    TEXT NOT NULL REFERENCES tenant (id),
  id           TEXT NOT NULL,
  name         TEXT NOT NULL,
  user_id      TEXT NOT NULL,
  role         TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'admin')),
  hash         BYTEA NOT NULL UNIQUE,        -- SHA-256 of the token; the token itself is shown once and kept nowhere
  hint         TEXT NOT NULL,
  created_ms   BIGINT NOT NULL,
  expires_ms   BIGINT,
  revoked_ms   BIGINT,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE endpoint (
  tenant_id       TEXT NOT NULL REFERENCES tenant (id),
  id              TEXT NOT NULL,
  user_id         TEXT NOT NULL,
  provider_type   TEXT NOT NULL,
  name            TEXT NOT NULL,
  description     TEXT NOT NULL,
  address_sealed  BYTEA NOT NULL,
  address_hint    TEXT NOT NULL,             -- the last ten characters, for people
  secret_sealed   BYTEA NOT NULL,            -- JSON list of {value, expires_ms}
  headers_sealed  BYTEA NOT NULL,            -- JSON object
  header_names    TEXT NOT NULL,
  settings        TEXT NOT NULL,
  enabled_events  TEXT NOT NULL,
  is_active       SMALLINT NOT NULL CHECK (is_active IN (0, 1)),
  disabled_reason TEXT NOT NULL DEFAULT '',
  version         BIGINT NOT NULL DEFAULT 1,
  created_by      TEXT NOT NULL,
  created_ms      BIGINT NOT NULL,
  updated_ms      BIGINT NOT NULL,
  deleted_ms      BIGINT,
  PRIMARY KEY (tenant_id, id)
);

-- What changes with every delivery, apart from what people edit. One row an endpoint.
CREATE TABLE endpoint_state (
  endpoint_id          TEXT PRIMARY KEY,
  tenant_id            TEXT NOT NULL,
  next_ms              BIGINT,               -- when the claimer should look here again; NULL: nothing waits, or switched off
  paused_until_ms      BIGINT NOT NULL DEFAULT 0,
  bucket_us            BIGINT NOT NULL DEFAULT 0,  -- the rate limit's theoretical arrival time, microseconds
  consecutive_failures BIGINT NOT NULL DEFAULT 0,
  notice               TEXT NOT NULL DEFAULT '' CHECK (notice IN ('', 'failing', 'disabled')),
  last_used_ms         BIGINT,
  last_error           TEXT NOT NULL DEFAULT ''
);
CREATE INDEX endpoint_state_next ON endpoint_state (next_ms) WHERE next_ms IS NOT NULL;
CREATE INDEX endpoint_state_notice ON endpoint_state (notice) WHERE notice <> '';

CREATE TABLE rule (
  tenant_id    TEXT NOT NULL REFERENCES tenant (id),
  id           TEXT NOT NULL,
  name         TEXT NOT NULL,
  event_types  TEXT NOT NULL,
  pipelines    TEXT NOT NULL,
  labels       TEXT NOT NULL,
  condition    TEXT NOT NULL,
  endpoint_ids TEXT NOT NULL,
  retry        TEXT NOT NULL,
  rate_limit   TEXT,
  settings     TEXT NOT NULL,
  is_active    SMALLINT NOT NULL CHECK (is_active IN (0, 1)),
  created_by   TEXT NOT NULL,
  created_ms   BIGINT NOT NULL,
  updated_ms   BIGINT NOT NULL,
  deleted_ms   BIGINT,
  PRIMARY KEY (tenant_id, id)
);

-- Rate limits of rules: when the next message may go, over all processes.
CREATE TABLE rule_bucket (
  tenant_id TEXT NOT NULL,
  rule_id   TEXT NOT NULL,
  bucket_us BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, rule_id)
);

CREATE TABLE event (
  tenant_id   TEXT NOT NULL,
  uid         TEXT NOT NULL,
  id          TEXT NOT NULL,
  source      TEXT NOT NULL,
  type        TEXT NOT NULL,
  kind        TEXT NOT NULL,
  severity    TEXT NOT NULL,
  pipeline    TEXT NOT NULL,
  run_id      TEXT NOT NULL,
  stage       TEXT NOT NULL,
  time_ms     BIGINT NOT NULL,
  received_ms BIGINT NOT NULL,
  content     TEXT NOT NULL,                 -- title, message, labels, data, links, actions
  trace       TEXT NOT NULL,                 -- what was decided, when it was decided, and why
  PRIMARY KEY (tenant_id, uid)
);
CREATE UNIQUE INDEX event_id ON event (tenant_id, id, source);

CREATE TABLE run (
  tenant_id   TEXT NOT NULL,
  id          TEXT NOT NULL,
  pipeline    TEXT NOT NULL,
  run_id      TEXT NOT NULL,
  attempt     BIGINT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN
    ('unknown', 'running', 'paused', 'succeeded', 'failed', 'warning', 'cancelled')),
  started_ms  BIGINT,
  finished_ms BIGINT,
  updated_ms  BIGINT NOT NULL,
  error       TEXT NOT NULL,
  stages      TEXT NOT NULL,
  PRIMARY KEY (tenant_id, pipeline, run_id, attempt)
);
CREATE UNIQUE INDEX run_id ON run (tenant_id, id);

CREATE TABLE delivery (
  tenant_id      TEXT NOT NULL,
  id             TEXT NOT NULL,
  event_uid      TEXT NOT NULL,
  endpoint_id    TEXT NOT NULL,
  rule_id        TEXT NOT NULL,
  provider_type  TEXT NOT NULL,
  event_type     TEXT NOT NULL,
  status         TEXT NOT NULL CHECK (status IN
    ('pending', 'sending', 'retrying', 'delivered', 'dead', 'expired', 'cancelled', 'suppressed')),
  reason         TEXT NOT NULL DEFAULT '',
  attempts       BIGINT NOT NULL DEFAULT 0,
  failures       BIGINT NOT NULL DEFAULT 0,   -- attempts that used up budget: all but 429s
  lease_losses   BIGINT NOT NULL DEFAULT 0,   -- times a worker died or hung while holding it
  plain          SMALLINT NOT NULL DEFAULT 0 CHECK (plain IN (0, 1)),  -- the rich form was refused: plain text now
  retry          TEXT NOT NULL DEFAULT '',    -- the rule's retry policy, JSON; '' is the standard one
  due_ms         BIGINT NOT NULL,
  expires_ms     BIGINT NOT NULL,
  lease          TEXT,
  lease_until_ms BIGINT,
  body           BYTEA,                       -- the fixed body, where the provider fixes it when planned
  http_status    BIGINT,
  error          TEXT NOT NULL DEFAULT '',
  created_ms     BIGINT NOT NULL,
  updated_ms     BIGINT NOT NULL,
  delivered_ms   BIGINT,
  PRIMARY KEY (tenant_id, id),
  CHECK ((status = 'sending') = (lease IS NOT NULL)),
  CHECK ((lease IS NULL) = (lease_until_ms IS NULL))
);
-- An event reaches an endpoint once, however many rules lead there.
CREATE UNIQUE INDEX delivery_event ON delivery (event_uid, endpoint_id);
-- One for each state: SQLite uses a partial index only where the query says its condition word for word.
CREATE INDEX delivery_pending ON delivery (endpoint_id, due_ms) WHERE status = 'pending';
CREATE INDEX delivery_retrying ON delivery (endpoint_id, due_ms) WHERE status = 'retrying';
CREATE INDEX delivery_expiry ON delivery (expires_ms) WHERE status IN ('pending', 'retrying');
CREATE INDEX delivery_lease ON delivery (lease_until_ms) WHERE status = 'sending';
CREATE INDEX delivery_dead ON delivery (tenant_id, id) WHERE status = 'dead';
CREATE INDEX delivery_endpoint ON delivery (tenant_id, endpoint_id, id);

CREATE TABLE attempt (
  tenant_id     TEXT NOT NULL,
  delivery_id   TEXT NOT NULL,
  number        BIGINT NOT NULL,
  endpoint_id   TEXT NOT NULL,
  started_ms    BIGINT NOT NULL,
  duration_ms   BIGINT NOT NULL,
  outcome       TEXT NOT NULL CHECK (outcome IN ('sent', 'failed', 'rate_limited', 'unknown')),
  http_status   BIGINT,
  error         TEXT NOT NULL,
  response_body TEXT NOT NULL,
  request_body  BYTEA,                        -- NULL: the delivery's fixed body
  PRIMARY KEY (tenant_id, delivery_id, number)
);

CREATE TABLE idempotency (
  tenant_id  TEXT NOT NULL,
  key        TEXT NOT NULL,
  body_hash  BYTEA NOT NULL,
  answer     TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_age ON idempotency (created_ms);
