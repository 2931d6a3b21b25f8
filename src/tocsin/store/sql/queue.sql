-- soonest_due
SELECT min(next_ms) FROM endpoint_state WHERE next_ms IS NOT NULL;

-- ready_endpoints
-- Where something is due: the tenants take turns, and within a tenant the endpoint that has waited longest.
SELECT s.endpoint_id, s.tenant_id, s.paused_until_ms, s.bucket_us, e.provider_type, e.settings, e.version,
       e.is_active = 1 AND e.disabled_reason = '' AND e.deleted_ms IS NULL AND o.suspended_ms IS NULL AND o.deleted_ms IS NULL
         AS is_open
  FROM (SELECT endpoint_id, tenant_id, next_ms, paused_until_ms, bucket_us,
               row_number() OVER (PARTITION BY tenant_id ORDER BY next_ms) AS turn
          FROM endpoint_state WHERE next_ms <= :now) s
  JOIN endpoint e ON e.tenant_id = s.tenant_id AND e.id = s.endpoint_id
  JOIN tenant o ON o.id = s.tenant_id
 ORDER BY s.turn, s.next_ms LIMIT :limit;

-- claim_first
-- First attempts, oldest first. Retries have a query of their own, so that neither waits behind the other.
UPDATE delivery SET status = 'sending', lease = :lease, lease_until_ms = :lease_until_ms
 WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM delivery
                            WHERE endpoint_id = :endpoint_id AND status = 'pending' AND due_ms <= :now
                            ORDER BY due_ms LIMIT :count)
RETURNING tenant_id, id, event_uid, endpoint_id, rule_id, provider_type, event_type, attempts, failures, plain, retry, due_ms,
          expires_ms, body, created_ms, words;

-- claim_retries
UPDATE delivery SET status = 'sending', lease = :lease, lease_until_ms = :lease_until_ms
 WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM delivery
                            WHERE endpoint_id = :endpoint_id AND status = 'retrying' AND due_ms <= :now
                            ORDER BY due_ms LIMIT :count)
RETURNING tenant_id, id, event_uid, endpoint_id, rule_id, provider_type, event_type, attempts, failures, plain, retry, due_ms,
          expires_ms, body, created_ms, words;

-- requeue_endpoints
-- When to look again: when the next one is due, but not before :not_before. NULL when nothing waits or it is switched off.
UPDATE endpoint_state SET bucket_us = :bucket_us, next_ms = CASE WHEN :is_open = 0 THEN NULL ELSE
         max(:not_before, (SELECT min(due_ms) FROM (
           SELECT due_ms FROM (SELECT due_ms FROM delivery
             WHERE endpoint_id = endpoint_state.endpoint_id AND status = 'pending' ORDER BY due_ms LIMIT 1)
           UNION ALL
           SELECT due_ms FROM (SELECT due_ms FROM delivery
             WHERE endpoint_id = endpoint_state.endpoint_id AND status = 'retrying' ORDER BY due_ms LIMIT 1)))) END
 WHERE endpoint_id = :endpoint_id;

-- finish_deliveries
-- Ends a claim, if it is still ours: no row comes back for a lease that was lost.
UPDATE delivery SET status = :status, reason = :reason, attempts = :attempts, failures = :failures, plain = :plain,
       due_ms = :due_ms, http_status = :http_status, error = :error, updated_ms = :now, delivered_ms = :delivered_ms,
       lease = NULL, lease_until_ms = NULL
 WHERE tenant_id = :tenant_id AND id = :id AND lease = :lease
RETURNING id;

-- bury_deliveries
UPDATE delivery SET status = 'dead', reason = :reason, updated_ms = :now, lease = NULL, lease_until_ms = NULL
 WHERE tenant_id = :tenant_id AND id = :id;

-- release_deliveries
-- Hands back what was claimed and not tried.
UPDATE delivery SET status = CASE WHEN attempts = 0 THEN 'pending' ELSE 'retrying' END, lease = NULL, lease_until_ms = NULL,
       due_ms = :due_ms
 WHERE tenant_id = :tenant_id AND id = :id AND lease = :lease
RETURNING endpoint_id;

-- insert_attempts
INSERT INTO attempt (tenant_id, delivery_id, number, endpoint_id, started_ms, duration_ms, outcome, http_status, error,
                     response_body, request_body)
VALUES (:tenant_id, :delivery_id, :number, :endpoint_id, :started_ms, :duration_ms, :outcome, :http_status, :error,
        :response_body, :request_body)
ON CONFLICT DO NOTHING;

