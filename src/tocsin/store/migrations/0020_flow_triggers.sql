-- Up to where flows' triggers have looked at what happened.

CREATE TABLE flow_position (
  tenant_id   TEXT PRIMARY KEY REFERENCES tenant (id),
  event_uid   TEXT NOT NULL,                 -- the last event that was looked at
  checked_ms  BIGINT NOT NULL                -- schedules were looked at until then
);
