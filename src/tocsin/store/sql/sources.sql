-- insert_source
INSERT INTO source (tenant_id, id, kind, name, settings, key_hash, key_hint, secret_sealed, is_active, created_by, created_ms,
                    updated_ms)
VALUES (:tenant_id, :id, :kind, :name, :settings, :key_hash, :key_hint, :secret_sealed, :is_active, :created_by, :now, :now);

-- get_source
SELECT id, kind, name, settings, key_hint, secret_sealed IS NOT NULL, is_active, created_by, created_ms, updated_ms,
       last_used_ms FROM source
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL;

-- list_sources
SELECT id, kind, name, settings, key_hint, secret_sealed IS NOT NULL, is_active, created_by, created_ms, updated_ms,
       last_used_ms FROM source
 WHERE tenant_id = :tenant_id AND deleted_ms IS NULL AND id > :after ORDER BY id LIMIT :limit;

-- update_source
UPDATE source SET name = :name, settings = :settings, is_active = :is_active, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- update_source_secret
UPDATE source SET secret_sealed = :secret_sealed, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- update_source_key
UPDATE source SET key_hash = :key_hash, key_hint = :key_hint, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- delete_source
UPDATE source SET deleted_ms = :now, secret_sealed = NULL
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- note_source_use
UPDATE source SET last_used_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND coalesce(last_used_ms < :now, true);

-- source_by_key
-- The key says whose it is: there is no tenant to ask by.
SELECT s.tenant_id, s.id, s.kind, s.settings, s.secret_sealed, s.is_active, s.last_used_ms,
       CASE WHEN t.suspended_ms IS NULL AND t.deleted_ms IS NULL THEN 0 ELSE 1 END
  FROM source s JOIN tenant t ON t.id = s.tenant_id
 WHERE s.key_hash = :key_hash AND s.deleted_ms IS NULL;
