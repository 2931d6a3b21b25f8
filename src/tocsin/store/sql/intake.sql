-- find_events
SELECT tenant_id, id, source, uid FROM event WHERE tenant_id = :tenant_id AND id = :id AND source = :source;

-- insert_events
INSERT INTO event (tenant_id, uid, id, source, type, kind, severity, pipeline, run_id, stage, time_ms, received_ms, content,
                   trace)
VALUES (:tenant_id, :uid, :id, :source, :type, :kind, :severity, :pipeline, :run_id, :stage, :time_ms, :received_ms, :content,
        :trace)
ON CONFLICT DO NOTHING;

-- lock_runs
-- This attempt of a run, and those after it: the newest is among them. Asked for by its order it would cost ten times more.
SELECT tenant_id, id, pipeline, run_id, attempt, status, started_ms, finished_ms, updated_ms, error, stages, about,
       parent_run_id, log_tail
  FROM run WHERE tenant_id = :tenant_id AND pipeline = :pipeline AND run_id = :run_id AND attempt >= :attempt;

-- insert_runs
INSERT INTO run (tenant_id, id, pipeline, run_id, attempt, status, started_ms, finished_ms, updated_ms, error, stages,
                 about, parent_run_id, log_tail)
VALUES (:tenant_id, :id, :pipeline, :run_id, :attempt, :status, :started_ms, :finished_ms, :updated_ms, :error, :stages,
        :about, :parent_run_id, :log_tail)
ON CONFLICT DO NOTHING RETURNING id;

-- update_runs
UPDATE run SET status = :status, started_ms = :started_ms, finished_ms = :finished_ms, updated_ms = :updated_ms,
       error = :error, stages = :stages, about = :about, parent_run_id = :parent_run_id, log_tail = :log_tail
 WHERE tenant_id = :tenant_id AND id = :id;

-- insert_deliveries
INSERT INTO delivery (tenant_id, id, event_uid, endpoint_id, rule_id, provider_type, event_type, status, reason, retry,
                      due_ms, expires_ms, lease, lease_until_ms, body, words, folded_into, created_ms, updated_ms)
VALUES (:tenant_id, :id, :event_uid, :endpoint_id, :rule_id, :provider_type, :event_type, :status, :reason, :retry,
        :due_ms, :expires_ms, :lease, :lease_until_ms, :body, :words, :folded_into, :created_ms,
        :updated_ms);

-- wake_endpoints
-- Something is due here, no later than :due_ms.
UPDATE endpoint_state SET next_ms = min(coalesce(next_ms, :due_ms), :due_ms) WHERE endpoint_id = :endpoint_id;

-- lock_buckets
SELECT tenant_id, rule_id, bucket_us FROM rule_bucket WHERE tenant_id = :tenant_id AND rule_id = :rule_id;

-- put_buckets
INSERT INTO rule_bucket (tenant_id, rule_id, bucket_us) VALUES (:tenant_id, :rule_id, :bucket_us)
ON CONFLICT (tenant_id, rule_id) DO UPDATE SET bucket_us = excluded.bucket_us;

-- note_rules
INSERT INTO rule_use (tenant_id, rule_id, fired_ms) VALUES (:tenant_id, :rule_id, :now)
ON CONFLICT (tenant_id, rule_id) DO UPDATE SET fired_ms = max(rule_use.fired_ms, excluded.fired_ms);

-- find_idempotency
SELECT body_hash, answer FROM idempotency WHERE tenant_id = :tenant_id AND key = :key AND created_ms > :since_ms;

-- put_idempotency
INSERT INTO idempotency (tenant_id, key, body_hash, answer, created_ms)
VALUES (:tenant_id, :key, :body_hash, :answer, :now)
ON CONFLICT (tenant_id, key) DO UPDATE SET body_hash = excluded.body_hash, answer = excluded.answer,
  created_ms = excluded.created_ms WHERE idempotency.created_ms <= :since_ms
RETURNING key;
