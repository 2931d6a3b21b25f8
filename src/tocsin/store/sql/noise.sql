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

-- good_runs_of
-- The same of several pipelines, a JSON list: a row each, with a JSON list.
SELECT p.value, (SELECT coalesce(json_group_array(x.took), '[]') FROM (
         SELECT finished_ms - started_ms AS took FROM run
          WHERE tenant_id = :tenant_id AND pipeline = p.value AND finished_ms IS NOT NULL AND started_ms IS NOT NULL
            AND status = 'succeeded'
          ORDER BY finished_ms DESC LIMIT :limit) x)
  FROM json_each(:pipelines) p;

-- untried_heads
-- Those of these deliveries that can take company: nobody has tried to send them, nor died with them.
SELECT id FROM delivery
 WHERE tenant_id = :tenant_id AND id = :id AND status = 'pending' AND attempts = 0 AND lease_losses = 0;

-- folded_alike
-- What joined a message, by what it has a line for. SQLite uses the index where the query says its condition word for word,
-- and where the plus keeps it from another.
SELECT d.folded_into, e.pipeline, e.kind, CASE WHEN d.words = '' THEN '' ELSE coalesce(d.words ->> '$.kind', '') END,
       CASE WHEN e.kind IN ('alert', 'alert.resolved', 'other') THEN e.type ELSE '' END,
       CASE WHEN e.pipeline = '' THEN e.source ELSE '' END, e.severity, count(*), min(e.time_ms), max(e.time_ms), max(d.id),
       sum(count(*)) OVER ()
  FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
 WHERE d.folded_into = :id AND d.folded_into <> '' AND +d.tenant_id = :tenant_id
 GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY max(d.id) DESC LIMIT 2000;

-- folded_ids
SELECT d.folded_into, e.id FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
 WHERE d.folded_into = :id AND d.folded_into <> '' AND +d.tenant_id = :tenant_id ORDER BY d.id LIMIT 100;

-- folded_events
-- By their deliveries, with what planning said to each.
SELECT d.id, d.words, e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline, e.run_id, e.stage, e.time_ms,
       e.received_ms, e.content
  FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
 WHERE d.tenant_id = :tenant_id AND d.id = :id;

-- delete_old_rule_states
DELETE FROM rule_state WHERE (tenant_id, rule_id, key) IN (
  SELECT tenant_id, rule_id, key FROM rule_state WHERE updated_ms < :before_ms LIMIT :limit) RETURNING key;

-- delete_old_folds
DELETE FROM fold WHERE (tenant_id, endpoint_id, key) IN (
  SELECT tenant_id, endpoint_id, key FROM fold WHERE updated_ms < :before_ms LIMIT :limit) RETURNING key;

-- started_runs
-- Of a pipeline, the newest start first.
SELECT tenant_id, id, pipeline, run_id, attempt, status, started_ms, finished_ms, updated_ms, error, stages, about,
       parent_run_id, log_tail
  FROM run
 WHERE tenant_id = :tenant_id AND pipeline = :pipeline AND started_ms IS NOT NULL AND started_ms >= :since
   AND started_ms <= :until
 ORDER BY started_ms DESC LIMIT :limit;

-- ended_unstarted
-- The newest end of a run whose start nobody reported. The good ones and the others have an index each.
SELECT max(x.finished_ms) FROM (
  SELECT finished_ms FROM run
   WHERE tenant_id = :tenant_id AND pipeline = :pipeline AND status = 'succeeded'
     AND finished_ms >= :since AND finished_ms <= :until AND started_ms IS NULL
  UNION ALL
  SELECT finished_ms FROM run
   WHERE tenant_id = :tenant_id AND pipeline = :pipeline AND finished_ms IS NOT NULL AND status <> 'succeeded'
     AND finished_ms >= :since AND finished_ms <= :until AND started_ms IS NULL) x;

-- newest_attempt
SELECT max(attempt) FROM run WHERE tenant_id = :tenant_id AND pipeline = :pipeline AND run_id = :run_id;

-- delay
-- How long the last events took to get here, the quickest of them; nothing where none came since then.
SELECT min(received_ms - time_ms) FROM (
  SELECT received_ms, time_ms, source FROM event WHERE tenant_id = :tenant_id ORDER BY uid DESC LIMIT 50) newest
 WHERE received_ms >= :since AND source <> 'tocsin';