-- note_success
UPDATE endpoint_state SET consecutive_failures = 0, notice = CASE WHEN notice = 'failing' THEN '' ELSE notice END,
       last_used_ms = :now
 WHERE endpoint_id = :endpoint_id;

-- note_failure
UPDATE endpoint_state SET consecutive_failures = consecutive_failures + :count, last_error = :error
 WHERE endpoint_id = :endpoint_id
RETURNING tenant_id, endpoint_id, consecutive_failures;

-- hold_tenants
-- Whose webhooks may be switched off by so many failures more: see postgres/queue.sql. Here one alone writes.
SELECT tenant_id FROM endpoint_state WHERE endpoint_id = :endpoint_id AND consecutive_failures + :count >= :most;

-- note_notice
UPDATE endpoint_state SET notice = :notice WHERE endpoint_id = :endpoint_id;

-- pause_endpoints
UPDATE endpoint_state SET paused_until_ms = max(paused_until_ms, :until_ms) WHERE endpoint_id = :endpoint_id;

-- events_of
SELECT tenant_id, uid, id, source, type, kind, severity, pipeline, run_id, stage, time_ms, received_ms, content FROM event
 WHERE tenant_id = :tenant_id AND uid = :uid;

-- runs_of
-- This attempt of a run, and the newest.
SELECT tenant_id, id, pipeline, run_id, attempt, status, started_ms, finished_ms, updated_ms, error, stages, about,
       parent_run_id, log_tail
  FROM run
 WHERE tenant_id = :tenant_id AND pipeline = :pipeline AND run_id = :run_id AND attempt IN (:attempt,
   (SELECT max(attempt) FROM run WHERE tenant_id = :tenant_id AND pipeline = :pipeline AND run_id = :run_id));

-- lost_leases
-- A worker died or hung with these; they are tried again, by whoever is first.
UPDATE delivery SET status = CASE WHEN lease_losses + 1 >= :limit THEN 'dead'
                                  WHEN attempts = 0 THEN 'pending' ELSE 'retrying' END,
       reason = CASE WHEN lease_losses + 1 >= :limit THEN 'every worker that tried this message died' ELSE reason END,
       lease = NULL, lease_until_ms = NULL, lease_losses = lease_losses + 1, due_ms = :now
 WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM delivery WHERE status = 'sending' AND lease_until_ms < :now
                            ORDER BY lease_until_ms LIMIT 1000)
RETURNING endpoint_id;

-- doubtful_leases
-- Of a transaction that may have been committed although its answer never came: nobody holds what it leased.
UPDATE delivery SET status = CASE WHEN attempts = 0 THEN 'pending' ELSE 'retrying' END, lease = NULL,
       lease_until_ms = NULL, due_ms = :now
 WHERE status = 'sending' AND lease = :lease
RETURNING endpoint_id;

-- my_old_leases
-- One process alone uses this store, and it has just started: whatever is leased was left behind.
UPDATE delivery SET status = CASE WHEN lease_losses + 1 >= :limit THEN 'dead'
                                  WHEN attempts = 0 THEN 'pending' ELSE 'retrying' END,
       reason = CASE WHEN lease_losses + 1 >= :limit THEN 'every worker that tried this message died' ELSE reason END,
       lease = NULL, lease_until_ms = NULL, lease_losses = lease_losses + 1, due_ms = :now
 WHERE status = 'sending'
RETURNING endpoint_id;

-- suppress_pending
-- What waits although its provider was switched off since it was planned, or was replayed nevertheless.
UPDATE delivery SET status = 'suppressed', reason = :reason, updated_ms = :now
 WHERE endpoint_id = :endpoint_id AND status = 'pending' AND due_ms <= :now;

-- suppress_retrying
UPDATE delivery SET status = 'suppressed', reason = :reason, updated_ms = :now
 WHERE endpoint_id = :endpoint_id AND status = 'retrying' AND due_ms <= :now;

-- cancel_orphans_pending
-- Driven by the endpoints deleted lately: a backlog elsewhere is not looked through.
UPDATE delivery SET status = 'cancelled', reason = 'the webhook was deleted', updated_ms = :now
 WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM delivery
                            WHERE endpoint_id IN (SELECT id FROM endpoint WHERE deleted_ms > :since_ms)
                              AND status = 'pending' LIMIT 1000)
RETURNING id;

-- cancel_orphans_retrying
UPDATE delivery SET status = 'cancelled', reason = 'the webhook was deleted', updated_ms = :now
 WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM delivery
                            WHERE endpoint_id IN (SELECT id FROM endpoint WHERE deleted_ms > :since_ms)
                              AND status = 'retrying' LIMIT 1000)
