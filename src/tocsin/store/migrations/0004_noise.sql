-- What rules say about noise and time, and what is remembered for it.

ALTER TABLE rule ADD COLUMN noise TEXT NOT NULL DEFAULT '{}';
ALTER TABLE endpoint ADD COLUMN options TEXT NOT NULL DEFAULT '{}';  -- digest and templates, JSON

-- words: what planning says to the message (note, title, fold), JSON. folded_into: the delivery whose message tells of it.
ALTER TABLE delivery ADD COLUMN words TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN folded_into TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_folded ON delivery (folded_into) WHERE folded_into <> '';

ALTER TABLE run ADD COLUMN parent_run_id TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN log_tail TEXT NOT NULL DEFAULT '';
CREATE INDEX run_history ON run (tenant_id, pipeline, finished_ms) WHERE status = 'succeeded';

-- What a rule knows of what was before, by the thing it watches (a pipeline, mostly).
CREATE TABLE rule_state (
  tenant_id  TEXT NOT NULL,
  rule_id    TEXT NOT NULL,
  key        TEXT NOT NULL,
  state      TEXT NOT NULL,
  updated_ms BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, rule_id, key)
);
CREATE INDEX rule_state_age ON rule_state (updated_ms);

-- Messages that wait for company: the delivery that will tell of all, and when.
CREATE TABLE fold (
  tenant_id   TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  key         TEXT NOT NULL,
  state       TEXT NOT NULL,
  updated_ms  BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, endpoint_id, key)
);
CREATE INDEX fold_age ON fold (updated_ms);

-- What the clock will bring about. The sweep makes an event of each that is due.
CREATE TABLE timer (
  tenant_id TEXT NOT NULL,
  id        TEXT NOT NULL,
  kind      TEXT NOT NULL,
  rule_id   TEXT NOT NULL,
  due_ms    BIGINT NOT NULL,
  data      TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX timer_due ON timer (due_ms);

CREATE TABLE silence (
  tenant_id  TEXT NOT NULL REFERENCES tenant (id),
  id         TEXT NOT NULL,
  matchers   TEXT NOT NULL,  -- JSON list
  hours      TEXT NOT NULL,  -- JSON list: hours that come back; [] is the whole span
  starts_ms  BIGINT NOT NULL,
  ends_ms    BIGINT,
  reason     TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  ended_ms   BIGINT,         -- when it was ended by a person, or its summary was sent
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX silence_end ON silence (ends_ms) WHERE ended_ms IS NULL;

-- How many messages a silence has kept from an endpoint.
CREATE TABLE hidden (
  tenant_id   TEXT NOT NULL,
  silence_id  TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  count       BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, silence_id, endpoint_id)
);

-- What people want to hear of, and where.
CREATE TABLE preference (
  tenant_id  TEXT NOT NULL REFERENCES tenant (id),
  user_id    TEXT NOT NULL,
  settings   TEXT NOT NULL,  -- JSON
  updated_ms BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id)
);
