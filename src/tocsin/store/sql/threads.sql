-- take_thread
-- Makes it where there is none. No row comes back while another holds it; what held it for the same delivery is over.
INSERT INTO thread (tenant_id, endpoint_id, key, lease, lease_until_ms, updated_ms)
VALUES (:tenant_id, :endpoint_id, :key, :lease, :until_ms, :now)
ON CONFLICT (tenant_id, endpoint_id, key) DO UPDATE SET lease = excluded.lease, lease_until_ms = excluded.lease_until_ms,
  updated_ms = excluded.updated_ms
  WHERE thread.lease IS NULL OR thread.lease LIKE :same OR thread.lease_until_ms <= :now
RETURNING state;

-- save_thread
UPDATE thread SET state = :state, updated_ms = :now
 WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND key = :key AND lease = :lease RETURNING key;

-- let_thread_go
UPDATE thread SET lease = NULL
 WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND key = :key AND lease = :lease;

-- lock_shared_limits
SELECT key, bucket_us FROM shared_limit WHERE tenant_id = :tenant_id AND key = :key;

-- put_shared_limits
INSERT INTO shared_limit (tenant_id, key, bucket_us) VALUES (:tenant_id, :key, :bucket_us)
ON CONFLICT (tenant_id, key) DO UPDATE SET bucket_us = excluded.bucket_us;

-- lock_incidents
SELECT tenant_id, endpoint_id, key, rule_id FROM incident WHERE tenant_id = :tenant_id AND key = :key AND closed_ms IS NULL;

-- open_incidents
INSERT INTO incident (tenant_id, endpoint_id, key, rule_id, opened_ms)
VALUES (:tenant_id, :endpoint_id, :key, :rule_id, :opened_ms)
ON CONFLICT (tenant_id, endpoint_id, key) DO UPDATE SET rule_id = excluded.rule_id, closed_ms = NULL,
  opened_ms = CASE WHEN incident.closed_ms IS NULL THEN incident.opened_ms ELSE excluded.opened_ms END;

-- close_incidents
UPDATE incident SET closed_ms = :closed_ms WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND key = :key;

-- incident_is_open
SELECT 1 FROM incident WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND key = :key AND closed_ms IS NULL;

-- delete_old_threads
DELETE FROM thread WHERE (tenant_id, endpoint_id, key) IN (
  SELECT tenant_id, endpoint_id, key FROM thread WHERE updated_ms < :before_ms LIMIT :limit) RETURNING key;

-- delete_old_incidents
DELETE FROM incident WHERE (tenant_id, endpoint_id, key) IN (
  SELECT tenant_id, endpoint_id, key FROM incident WHERE coalesce(closed_ms, opened_ms) < :before_ms LIMIT :limit)
RETURNING key;
