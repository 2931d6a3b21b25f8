-- claim_flow_executions
-- Two workers begin different ones: a row that another holds is passed over.
WITH due AS MATERIALIZED (
  SELECT tenant_id, id FROM flow_execution
   WHERE ended_ms IS NULL AND (state = 'QUEUED' OR (lease <> :lease AND lease_until_ms <= :now))
   ORDER BY created_ms, id LIMIT :limit FOR UPDATE SKIP LOCKED)
UPDATE flow_execution f SET state = 'RUNNING', claims = claims + 1, started_ms = coalesce(started_ms, :now), lease = :lease,
       lease_until_ms = :lease_until_ms
  FROM due WHERE f.tenant_id = due.tenant_id AND f.id = due.id
RETURNING f.tenant_id, f.id, namespace, flow_id, inputs_sealed, cause, labels, created_by, started_ms, claims;
