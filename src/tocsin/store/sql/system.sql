-- applied_migrations
SELECT number, name, checksum FROM migration ORDER BY number;

-- compatible_migrations
SELECT number FROM migration_compatible;

-- get_meta
SELECT value FROM meta WHERE name = :name;

-- put_meta
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING RETURNING value;

-- move_meta
-- Of several that found the same, one gets a row back.
UPDATE meta SET value = :value WHERE name = :name AND value = :old RETURNING value;

-- database_time
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);

-- insert_tenant
INSERT INTO tenant (id, name, created_ms) VALUES (:id, :name, :now) ON CONFLICT (id) DO NOTHING RETURNING id;

-- insert_token
INSERT INTO token (tenant_id, id, name, user_id, role, hash, hint, created_ms, expires_ms)
VALUES (:tenant_id, :id, :name, :user_id, :role, :hash, :hint, :now, :expires_ms);

-- find_token
-- The one query without a tenant: the token is what names the tenant.
SELECT tenant_id, id, name, user_id, role, expires_ms, revoked_ms FROM token WHERE hash = :hash;

-- list_tokens
SELECT id, name, user_id, role, hint, created_ms, expires_ms, revoked_ms FROM token
 WHERE tenant_id = :tenant_id ORDER BY id;

-- revoke_token
UPDATE token SET revoked_ms = :now WHERE tenant_id = :tenant_id AND id = :id AND revoked_ms IS NULL RETURNING id;