RETURNING id;

-- expire_deliveries
-- What was told, and waited for no more than an edit, was delivered when it was told.
UPDATE delivery SET status = CASE WHEN reason = :unedited THEN 'delivered' ELSE 'expired' END,
       delivered_ms = CASE WHEN reason = :unedited THEN updated_ms ELSE delivered_ms END,
       reason = CASE WHEN reason = :unedited THEN '' ELSE :reason END, updated_ms = :now
 WHERE (tenant_id, id) IN (SELECT tenant_id, id FROM delivery
                            WHERE status IN ('pending', 'retrying') AND expires_ms <= :now
                            ORDER BY expires_ms LIMIT 1000)
RETURNING endpoint_id;

-- due_notices
SELECT s.tenant_id, s.endpoint_id, s.notice, s.consecutive_failures, s.last_error, e.name, e.provider_type, e.disabled_reason,
       e.version, coalesce(s.last_used_ms, 0)
  FROM endpoint_state s JOIN endpoint e ON e.tenant_id = s.tenant_id AND e.id = s.endpoint_id
 WHERE s.notice <> '' LIMIT 100;

-- clear_notice
UPDATE endpoint_state SET notice = '' WHERE endpoint_id = :endpoint_id AND notice = :notice;

-- overdue_endpoints
-- Endpoints that have due deliveries and that nobody will look at. There should be none; the sweep mends it if there are.
SELECT s.endpoint_id FROM endpoint_state s
  JOIN endpoint e ON e.tenant_id = s.tenant_id AND e.id = s.endpoint_id
  JOIN tenant o ON o.id = s.tenant_id AND o.suspended_ms IS NULL AND o.deleted_ms IS NULL
 WHERE s.next_ms IS NULL AND e.is_active = 1 AND e.disabled_reason = '' AND e.deleted_ms IS NULL
   AND (EXISTS (SELECT 1 FROM delivery d WHERE d.endpoint_id = s.endpoint_id AND d.status = 'pending')
     OR EXISTS (SELECT 1 FROM delivery d WHERE d.endpoint_id = s.endpoint_id AND d.status = 'retrying'));

-- delete_old_attempts
DELETE FROM attempt WHERE (tenant_id, delivery_id, number) IN (
  SELECT a.tenant_id, a.delivery_id, a.number FROM attempt a
   WHERE a.tenant_id = :tenant_id AND a.delivery_id < :before
     AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.tenant_id = a.tenant_id AND d.id = a.delivery_id
                        AND (d.status IN ('pending', 'sending', 'retrying')
                             OR (d.status = 'dead' AND d.id >= :dead_before)))
   LIMIT :limit) RETURNING number;

-- delete_old_deliveries
DELETE FROM delivery WHERE (tenant_id, id) IN (
  SELECT d.tenant_id, d.id FROM delivery d
   WHERE d.tenant_id = :tenant_id AND d.id < :before
     AND (d.status IN ('delivered', 'expired', 'cancelled', 'suppressed') OR (d.status = 'dead' AND d.id < :dead_before))
     AND NOT (d.folded_into <> '' AND EXISTS (
       SELECT 1 FROM delivery head WHERE head.tenant_id = d.tenant_id AND head.id = d.folded_into
          AND head.status IN ('pending', 'sending', 'retrying')))
   LIMIT :limit) RETURNING id, status, status = 'suppressed' AND folded_into <> '';

-- delete_old_runs
-- The last one of a pipeline stays: the next is compared with it.
DELETE FROM run WHERE (tenant_id, id) IN (
  SELECT r.tenant_id, r.id FROM run r
   WHERE r.tenant_id = :tenant_id AND r.id < :before AND r.updated_ms < :before_ms
     AND EXISTS (SELECT 1 FROM run n WHERE n.tenant_id = r.tenant_id AND n.pipeline = r.pipeline AND n.id > r.id)
   LIMIT :limit) RETURNING id;

-- delete_old_events
DELETE FROM event WHERE (tenant_id, uid) IN (
  SELECT e.tenant_id, e.uid FROM event e
   WHERE e.tenant_id = :tenant_id AND e.uid < :before
     AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_uid = e.uid)
   LIMIT :limit) RETURNING uid;

-- delete_old_idempotency
DELETE FROM idempotency WHERE created_ms < :before_ms RETURNING key;

-- all_tenants
SELECT id FROM tenant ORDER BY id;
