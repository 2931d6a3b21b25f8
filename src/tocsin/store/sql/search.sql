-- search_endpoints
SELECT id, name, provider_type FROM endpoint
 WHERE tenant_id = :tenant_id AND deleted_ms IS NULL AND created_by <> 'preferences'
   AND (:sees_all = 1 OR user_id IN (:seen_by, '')) AND (id = :text OR lower(name) LIKE :pattern ESCAPE '!')
 ORDER BY name LIMIT :limit;

-- search_rules
SELECT id, name, condition FROM rule
 WHERE tenant_id = :tenant_id AND deleted_ms IS NULL AND (id = :text OR lower(name) LIKE :pattern ESCAPE '!')
 ORDER BY name LIMIT :limit;

-- search_pipelines
-- From one name to the next by the index, so many names at the most.
WITH RECURSIVE named (pipeline, number) AS (
  SELECT min(pipeline), 1 FROM run WHERE tenant_id = :tenant_id AND pipeline > ''
  UNION ALL
  SELECT (SELECT min(r.pipeline) FROM run r WHERE r.tenant_id = :tenant_id AND r.pipeline > named.pipeline), number + 1
    FROM named WHERE named.pipeline IS NOT NULL AND number < :most)
SELECT pipeline FROM named WHERE pipeline IS NOT NULL AND lower(pipeline) LIKE :pattern ESCAPE '!'
 ORDER BY pipeline LIMIT :limit;
