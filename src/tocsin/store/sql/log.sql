-- list_events
SELECT tenant_id, uid, id, source, type, kind, severity, pipeline, run_id, stage, time_ms, received_ms, content FROM event
 WHERE tenant_id = :tenant_id AND uid < :before {filters}
 ORDER BY uid DESC LIMIT :limit;

-- list_events_by_type
type = :type

-- list_events_by_kind
kind = :kind

-- list_events_by_pipeline
pipeline = :pipeline

-- list_events_by_run_id
-- The index is used where the query says its condition word for word.
run_id = :run_id AND run_id <> ''

-- list_events_by_floor
uid >= :floor

-- list_events_by_since
received_ms >= :since

-- list_events_by_since_uid
-- Where the index begins; a little more than what is asked for.
uid >= :since_uid

-- list_events_by_until
received_ms < :until

-- list_events_by_source
source = :source

-- list_events_by_severity
severity = :severity

-- list_events_by_uids
-- A JSON list of them.
uid IN (SELECT value FROM json_each(:uids))

-- event_floor
-- The index alone answers it.
SELECT uid FROM event WHERE tenant_id = :tenant_id AND uid < :before ORDER BY uid DESC LIMIT 1 OFFSET :many;

-- traces
-- A JSON list of uids.
SELECT uid, trace FROM event WHERE tenant_id = :tenant_id AND uid IN (SELECT value FROM json_each(:uids));

-- outcomes
-- What became of these events, a JSON list of uids: their deliveries by state, and by whether :seen_by sees them. By the
-- index of an event's deliveries, and not through all that the tenant has.
SELECT d.event_uid, d.status, coalesce(h.status, ''), count(*),
       sum(CASE WHEN d.reason LIKE 'silenced%' THEN 1 ELSE 0 END),
       min(CASE WHEN d.reason <> '' THEN d.reason ELSE d.error END),
       CASE WHEN :sees_all = 1 OR e.user_id IN (:seen_by, '') THEN 1 ELSE 0 END AS seen
  FROM delivery d
  LEFT JOIN endpoint e ON e.tenant_id = d.tenant_id AND e.id = d.endpoint_id
  LEFT JOIN delivery h ON d.folded_into <> '' AND h.tenant_id = d.tenant_id AND h.id = d.folded_into
 WHERE CASE WHEN d.tenant_id = :tenant_id THEN 1 ELSE 0 END = 1 AND d.event_uid IN (SELECT value FROM json_each(:uids))
 GROUP BY d.event_uid, d.status, coalesce(h.status, ''), seen;

-- find_event
-- By our uid or by the source's own id; the newest where two sources use the same. Each has an index, both together none.
SELECT tenant_id, uid, id, source, type, kind, severity, pipeline, run_id, stage, time_ms, received_ms, content, trace
  FROM event
 WHERE tenant_id = :tenant_id AND uid IN (SELECT uid FROM event WHERE tenant_id = :tenant_id AND uid = :id
                                          UNION ALL SELECT uid FROM event WHERE tenant_id = :tenant_id AND id = :id) {filters}
 ORDER BY uid DESC LIMIT 1;

-- find_event_by_source
source = :source

-- list_deliveries
-- CROSS JOIN has SQLite begin with the deliveries, whatever it knows of how many there are.
SELECT d.id, e.id, d.event_type, d.rule_id, d.endpoint_id, d.provider_type, d.status, d.reason, d.attempts, d.http_status,
       d.error, d.due_ms, d.created_ms, d.delivered_ms, d.event_uid, d.folded_into,
       CASE WHEN d.words = '' THEN 0 ELSE (
         SELECT count(*) FROM delivery f WHERE f.folded_into = d.id AND f.folded_into <> '' AND f.tenant_id = d.tenant_id) END,
       coalesce(h.status, ''), coalesce(h.reason, ''), e.pipeline, e.run_id,
       (SELECT a.duration_ms FROM attempt a WHERE a.tenant_id = d.tenant_id AND a.delivery_id = d.id AND a.number = d.attempts)
  FROM delivery d CROSS JOIN event e
  LEFT JOIN delivery h ON d.folded_into <> '' AND h.tenant_id = d.tenant_id AND h.id = d.folded_into
 WHERE d.tenant_id = :tenant_id AND d.id < :before AND e.tenant_id = d.tenant_id AND e.uid = d.event_uid {filters}
 ORDER BY d.id DESC LIMIT :limit;

