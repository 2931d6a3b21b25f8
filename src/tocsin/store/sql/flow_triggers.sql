-- flow_position
SELECT event_uid, checked_ms FROM flow_position WHERE tenant_id = :tenant_id;

-- put_flow_position
-- It goes forward, except where the clock was set back and what it looks at would not come for long.
INSERT INTO flow_position (tenant_id, event_uid, checked_ms) VALUES (:tenant_id, :event_uid, :checked_ms)
ON CONFLICT (tenant_id) DO UPDATE SET event_uid = excluded.event_uid, checked_ms = excluded.checked_ms
 WHERE flow_position.event_uid < excluded.event_uid OR flow_position.checked_ms < excluded.checked_ms;

-- newest_event
SELECT uid FROM event WHERE tenant_id = :tenant_id ORDER BY uid DESC LIMIT 1;

-- flow_news
-- What changed the state of a run, in the order in which it came.
SELECT tenant_id, uid, id, source, type, kind, severity, pipeline, run_id, stage, time_ms, received_ms, content FROM event
 WHERE tenant_id = :tenant_id AND uid > :after AND run_id <> ''
   AND kind IN ('run.started', 'run.progress', 'run.paused', 'run.succeeded', 'run.failed', 'run.warning', 'run.cancelled')
 ORDER BY uid LIMIT :limit;

-- flow_fired
-- When a trigger started its flow last.
SELECT max(created_ms) FROM flow_execution
 WHERE tenant_id = :tenant_id AND namespace = :namespace AND flow_id = :flow_id AND created_by = :by;
