-- lock_shared_limits
-- Made where there is none: at the first use, too, one waits for the other.
INSERT INTO shared_limit AS s (tenant_id, key, bucket_us)
SELECT asked.tenant_id, asked.key, 0 FROM unnest(:tenant_id::text[], :key::text[]) AS asked (tenant_id, key) ORDER BY 1, 2
ON CONFLICT (tenant_id, key) DO UPDATE SET bucket_us = s.bucket_us RETURNING s.key, s.bucket_us;

-- put_shared_limits
INSERT INTO shared_limit (tenant_id, key, bucket_us) SELECT * FROM unnest(:tenant_id::text[], :key::text[], :bucket_us::bigint[])
ON CONFLICT (tenant_id, key) DO UPDATE SET bucket_us = excluded.bucket_us;

-- lock_incidents
SELECT i.tenant_id, i.endpoint_id, i.key, i.rule_id
  FROM unnest(:tenant_id::text[], :key::text[]) AS asked (tenant_id, key)
  JOIN incident i ON i.tenant_id = asked.tenant_id AND i.key = asked.key AND i.closed_ms IS NULL
 ORDER BY i.endpoint_id, i.key FOR UPDATE OF i;

-- open_incidents
INSERT INTO incident (tenant_id, endpoint_id, key, rule_id, opened_ms)
SELECT * FROM unnest(:tenant_id::text[], :endpoint_id::text[], :key::text[], :rule_id::text[], :opened_ms::bigint[])
ON CONFLICT (tenant_id, endpoint_id, key) DO UPDATE SET rule_id = excluded.rule_id, closed_ms = NULL,
  opened_ms = CASE WHEN incident.closed_ms IS NULL THEN incident.opened_ms ELSE excluded.opened_ms END;

-- close_incidents
UPDATE incident i SET closed_ms = new.closed_ms
  FROM unnest(:closed_ms::bigint[], :tenant_id::text[], :endpoint_id::text[], :key::text[])
       AS new (closed_ms, tenant_id, endpoint_id, key)
 WHERE i.tenant_id = new.tenant_id AND i.endpoint_id = new.endpoint_id AND i.key = new.key;
