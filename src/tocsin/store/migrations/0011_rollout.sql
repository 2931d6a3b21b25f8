-- What has not come to everybody yet; and what a tenant may do at the most, where the settings' limits do not hold for it.

CREATE TABLE rollout (
  feature    TEXT PRIMARY KEY,   -- `alerts`, or a kind of endpoint; one that is not here is on for everybody
  state      TEXT NOT NULL CHECK (state IN ('off', 'tenants', 'on')),
  tenants    TEXT NOT NULL,      -- JSON list of ids, with the state `tenants`
  updated_ms BIGINT NOT NULL,
  updated_by TEXT NOT NULL
);

ALTER TABLE tenant ADD COLUMN limits TEXT NOT NULL DEFAULT '';  -- JSON object of those that are its own; '' is none
