-- sealed_endpoints
SELECT tenant_id, id, address_sealed, secret_sealed, headers_sealed, settings_sealed FROM endpoint
 WHERE id > :after ORDER BY id LIMIT :limit;

-- sealed_secrets
SELECT tenant_id, id, value_sealed FROM secret WHERE id > :after AND value_sealed IS NOT NULL ORDER BY id LIMIT :limit;

-- sealed_answers
SELECT tenant_id, id, body_sealed FROM answer WHERE id > :after ORDER BY id LIMIT :limit;

-- sealed_sources
SELECT tenant_id, id, secret_sealed FROM source WHERE id > :after AND secret_sealed IS NOT NULL ORDER BY id LIMIT :limit;

-- sealed_flow_executions
SELECT tenant_id, id, inputs_sealed FROM flow_execution
 WHERE id > :after AND inputs_sealed IS NOT NULL ORDER BY id LIMIT :limit;

-- reseal_endpoint
-- Only if nobody changed it meanwhile; the version stays, for what is sealed stays the same.
UPDATE endpoint SET address_sealed = :address, secret_sealed = :secret, headers_sealed = :headers, settings_sealed = :settings
 WHERE tenant_id = :tenant_id AND id = :id AND address_sealed = :old_address AND secret_sealed = :old_secret
   AND headers_sealed = :old_headers AND coalesce(settings_sealed = :old_settings, :old_settings IS NULL) RETURNING id;

-- reseal_secret
UPDATE secret SET value_sealed = :value WHERE tenant_id = :tenant_id AND id = :id AND value_sealed = :old_value RETURNING id;

-- reseal_answer
UPDATE answer SET body_sealed = :body WHERE tenant_id = :tenant_id AND id = :id AND body_sealed = :old_body RETURNING id;

-- reseal_source
UPDATE source SET secret_sealed = :secret WHERE tenant_id = :tenant_id AND id = :id AND secret_sealed = :old_secret RETURNING id;

-- reseal_flow_execution
UPDATE flow_execution SET inputs_sealed = :inputs
 WHERE tenant_id = :tenant_id AND id = :id AND inputs_sealed = :old_inputs RETURNING id;

-- reseal_removed_audit
UPDATE audit_head SET removed_seal = :seal WHERE tenant_id = :tenant_id AND removed_seal = :old_seal RETURNING tenant_id;

-- count_sealed
-- How many values each key has sealed; its id is the four bytes after the first.
SELECT 'endpoint.address', lower(hex(substr(address_sealed, 2, 4))), count(*) FROM endpoint GROUP BY 2
UNION ALL SELECT 'endpoint.secret', lower(hex(substr(secret_sealed, 2, 4))), count(*) FROM endpoint GROUP BY 2
UNION ALL SELECT 'endpoint.headers', lower(hex(substr(headers_sealed, 2, 4))), count(*) FROM endpoint GROUP BY 2
UNION ALL SELECT 'endpoint.settings', lower(hex(substr(settings_sealed, 2, 4))), count(*) FROM endpoint
  WHERE settings_sealed IS NOT NULL GROUP BY 2
UNION ALL SELECT 'secret.value', lower(hex(substr(value_sealed, 2, 4))), count(*) FROM secret
  WHERE value_sealed IS NOT NULL GROUP BY 2
UNION ALL SELECT 'answer.body', lower(hex(substr(body_sealed, 2, 4))), count(*) FROM answer GROUP BY 2
UNION ALL SELECT 'source.secret', lower(hex(substr(secret_sealed, 2, 4))), count(*) FROM source
  WHERE secret_sealed IS NOT NULL GROUP BY 2
UNION ALL SELECT 'flow_execution.inputs', lower(hex(substr(inputs_sealed, 2, 4))), count(*) FROM flow_execution
  WHERE inputs_sealed IS NOT NULL GROUP BY 2
UNION ALL SELECT 'meta.key_check', substr(value, 3, 8), 1 FROM meta WHERE name = 'key_check'
UNION ALL SELECT 'audit (signed)', lower(hex(substr(seal, 1, 4))), count(*) FROM audit GROUP BY 2
ORDER BY 1, 2;
