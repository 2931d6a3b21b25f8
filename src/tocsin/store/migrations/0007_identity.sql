-- Who belongs to a tenant, what tokens may do, and tenants that are suspended or gone.

ALTER TABLE tenant ADD COLUMN suspended_ms BIGINT;
ALTER TABLE tenant ADD COLUMN deleted_ms BIGINT;

CREATE TABLE member (
  tenant_id  TEXT NOT NULL REFERENCES tenant (id),
  user_id    TEXT NOT NULL,
  role       TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'admin')),
  email      TEXT NOT NULL,
  name       TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  removed_ms BIGINT,
  PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX member_user ON member (user_id);

ALTER TABLE token ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';  -- JSON list; []: all that the role can have
ALTER TABLE token ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN last_used_ms BIGINT;                -- to the minute
ALTER TABLE token ADD COLUMN old_hash BYTEA;                     -- before it was rotated; holds until old_until_ms
ALTER TABLE token ADD COLUMN old_until_ms BIGINT;
CREATE UNIQUE INDEX token_old_hash ON token (old_hash) WHERE old_hash IS NOT NULL;

-- Whoever has a token is a member, in the highest role of their tokens.
INSERT INTO member (tenant_id, user_id, role, email, name, created_ms, updated_ms)
SELECT tenant_id, user_id,
       CASE max(CASE role WHEN 'admin' THEN 3 WHEN 'developer' THEN 2 ELSE 1 END)
            WHEN 3 THEN 'admin' WHEN 2 THEN 'developer' ELSE 'viewer' END,
       '', '', min(created_ms), min(created_ms)
  FROM token WHERE user_id <> '' AND revoked_ms IS NULL GROUP BY tenant_id, user_id;
