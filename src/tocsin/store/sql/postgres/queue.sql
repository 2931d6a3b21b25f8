-- ready_endpoints
-- Two workers take different endpoints: a row that another holds is passed over.
WITH ready AS (
  SELECT endpoint_id, row_number() OVER (PARTITION BY tenant_id ORDER BY next_ms) AS turn, next_ms
    FROM endpoint_state WHERE next_ms <= :now
   ORDER BY 2, 3 LIMIT :limit)
SELECT s.endpoint_id, s.tenant_id, s.paused_until_ms, s.bucket_us, e.provider_type, e.settings, e.version,
       (e.is_active = 1 AND e.disabled_reason = '' AND e.deleted_ms IS NULL AND o.suspended_ms IS NULL
         AND o.deleted_ms IS NULL)::int AS is_open
  FROM ready r
  JOIN endpoint_state s ON s.endpoint_id = r.endpoint_id
  JOIN endpoint e ON e.tenant_id = s.tenant_id AND e.id = s.endpoint_id
  JOIN tenant o ON o.id = s.tenant_id
 WHERE s.next_ms <= :now
 ORDER BY r.turn, r.next_ms FOR UPDATE OF s SKIP LOCKED;

-- claim_first
-- MATERIALIZED: a subquery that PostgreSQL runs again for each row of a join locks other rows each time, past its LIMIT.
WITH due AS MATERIALIZED (
  SELECT found.tenant_id, found.id, asked.lease, asked.lease_until_ms
    FROM unnest(:lease::text[], :lease_until_ms::bigint[], :endpoint_id::text[], :now::bigint[], :count::bigint[])
         AS asked (lease, lease_until_ms, endpoint_id, now, count)
    CROSS JOIN LATERAL (
         SELECT p.tenant_id, p.id FROM delivery p
          WHERE p.endpoint_id = asked.endpoint_id AND p.status = 'pending' AND p.due_ms <= asked.now
          ORDER BY p.due_ms LIMIT asked.count FOR UPDATE SKIP LOCKED) found)
UPDATE delivery d SET status = 'sending', lease = due.lease, lease_until_ms = due.lease_until_ms
  FROM due WHERE d.tenant_id = due.tenant_id AND d.id = due.id
RETURNING d.tenant_id, d.id, d.event_uid, d.endpoint_id, d.rule_id, d.provider_type, d.event_type, d.attempts, d.failures,
          d.plain, d.retry, d.due_ms, d.expires_ms, d.body, d.created_ms, d.words;

-- claim_retries
WITH due AS MATERIALIZED (
  SELECT found.tenant_id, found.id, asked.lease, asked.lease_until_ms
    FROM unnest(:lease::text[], :lease_until_ms::bigint[], :endpoint_id::text[], :now::bigint[], :count::bigint[])
         AS asked (lease, lease_until_ms, endpoint_id, now, count)
    CROSS JOIN LATERAL (
         SELECT p.tenant_id, p.id FROM delivery p
          WHERE p.endpoint_id = asked.endpoint_id AND p.status = 'retrying' AND p.due_ms <= asked.now
          ORDER BY p.due_ms LIMIT asked.count FOR UPDATE SKIP LOCKED) found)
UPDATE delivery d SET status = 'sending', lease = due.lease, lease_until_ms = due.lease_until_ms
  FROM due WHERE d.tenant_id = due.tenant_id AND d.id = due.id
RETURNING d.tenant_id, d.id, d.event_uid, d.endpoint_id, d.rule_id, d.provider_type, d.event_type, d.attempts, d.failures,
          d.plain, d.retry, d.due_ms, d.expires_ms, d.body, d.created_ms, d.words;

