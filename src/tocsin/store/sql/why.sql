-- fates
-- By the index of an event's deliveries, and not through all that the tenant has.
SELECT d.id, d.event_uid, d.endpoint_id, coalesce(e.name, ''), d.rule_id, d.status, d.reason, d.error, d.attempts, d.due_ms,
       d.delivered_ms, d.words, coalesce(e.disabled_reason, ''), coalesce(s.paused_until_ms, 0),
       h.id, h.status, h.reason, h.due_ms, h.delivered_ms
  FROM delivery d
  LEFT JOIN endpoint e ON e.tenant_id = d.tenant_id AND e.id = d.endpoint_id
  LEFT JOIN endpoint_state s ON s.endpoint_id = d.endpoint_id AND s.tenant_id = d.tenant_id
  LEFT JOIN delivery h ON h.tenant_id = d.tenant_id AND h.id = d.folded_into
 WHERE CASE WHEN d.tenant_id = :tenant_id THEN 1 ELSE 0 END = 1 {filters}
 ORDER BY d.id;

-- fates_by_event
d.event_uid = :event_uid

-- fates_by_run
d.event_uid IN (SELECT uid FROM event WHERE tenant_id = :tenant_id AND uid >= :since AND uid <= :until
                   AND pipeline = :pipeline AND run_id = :run_id AND run_id <> '')

-- events_of_run
-- Only from where the run began: ids sort by the time they were made. The index is used where the query says its condition
-- word for word.
SELECT tenant_id, uid, id, source, type, kind, severity, pipeline, run_id, stage, time_ms, received_ms, content, trace
  FROM event
 WHERE tenant_id = :tenant_id AND uid >= :since AND pipeline = :pipeline AND run_id = :run_id AND run_id <> ''
 ORDER BY uid LIMIT :limit;

-- earlier_events
-- Of the runs that the newest events belong to, what came before those: each run's by its index, and not a day's.
SELECT e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline, e.run_id, e.stage, e.time_ms, e.received_ms,
       e.content
  FROM (SELECT DISTINCT run_id FROM event WHERE tenant_id = :tenant_id AND uid >= :first AND length(run_id) > 0) r
 CROSS JOIN event e
 WHERE e.tenant_id = :tenant_id AND e.run_id = r.run_id AND e.run_id <> '' AND e.uid >= :since AND e.uid < :first
 ORDER BY e.uid DESC LIMIT :limit;
