-- What runs of flows there are to be, are, and were lately. What they told is in the runs, as of anybody's.

CREATE TABLE flow_execution (
  tenant_id      TEXT NOT NULL REFERENCES tenant (id),
  id             TEXT NOT NULL,
  namespace      TEXT NOT NULL,
  flow_id        TEXT NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('QUEUED', 'RUNNING', 'SUCCESS', 'WARNING', 'FAILED', 'KILLED', 'CANCELLED')),
  inputs_sealed  BYTEA,                     -- JSON object, with whatever secrets there are in it; NULL once it is over
  cause          TEXT NOT NULL,             -- JSON object: what expressions know as `trigger`
  labels         TEXT NOT NULL,             -- JSON object, beside the flow's own
  created_by     TEXT NOT NULL,
  created_ms     BIGINT NOT NULL,
  started_ms     BIGINT,
  ended_ms       BIGINT,
  claims         SMALLINT NOT NULL DEFAULT 0, -- how often a process began it: the second time it was lost
  lease          TEXT NOT NULL DEFAULT '',
  lease_until_ms BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, id),
  CHECK ((inputs_sealed IS NULL) = (ended_ms IS NOT NULL)),
  CHECK ((ended_ms IS NULL) = (state IN ('QUEUED', 'RUNNING')))
);
CREATE INDEX flow_execution_waiting ON flow_execution (created_ms, id) WHERE ended_ms IS NULL;
CREATE INDEX flow_execution_age ON flow_execution (ended_ms) WHERE ended_ms IS NOT NULL;
