-- insert_flow_execution
-- No row comes back where the id is known.
INSERT INTO flow_execution (tenant_id, id, namespace, flow_id, state, inputs_sealed, cause, labels, created_by, created_ms)
VALUES (:tenant_id, :id, :namespace, :flow_id, 'QUEUED', :inputs_sealed, :cause, :labels, :by, :now)
ON CONFLICT DO NOTHING RETURNING id;

-- queued_flow_executions
SELECT count(*) FROM flow_execution WHERE tenant_id = :tenant_id AND ended_ms IS NULL AND state = 'QUEUED';

-- flow_executions_waiting
-- Whether there is anything to begin, of any tenant: new, or of a process that is not there any more.
SELECT 1 FROM flow_execution
 WHERE ended_ms IS NULL AND (state = 'QUEUED' OR (lease <> :lease AND lease_until_ms <= :now)) LIMIT 1;

-- claim_flow_executions
UPDATE flow_execution SET state = 'RUNNING', claims = claims + 1, started_ms = coalesce(started_ms, :now), lease = :lease,
       lease_until_ms = :lease_until_ms
 WHERE (tenant_id, id) IN (
   SELECT tenant_id, id FROM flow_execution
    WHERE ended_ms IS NULL AND (state = 'QUEUED' OR (lease <> :lease AND lease_until_ms <= :now))
    ORDER BY created_ms, id LIMIT :limit)
RETURNING tenant_id, id, namespace, flow_id, inputs_sealed, cause, labels, created_by, started_ms, claims;

-- keep_flow_executions
UPDATE flow_execution SET lease_until_ms = :lease_until_ms WHERE ended_ms IS NULL AND lease = :lease RETURNING tenant_id, id;

-- my_old_flow_executions
-- Where one process alone writes: whoever ran them is gone.
UPDATE flow_execution SET lease_until_ms = 0 WHERE ended_ms IS NULL AND lease <> '' RETURNING id;

-- flow_execution_state
SELECT state FROM flow_execution WHERE tenant_id = :tenant_id AND id = :id;

-- cancel_flow_execution
-- One that nobody has begun.
UPDATE flow_execution SET state = 'CANCELLED', ended_ms = :now, inputs_sealed = NULL
 WHERE tenant_id = :tenant_id AND id = :id AND state = 'QUEUED' RETURNING id;

-- end_flow_execution
UPDATE flow_execution SET state = :state, ended_ms = :now, inputs_sealed = NULL
 WHERE tenant_id = :tenant_id AND id = :id AND lease = :lease AND ended_ms IS NULL RETURNING id;

-- delete_old_flow_executions
DELETE FROM flow_execution WHERE (tenant_id, id) IN (
  SELECT tenant_id, id FROM flow_execution WHERE ended_ms < :before_ms LIMIT :limit) RETURNING id;
