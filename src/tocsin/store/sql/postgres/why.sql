-- earlier_events
-- Each run's looked up by the index: planned as a join, all events of the day are read.
SELECT e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline, e.run_id, e.stage, e.time_ms, e.received_ms,
       e.content
  FROM (SELECT DISTINCT run_id FROM event WHERE tenant_id = :tenant_id AND uid >= :first AND length(run_id) > 0) r
 CROSS JOIN LATERAL (SELECT * FROM event t
                      WHERE t.tenant_id = :tenant_id AND t.run_id = r.run_id AND t.run_id <> '' AND t.uid >= :since
                        AND t.uid < :first ORDER BY t.uid DESC LIMIT :limit) e
 ORDER BY e.uid DESC LIMIT :limit;