-- list_deliveries_by_id
d.id = :id

-- list_deliveries_by_ids
-- A JSON list of them.
d.id IN (SELECT value FROM json_each(:ids))

-- list_deliveries_by_status
d.status = :status

-- list_deliveries_by_dead
-- Said so that both stores see that the index of dead letters has it. PostgreSQL plans `status = $1` once for all states.
d.status = 'dead'

-- list_deliveries_by_state
-- The same, said so that both stores see that the index of these states has it.
d.status IN ('retrying', 'expired', 'cancelled', 'suppressed') AND d.status = :state

-- list_deliveries_by_pending
-- By the index of those that wait: for who wants all of them, however long ago the others were.
d.id IN (SELECT w.id FROM endpoint x CROSS JOIN delivery w
          WHERE x.tenant_id = :tenant_id AND w.endpoint_id = x.id AND w.status = 'pending'
            AND CASE WHEN w.tenant_id = :tenant_id THEN 1 ELSE 0 END = 1)

-- list_deliveries_by_sending
-- By the index of leases: there are as many as can be sent at once, of all tenants together.
d.id IN (SELECT w.id FROM delivery w WHERE w.lease_until_ms > 0 AND w.status = 'sending'
            AND CASE WHEN w.tenant_id = :tenant_id THEN 1 ELSE 0 END = 1)

-- list_deliveries_by_failed
-- By the index of each.
d.id IN (SELECT f.id FROM delivery f WHERE f.tenant_id = :tenant_id AND f.status = 'dead'
         UNION ALL
         SELECT f.id FROM delivery f
          WHERE f.tenant_id = :tenant_id AND f.status IN ('retrying', 'expired', 'cancelled', 'suppressed')
            AND f.status = 'expired')

-- list_deliveries_by_floor
d.id >= :floor

-- delivery_floor
-- The index alone answers it.
SELECT id FROM delivery WHERE tenant_id = :tenant_id AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :many;

-- list_deliveries_by_waiting
d.status IN ('pending', 'sending', 'retrying')

-- list_deliveries_by_code_from
d.http_status >= :code_from

-- list_deliveries_by_code_until
d.http_status < :code_until

-- list_deliveries_by_no_code
-- Tried, and nobody answered.
d.http_status IS NULL AND d.attempts > 0

-- list_deliveries_by_pipeline
e.pipeline = :pipeline

-- list_deliveries_by_pipeline_begins
substr(e.pipeline, 1, length(:pipeline_begins)) = :pipeline_begins

-- list_deliveries_by_reason
d.reason = :reason

-- list_deliveries_by_reason_begins
substr(d.reason, 1, length(:reason_begins)) = :reason_begins

-- list_deliveries_by_text
-- In what the event says of itself; in small letters.
instr(lower(d.event_type || ' ' || e.pipeline || ' ' || e.run_id || ' ' || coalesce(e.content ->> 'title', '')), :text) > 0

-- list_deliveries_by_webhook_id
d.endpoint_id = :webhook_id

-- list_deliveries_by_event_id
-- By the index of an event's deliveries, and not through all that the tenant has.
d.id IN (SELECT f.id FROM delivery f WHERE CASE WHEN f.tenant_id = :tenant_id THEN 1 ELSE 0 END = 1 AND f.event_uid IN (
         SELECT uid FROM event WHERE tenant_id = :tenant_id AND uid = :event_id
         UNION ALL SELECT uid FROM event WHERE tenant_id = :tenant_id AND id = :event_id))

-- list_deliveries_by_rule_id
d.rule_id = :rule_id

-- list_deliveries_by_event_type
d.event_type = :event_type

-- list_deliveries_by_provider_type
d.provider_type = :provider_type

-- list_deliveries_by_folded_into
d.folded_into = :folded_into AND d.folded_into <> ''

-- list_deliveries_by_seen_by
d.endpoint_id IN (SELECT id FROM endpoint WHERE tenant_id = :tenant_id AND user_id IN (:seen_by, ''))

-- list_deliveries_by_owned_by
d.endpoint_id IN (SELECT id FROM endpoint WHERE tenant_id = :tenant_id
                     AND (user_id = :owned_by OR (user_id = '' AND created_by = :owned_by)))

