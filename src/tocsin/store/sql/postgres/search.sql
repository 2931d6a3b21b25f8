-- search_endpoints
SELECT id, name, provider_type FROM endpoint
 WHERE tenant_id = :tenant_id AND deleted_ms IS NULL AND created_by <> 'preferences'
   AND (:sees_all::int = 1 OR user_id IN (:seen_by, '')) AND (id = :text OR lower(name) LIKE :pattern ESCAPE '!')
 ORDER BY name LIMIT :limit;
