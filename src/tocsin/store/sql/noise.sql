-- lock_noise
SELECT :tenant_id;

-- rule_states
SELECT rule_id, key, state FROM rule_state WHERE tenant_id = :tenant_id AND rule_id = :rule_id AND key = :key;

-- put_rule_states
INSERT INTO rule_state (tenant_id, rule_id, key, state, updated_ms) VALUES (:tenant_id, :rule_id, :key, :state, :now)
ON CONFLICT (tenant_id, rule_id, key) DO UPDATE SET state = excluded.state, updated_ms = excluded.updated_ms;

-- folds
SELECT endpoint_id, key, state FROM fold WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND key = :key;

-- put_folds
INSERT INTO fold (tenant_id, endpoint_id, key, state, updated_ms) VALUES (:tenant_id, :endpoint_id, :key, :state, :now)
ON CONFLICT (tenant_id, endpoint_id, key) DO UPDATE SET state = excluded.state, updated_ms = excluded.updated_ms;

-- count_hidden
INSERT INTO hidden (tenant_id, silence_id, endpoint_id, count) VALUES (:tenant_id, :silence_id, :endpoint_id, :count)
ON CONFLICT (tenant_id, silence_id, endpoint_id) DO UPDATE SET count = hidden.count + excluded.count;

-- put_timers
INSERT INTO timer (tenant_id, id, kind, rule_id, due_ms, data) VALUES (:tenant_id, :id, :kind, :rule_id, :due_ms, :data)
ON CONFLICT (tenant_id, id) DO UPDATE SET kind = excluded.kind, rule_id = excluded.rule_id, due_ms = excluded.due_ms,
  data = excluded.data;

-- drop_timers
DELETE FROM timer WHERE tenant_id = :tenant_id AND id = :id;

-- due_timers
SELECT tenant_id, id, kind, rule_id, due_ms, data FROM timer WHERE due_ms <= :now ORDER BY due_ms LIMIT :limit;

-- end_timer
DELETE FROM timer WHERE tenant_id = :tenant_id AND id = :id AND due_ms = :due_ms RETURNING id;

-- good_runs
SELECT finished_ms - started_ms FROM run
 WHERE tenant_id = :tenant_id AND pipeline = :pipeline AND finished_ms IS NOT NULL AND started_ms IS NOT NULL
   AND status = 'succeeded'
 ORDER BY finished_ms DESC LIMIT :limit;

-- folded_events
SELECT d.folded_into, e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline, e.run_id, e.stage, e.time_ms,
       e.received_ms, e.content
  FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
 WHERE d.folded_into = :id AND d.tenant_id = :tenant_id ORDER BY d.id LIMIT 500;

-- delete_old_rule_states
DELETE FROM rule_state WHERE (tenant_id, rule_id, key) IN (
  SELECT tenant_id, rule_id, key FROM rule_state WHERE updated_ms < :before_ms LIMIT :limit) RETURNING key;

-- delete_old_folds
DELETE FROM fold WHERE (tenant_id, endpoint_id, key) IN (
  SELECT tenant_id, endpoint_id, key FROM fold WHERE updated_ms < :before_ms LIMIT :limit) RETURNING key;
