-- tally_slices
-- So many deliveries of each kind are in each slice of a span of time. The ids say which are in the span.
SELECT d.created_ms / :width_ms, d.endpoint_id, d.rule_id,
       CASE WHEN d.folded_into <> '' AND d.status = 'suppressed' THEN 'folded' ELSE d.status END, count(*)
  FROM delivery d
 WHERE d.tenant_id = :tenant_id AND d.id >= :first_id AND d.id < :end_id
 GROUP BY 1, 2, 3, 4;

-- busy_tenants
-- Who has had a delivery since then. The ids say when.
SELECT t.id FROM tenant t
 WHERE EXISTS (SELECT 1 FROM delivery d WHERE d.tenant_id = t.id AND d.id >= :since) ORDER BY t.id LIMIT :limit;

-- newest_latencies
-- How long the last attempt of the newest deliveries took.
SELECT d.endpoint_id, d.rule_id, a.duration_ms
  FROM (SELECT tenant_id, id, endpoint_id, rule_id, status, attempts FROM delivery d
         WHERE d.tenant_id = :tenant_id AND d.id >= :since {filters}
         ORDER BY d.id DESC LIMIT :limit) d
 CROSS JOIN attempt a
 WHERE a.tenant_id = d.tenant_id AND a.delivery_id = d.id AND a.number = d.attempts AND d.status = 'delivered';

-- newest_latencies_by_endpoint_id
d.endpoint_id = :endpoint_id

-- latencies_of
-- The same of the newest deliveries to each of these endpoints, a JSON list: a row each, with a JSON list.
SELECT e.value, (SELECT json_group_array(a.duration_ms)
         FROM (SELECT tenant_id, id, status, attempts FROM delivery d
                WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value AND d.id >= :since
                ORDER BY d.id DESC LIMIT :limit) d
        CROSS JOIN attempt a
        WHERE a.tenant_id = d.tenant_id AND a.delivery_id = d.id AND a.number = d.attempts AND d.status = 'delivered')
  FROM json_each(:ids) e;

-- failing_since
-- When the oldest was made of the newest deliveries to each of these endpoints, a JSON list, that failed or wait, since the
-- last one that got there.
SELECT e.value, (SELECT min(x.created_ms) FROM (
         SELECT d.id, d.status, d.created_ms FROM delivery d WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value
          ORDER BY d.id DESC LIMIT :limit) x
        WHERE x.status IN ('dead', 'expired', 'retrying') AND x.id > coalesce((
         SELECT y.id FROM (
           SELECT d.id, d.status FROM delivery d WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value
            ORDER BY d.id DESC LIMIT :limit) y
          WHERE y.status = 'delivered' LIMIT 1), ''))
  FROM json_each(:ids) e;

-- endpoint_states
-- What is in trouble first, then what was used last.
SELECT e.id, e.name, e.provider_type, e.is_active, e.disabled_reason, s.consecutive_failures, s.last_used_ms, s.last_error
  FROM endpoint e JOIN endpoint_state s ON s.endpoint_id = e.id AND s.tenant_id = e.tenant_id
 WHERE e.tenant_id = :tenant_id AND e.deleted_ms IS NULL {filters}
 ORDER BY e.disabled_reason = '', s.consecutive_failures DESC, coalesce(s.last_used_ms, 0) DESC, e.id LIMIT :limit;

-- endpoint_states_by_ids
-- A JSON list of them.
e.id IN (SELECT value FROM json_each(:ids))

-- endpoint_states_by_seen_by
e.user_id IN (:seen_by, '')

-- rule_names
-- A JSON list of ids.
SELECT id, name FROM rule WHERE tenant_id = :tenant_id AND id IN (SELECT value FROM json_each(:ids));

-- count_retrying
-- Up to a number, by the index of those that wait, and not through all that an endpoint ever got.
SELECT count(*) FROM (
  SELECT 1 FROM endpoint e CROSS JOIN delivery d
   WHERE e.tenant_id = :tenant_id {filters} AND d.endpoint_id = e.id AND d.status = 'retrying'
     AND CASE WHEN d.tenant_id = :tenant_id THEN 1 ELSE 0 END = 1 LIMIT :limit) x;

-- count_retrying_by_seen_by
e.user_id IN (:seen_by, '')

-- next_retry
-- By the same index.
SELECT min(x.due_ms) FROM (
  SELECT (SELECT min(d.due_ms) FROM delivery d
           WHERE d.endpoint_id = e.id AND d.status = 'retrying'
             AND CASE WHEN d.tenant_id = :tenant_id THEN 1 ELSE 0 END = 1) AS due_ms
    FROM endpoint e WHERE e.tenant_id = :tenant_id {filters}) x;