-- requeue_endpoints
UPDATE endpoint_state s SET bucket_us = new.bucket_us, next_ms = CASE WHEN new.is_open = 0 THEN NULL ELSE
         (SELECT greatest(new.not_before, min(due_ms)) FROM (
           (SELECT due_ms FROM delivery WHERE endpoint_id = s.endpoint_id AND status = 'pending' ORDER BY due_ms LIMIT 1)
           UNION ALL
           (SELECT due_ms FROM delivery WHERE endpoint_id = s.endpoint_id AND status = 'retrying' ORDER BY due_ms LIMIT 1)
          ) waiting HAVING min(due_ms) IS NOT NULL) END
  FROM unnest(:bucket_us::bigint[], :is_open::bigint[], :not_before::bigint[], :endpoint_id::text[])
       AS new (bucket_us, is_open, not_before, endpoint_id)
 WHERE s.endpoint_id = new.endpoint_id;

-- finish_deliveries
UPDATE delivery d SET status = new.status, reason = new.reason, attempts = new.attempts, failures = new.failures,
       plain = new.plain, due_ms = new.due_ms, http_status = new.http_status, error = new.error, updated_ms = new.now,
       delivered_ms = new.delivered_ms, lease = NULL, lease_until_ms = NULL
  FROM unnest(:status::text[], :reason::text[], :attempts::bigint[], :failures::bigint[], :plain::smallint[],
              :due_ms::bigint[], :http_status::bigint[], :error::text[], :now::bigint[], :delivered_ms::bigint[],
              :tenant_id::text[], :id::text[], :lease::text[])
       AS new (status, reason, attempts, failures, plain, due_ms, http_status, error, now, delivered_ms, tenant_id, id, lease)
 WHERE d.tenant_id = new.tenant_id AND d.id = new.id AND d.lease = new.lease
RETURNING d.id;

-- bury_deliveries
UPDATE delivery d SET status = 'dead', reason = new.reason, updated_ms = new.now, lease = NULL, lease_until_ms = NULL
  FROM unnest(:reason::text[], :now::bigint[], :tenant_id::text[], :id::text[]) AS new (reason, now, tenant_id, id)
 WHERE d.tenant_id = new.tenant_id AND d.id = new.id;

-- release_deliveries
UPDATE delivery d SET status = CASE WHEN d.attempts = 0 THEN 'pending' ELSE 'retrying' END, lease = NULL,
       lease_until_ms = NULL, due_ms = new.due_ms
  FROM unnest(:due_ms::bigint[], :tenant_id::text[], :id::text[], :lease::text[]) AS new (due_ms, tenant_id, id, lease)
 WHERE d.tenant_id = new.tenant_id AND d.id = new.id AND d.lease = new.lease
RETURNING d.endpoint_id;

-- insert_attempts
INSERT INTO attempt (tenant_id, delivery_id, number, endpoint_id, started_ms, duration_ms, outcome, http_status, error,
                     response_body, request_body)
SELECT * FROM unnest(:tenant_id::text[], :delivery_id::text[], :number::bigint[], :endpoint_id::text[], :started_ms::bigint[],
                     :duration_ms::bigint[], :outcome::text[], :http_status::bigint[], :error::text[],
                     :response_body::text[], :request_body::bytea[])
ON CONFLICT DO NOTHING;

-- note_success
UPDATE endpoint_state s SET consecutive_failures = 0, notice = CASE WHEN s.notice = 'failing' THEN '' ELSE s.notice END,
       last_used_ms = new.now
  FROM unnest(:now::bigint[], :endpoint_id::text[]) AS new (now, endpoint_id)
 WHERE s.endpoint_id = new.endpoint_id;

-- hold_tenants
-- Whoever changes what people set up holds the tenant first, then its endpoints and deliveries. To switch a webhook off is
-- such a change: without the tenant, one would wait for the other and it for the one.
SELECT t.id FROM tenant t
 WHERE t.id IN (SELECT s.tenant_id FROM unnest(:endpoint_id::text[], :count::bigint[], :most::bigint[])
                       AS asked (endpoint_id, count, most)
                  JOIN endpoint_state s ON s.endpoint_id = asked.endpoint_id
                   AND s.consecutive_failures + asked.count >= asked.most)
 ORDER BY t.id FOR NO KEY UPDATE OF t;

