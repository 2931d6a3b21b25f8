-- count_sealed
-- PostgreSQL has encode() for hex().
SELECT 'endpoint.address', encode(substr(address_sealed, 2, 4), 'hex'), count(*) FROM endpoint GROUP BY 2
UNION ALL SELECT 'endpoint.secret', encode(substr(secret_sealed, 2, 4), 'hex'), count(*) FROM endpoint GROUP BY 2
UNION ALL SELECT 'endpoint.headers', encode(substr(headers_sealed, 2, 4), 'hex'), count(*) FROM endpoint GROUP BY 2
UNION ALL SELECT 'endpoint.settings', encode(substr(settings_sealed, 2, 4), 'hex'), count(*) FROM endpoint
  WHERE settings_sealed IS NOT NULL GROUP BY 2
UNION ALL SELECT 'secret.value', encode(substr(value_sealed, 2, 4), 'hex'), count(*) FROM secret
  WHERE value_sealed IS NOT NULL GROUP BY 2
UNION ALL SELECT 'answer.body', encode(substr(body_sealed, 2, 4), 'hex'), count(*) FROM answer GROUP BY 2
UNION ALL SELECT 'source.secret', encode(substr(secret_sealed, 2, 4), 'hex'), count(*) FROM source
  WHERE secret_sealed IS NOT NULL GROUP BY 2
UNION ALL SELECT 'flow_execution.inputs', encode(substr(inputs_sealed, 2, 4), 'hex'), count(*) FROM flow_execution
  WHERE inputs_sealed IS NOT NULL GROUP BY 2
UNION ALL SELECT 'meta.key_check', substr(value, 3, 8), 1 FROM meta WHERE name = 'key_check'
UNION ALL SELECT 'audit (signed)', encode(substr(seal, 1, 4), 'hex'), count(*) FROM audit GROUP BY 2
ORDER BY 1, 2;