-- next_retry_by_seen_by
e.user_id IN (:seen_by, '')

-- count_dead
-- Up to a number; of the newest dead letters, where somebody sees only some of them.
SELECT count(*) FROM (
  SELECT 1 FROM (SELECT d.endpoint_id FROM delivery d WHERE d.tenant_id = :tenant_id AND d.status = 'dead'
                  ORDER BY d.id DESC LIMIT :newest) d
   WHERE 1 = 1 {filters} LIMIT :limit) x;

-- count_dead_by_seen_by
d.endpoint_id IN (SELECT id FROM endpoint WHERE tenant_id = :tenant_id AND user_id IN (:seen_by, ''))

-- count_failing
-- Switched off by Tocsin, or failing since a while.
SELECT count(*) FROM (
  SELECT 1 FROM endpoint e JOIN endpoint_state s ON s.endpoint_id = e.id AND s.tenant_id = e.tenant_id
   WHERE e.tenant_id = :tenant_id AND e.deleted_ms IS NULL
     AND (e.disabled_reason <> '' OR (e.is_active = 1 AND s.consecutive_failures > 0)) {filters} LIMIT :limit) x;

-- count_failing_by_seen_by
e.user_id IN (:seen_by, '')

-- count_active_silences
SELECT count(*) FROM (
  SELECT 1 FROM silence WHERE tenant_id = :tenant_id AND ended_ms IS NULL AND starts_ms <= :now
                          AND (ends_ms IS NULL OR ends_ms > :now) LIMIT :limit) x;

-- count_unread_up_to
SELECT count(*) FROM (
  SELECT 1 FROM inbox WHERE tenant_id = :tenant_id AND user_id = :user_id AND read_ms IS NULL LIMIT :limit) x;

-- dead_groups
-- Of the newest dead letters, by where they were to go and why they did not.
SELECT d.endpoint_id, d.provider_type, d.reason, count(*), min(d.created_ms), max(d.created_ms), max(d.id)
  FROM (SELECT d.endpoint_id, d.provider_type, d.reason, d.created_ms, d.id FROM delivery d
         WHERE d.tenant_id = :tenant_id AND d.status = 'dead' ORDER BY d.id DESC LIMIT :newest) d
 WHERE 1 = 1 {filters}
 GROUP BY d.endpoint_id, d.provider_type, d.reason;

-- dead_groups_by_seen_by
d.endpoint_id IN (SELECT id FROM endpoint WHERE tenant_id = :tenant_id AND user_id IN (:seen_by, ''))

-- last_delivered
-- When the newest of the newest deliveries to each of these endpoints got there; a JSON list of ids.
SELECT e.value, (SELECT max(x.delivered_ms) FROM (
         SELECT d.delivered_ms FROM delivery d WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value
          ORDER BY d.id DESC LIMIT :newest) x)
  FROM json_each(:ids) e;

-- newest_pipelines
-- Of the newest runs: the pipelines, the one that ran last first.
SELECT r.pipeline, max(r.id) FROM (
  SELECT pipeline, id FROM run WHERE tenant_id = :tenant_id ORDER BY id DESC LIMIT :newest) r
 GROUP BY r.pipeline ORDER BY 2 DESC LIMIT :limit;

-- newest_runs
-- Of several pipelines, a JSON list: a row each, with its runs as a JSON list. Whichever state they are in: those that said
-- when they began, and those that said when they ended.
SELECT p.value, (SELECT coalesce(json_group_array(json_array(
         z.id, z.run_id, z.attempt, z.status, z.started_ms, z.finished_ms, z.error)), '[]')
  FROM (SELECT x.* FROM (
    SELECT * FROM (SELECT id, run_id, attempt, status, started_ms, finished_ms, error FROM run
      WHERE tenant_id = :tenant_id AND pipeline = p.value AND started_ms IS NOT NULL
      ORDER BY started_ms DESC LIMIT :limit) began
    UNION
    SELECT * FROM (SELECT id, run_id, attempt, status, started_ms, finished_ms, error FROM run
      WHERE tenant_id = :tenant_id AND pipeline = p.value AND status = 'succeeded'
      ORDER BY finished_ms DESC LIMIT :limit) good
    UNION
    SELECT * FROM (SELECT id, run_id, attempt, status, started_ms, finished_ms, error FROM run
      WHERE tenant_id = :tenant_id AND pipeline = p.value AND finished_ms IS NOT NULL AND status <> 'succeeded'
      ORDER BY finished_ms DESC LIMIT :limit) trouble) x
   ORDER BY coalesce(x.started_ms, x.finished_ms) DESC, x.id DESC LIMIT :limit) z)
  FROM json_each(:pipelines) p;