-- note_failure
UPDATE endpoint_state s SET consecutive_failures = s.consecutive_failures + new.count, last_error = new.error
  FROM unnest(:count::bigint[], :error::text[], :endpoint_id::text[]) AS new (count, error, endpoint_id)
 WHERE s.endpoint_id = new.endpoint_id
RETURNING s.tenant_id, s.endpoint_id, s.consecutive_failures;

-- note_notice
UPDATE endpoint_state s SET notice = new.notice
  FROM unnest(:notice::text[], :endpoint_id::text[]) AS new (notice, endpoint_id)
 WHERE s.endpoint_id = new.endpoint_id;

-- pause_endpoints
UPDATE endpoint_state s SET paused_until_ms = greatest(s.paused_until_ms, new.until_ms)
  FROM unnest(:until_ms::bigint[], :endpoint_id::text[]) AS new (until_ms, endpoint_id)
 WHERE s.endpoint_id = new.endpoint_id;

-- events_of
SELECT e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline, e.run_id, e.stage, e.time_ms,
       e.received_ms, e.content
  FROM unnest(:tenant_id::text[], :uid::text[]) AS asked (tenant_id, uid)
  JOIN event e ON e.tenant_id = asked.tenant_id AND e.uid = asked.uid;

-- runs_of
-- This attempt of a run, and the newest.
SELECT r.tenant_id, r.id, r.pipeline, r.run_id, r.attempt, r.status, r.started_ms, r.finished_ms, r.updated_ms, r.error,
       r.stages, r.about, r.parent_run_id, r.log_tail
  FROM unnest(:tenant_id::text[], :pipeline::text[], :run_id::text[], :attempt::bigint[])
       AS asked (tenant_id, pipeline, run_id, attempt)
 CROSS JOIN LATERAL (SELECT max(n.attempt) AS attempt FROM run n WHERE n.tenant_id = asked.tenant_id
                        AND n.pipeline = asked.pipeline AND n.run_id = asked.run_id) newest
  JOIN run r ON r.tenant_id = asked.tenant_id AND r.pipeline = asked.pipeline AND r.run_id = asked.run_id
            AND r.attempt IN (asked.attempt, newest.attempt);

-- lost_leases
WITH lost AS MATERIALIZED (
  SELECT tenant_id, id FROM delivery WHERE status = 'sending' AND lease_until_ms < :now
   ORDER BY lease_until_ms LIMIT 1000 FOR UPDATE SKIP LOCKED)
UPDATE delivery d SET status = CASE WHEN d.lease_losses + 1 >= :limit THEN 'dead'
                                    WHEN d.attempts = 0 THEN 'pending' ELSE 'retrying' END,
       reason = CASE WHEN d.lease_losses + 1 >= :limit THEN 'every worker that tried this message died' ELSE d.reason END,
       lease = NULL, lease_until_ms = NULL, lease_losses = d.lease_losses + 1, due_ms = :now
  FROM lost WHERE d.tenant_id = lost.tenant_id AND d.id = lost.id
RETURNING d.endpoint_id;

-- expire_deliveries
WITH old AS MATERIALIZED (
  SELECT tenant_id, id FROM delivery WHERE status IN ('pending', 'retrying') AND expires_ms <= :now
   ORDER BY expires_ms LIMIT 1000 FOR UPDATE SKIP LOCKED)
UPDATE delivery d SET status = CASE WHEN d.reason = :unedited::text THEN 'delivered' ELSE 'expired' END,
       delivered_ms = CASE WHEN d.reason = :unedited::text THEN d.updated_ms ELSE d.delivered_ms END,
       reason = CASE WHEN d.reason = :unedited::text THEN '' ELSE :reason::text END, updated_ms = :now
  FROM old WHERE d.tenant_id = old.tenant_id AND d.id = old.id
RETURNING d.endpoint_id;
