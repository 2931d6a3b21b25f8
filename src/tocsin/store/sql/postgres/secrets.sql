-- secret_users
SELECT DISTINCT u.name, e.id, e.name FROM secret_use u JOIN endpoint e ON e.tenant_id = u.tenant_id AND e.id = u.endpoint_id
 WHERE u.tenant_id = :tenant_id AND u.name IN (SELECT jsonb_array_elements_text(:names::text::jsonb)) AND e.deleted_ms IS NULL
 ORDER BY u.name, e.id;
