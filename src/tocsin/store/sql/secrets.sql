-- insert_secret
-- No row comes back where the name is taken.
INSERT INTO secret (tenant_id, id, name, description, usable_by, value_sealed, created_by, created_ms, updated_by, updated_ms)
VALUES (:tenant_id, :id, :name, :description, :usable_by, :value_sealed, :by, :now, :by, :now)
ON CONFLICT DO NOTHING RETURNING id;

-- get_secret
SELECT id, name, description, usable_by, created_by, created_ms, updated_by, updated_ms FROM secret
 WHERE tenant_id = :tenant_id AND name = :name AND deleted_ms IS NULL;

-- list_secrets
SELECT id, name, description, usable_by, created_by, created_ms, updated_by, updated_ms FROM secret
 WHERE tenant_id = :tenant_id AND deleted_ms IS NULL AND name > :after ORDER BY name LIMIT :limit;

-- sealed_secret
SELECT id, usable_by, value_sealed FROM secret
 WHERE tenant_id = :tenant_id AND name = :name AND deleted_ms IS NULL;

-- update_secret
UPDATE secret SET description = :description, usable_by = :usable_by, value_sealed = coalesce(:value_sealed, value_sealed),
       updated_by = :by, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- delete_secret
UPDATE secret SET value_sealed = NULL, deleted_by = :by, deleted_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- secret_users
-- Endpoints that refer to these, a JSON list of names.
SELECT DISTINCT u.name, e.id, e.name FROM secret_use u JOIN endpoint e ON e.tenant_id = u.tenant_id AND e.id = u.endpoint_id
 WHERE u.tenant_id = :tenant_id AND u.name IN (SELECT value FROM json_each(:names)) AND e.deleted_ms IS NULL
 ORDER BY u.name, e.id;

-- touch_secret_users
-- What is opened is kept in memory by its version.
UPDATE endpoint SET version = version + 1 WHERE tenant_id = :tenant_id AND id IN (
  SELECT u.endpoint_id FROM secret_use u WHERE u.tenant_id = :tenant_id AND u.name = :name);

-- delete_secret_uses
DELETE FROM secret_use WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND part = :part;

-- insert_secret_use
INSERT INTO secret_use (tenant_id, name, endpoint_id, part) VALUES (:tenant_id, :name, :endpoint_id, :part);