-- list_deliveries_by_since
d.created_ms >= :since

-- list_deliveries_by_since_id
-- The id has the time too, and an index.
d.id >= :since_id

-- list_deliveries_by_until
d.created_ms < :until

-- list_attempts
SELECT a.number, a.started_ms, a.duration_ms, a.outcome, a.http_status, a.error, a.response_body,
       coalesce(a.request_body, d.body)
  FROM attempt a JOIN delivery d ON d.tenant_id = a.tenant_id AND d.id = a.delivery_id
 WHERE a.tenant_id = :tenant_id AND a.delivery_id = :delivery_id ORDER BY a.number;

-- replay_deliveries
-- Back to the start of its schedule, same id, same bytes. What is on its way already, or has nowhere to go, is left alone.
UPDATE delivery SET status = CASE WHEN attempts = 0 THEN 'pending' ELSE 'retrying' END, failures = 0, lease_losses = 0,
       reason = 'replayed', due_ms = :now, expires_ms = :expires_ms, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND status IN ('delivered', 'dead', 'expired', 'cancelled', 'suppressed')
   AND EXISTS (SELECT 1 FROM endpoint e WHERE e.tenant_id = delivery.tenant_id AND e.id = delivery.endpoint_id
                                          AND e.deleted_ms IS NULL)
RETURNING id, endpoint_id;

-- discard_delivery
UPDATE delivery SET status = 'cancelled', reason = :reason, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND status IN ('dead', 'expired') RETURNING id;

-- cancel_delivery
UPDATE delivery SET status = 'cancelled', reason = :reason, updated_ms = :now, lease = NULL, lease_until_ms = NULL
 WHERE tenant_id = :tenant_id AND id = :id AND status IN ('pending', 'sending', 'retrying') RETURNING id;

-- list_runs
SELECT tenant_id, id, pipeline, run_id, attempt, status, started_ms, finished_ms, updated_ms, error, stages, about,
       parent_run_id, log_tail
  FROM run
 WHERE tenant_id = :tenant_id AND id < :before {filters}
 ORDER BY id DESC LIMIT :limit;

-- list_runs_by_floor
id >= :floor

-- run_floor
-- The index alone answers it.
SELECT id FROM run WHERE tenant_id = :tenant_id AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :many;

-- list_runs_by_pipeline
pipeline = :pipeline

-- list_runs_by_status
status = :status

-- list_runs_by_rare_pipeline
-- By the index of its runs: for one that the newest runs are not of.
id IN (SELECT r.id FROM run r WHERE r.tenant_id = :tenant_id AND r.pipeline = :rare_pipeline)

-- list_runs_by_run_id
-- From one pipeline to the next by the index.
id IN (WITH RECURSIVE named (pipeline) AS (
         SELECT min(pipeline) FROM run WHERE tenant_id = :tenant_id
         UNION ALL
         SELECT (SELECT min(r.pipeline) FROM run r WHERE r.tenant_id = :tenant_id AND r.pipeline > named.pipeline)
           FROM named WHERE named.pipeline IS NOT NULL)
       SELECT r.id FROM named n CROSS JOIN run r
        WHERE r.tenant_id = :tenant_id AND r.pipeline = n.pipeline AND r.run_id = :run_id)

-- list_runs_by_parent_run_id
-- The index is used where the query says its condition word for word.
parent_run_id = :parent_run_id AND parent_run_id <> ''

-- list_runs_by_keys
-- A JSON list of [pipeline, run_id].
(pipeline, run_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:keys))

-- get_run
SELECT tenant_id, id, pipeline, run_id, attempt, status, started_ms, finished_ms, updated_ms, error, stages, about,
       parent_run_id, log_tail
  FROM run
 WHERE tenant_id = :tenant_id AND id = :id;

-- waiting_deliveries
-- For the gauges; partial indexes answer it.
SELECT (SELECT count(*) FROM delivery WHERE status = 'pending')
     + (SELECT count(*) FROM delivery WHERE status = 'retrying'),
       (SELECT count(*) FROM delivery WHERE status = 'sending'),
       (SELECT count(*) FROM delivery WHERE status = 'dead'),
       (SELECT min(next_ms) FROM endpoint_state WHERE next_ms IS NOT NULL);
