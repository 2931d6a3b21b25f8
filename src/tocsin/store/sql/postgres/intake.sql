-- find_events
SELECT e.tenant_id, e.id, e.source, e.uid
  FROM unnest(:tenant_id::text[], :id::text[], :source::text[]) AS asked (tenant_id, id, source)
  JOIN event e ON e.tenant_id = asked.tenant_id AND e.id = asked.id AND e.source = asked.source;

-- insert_events
INSERT INTO event (tenant_id, uid, id, source, type, kind, severity, pipeline, run_id, stage, time_ms, received_ms, content,
                   trace)
SELECT * FROM unnest(:tenant_id::text[], :uid::text[], :id::text[], :source::text[], :type::text[], :kind::text[],
                     :severity::text[], :pipeline::text[], :run_id::text[], :stage::text[], :time_ms::bigint[],
                     :received_ms::bigint[], :content::text[], :trace::text[])
ON CONFLICT DO NOTHING RETURNING uid;

-- lock_runs
-- In one order over all processes, so that two of them cannot wait for each other.
SELECT r.tenant_id, r.id, r.pipeline, r.run_id, r.attempt, r.status, r.started_ms, r.finished_ms, r.updated_ms, r.error,
       r.stages, r.about, r.parent_run_id, r.log_tail
  FROM unnest(:tenant_id::text[], :pipeline::text[], :run_id::text[], :attempt::bigint[])
       AS asked (tenant_id, pipeline, run_id, attempt)
  JOIN run r ON r.tenant_id = asked.tenant_id AND r.pipeline = asked.pipeline AND r.run_id = asked.run_id
            AND r.attempt >= asked.attempt
 ORDER BY r.id FOR UPDATE OF r;

-- insert_runs
INSERT INTO run (tenant_id, id, pipeline, run_id, attempt, status, started_ms, finished_ms, updated_ms, error, stages,
                 about, parent_run_id, log_tail)
SELECT * FROM unnest(:tenant_id::text[], :id::text[], :pipeline::text[], :run_id::text[], :attempt::bigint[],
                     :status::text[], :started_ms::bigint[], :finished_ms::bigint[], :updated_ms::bigint[], :error::text[],
                     :stages::text[], :about::text[], :parent_run_id::text[], :log_tail::text[])
ON CONFLICT DO NOTHING RETURNING id;

-- update_runs
UPDATE run SET status = new.status, started_ms = new.started_ms, finished_ms = new.finished_ms, updated_ms = new.updated_ms,
       error = new.error, stages = new.stages, about = new.about, parent_run_id = new.parent_run_id,
       log_tail = new.log_tail
  FROM unnest(:status::text[], :started_ms::bigint[], :finished_ms::bigint[], :updated_ms::bigint[], :error::text[],
              :stages::text[], :about::text[], :parent_run_id::text[], :log_tail::text[], :tenant_id::text[], :id::text[])
       AS new (status, started_ms, finished_ms, updated_ms, error, stages, about, parent_run_id, log_tail, tenant_id, id)
 WHERE run.tenant_id = new.tenant_id AND run.id = new.id;

-- insert_deliveries
INSERT INTO delivery (tenant_id, id, event_uid, endpoint_id, rule_id, provider_type, event_type, status, reason, retry,
                      due_ms, expires_ms, lease, lease_until_ms, body, words, folded_into, created_ms, updated_ms)
SELECT * FROM unnest(:tenant_id::text[], :id::text[], :event_uid::text[], :endpoint_id::text[], :rule_id::text[],
                     :provider_type::text[], :event_type::text[], :status::text[], :reason::text[], :retry::text[],
                     :due_ms::bigint[], :expires_ms::bigint[], :lease::text[], :lease_until_ms::bigint[], :body::bytea[],
                     :words::text[], :folded_into::text[], :created_ms::bigint[], :updated_ms::bigint[]);

-- wake_endpoints
-- Takes the row's lock even where nothing changes: a claimer that holds it may be about to say "nothing waits here".
UPDATE endpoint_state s SET next_ms = least(coalesce(s.next_ms, new.due_ms), new.due_ms)
  FROM unnest(:due_ms::bigint[], :endpoint_id::text[]) AS new (due_ms, endpoint_id)
 WHERE s.endpoint_id = new.endpoint_id;

-- lock_buckets
SELECT b.tenant_id, b.rule_id, b.bucket_us
  FROM unnest(:tenant_id::text[], :rule_id::text[]) AS asked (tenant_id, rule_id)
  JOIN rule_bucket b ON b.tenant_id = asked.tenant_id AND b.rule_id = asked.rule_id
 ORDER BY b.rule_id FOR UPDATE OF b;

-- put_buckets
INSERT INTO rule_bucket (tenant_id, rule_id, bucket_us)
SELECT * FROM unnest(:tenant_id::text[], :rule_id::text[], :bucket_us::bigint[])
ON CONFLICT (tenant_id, rule_id) DO UPDATE SET bucket_us = excluded.bucket_us;

-- note_rules
INSERT INTO rule_use (tenant_id, rule_id, fired_ms)
SELECT * FROM unnest(:tenant_id::text[], :rule_id::text[], :now::bigint[])
ON CONFLICT (tenant_id, rule_id) DO UPDATE SET fired_ms = greatest(rule_use.fired_ms, excluded.fired_ms);
