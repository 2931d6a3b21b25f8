-- endpoint_states_by_ids
e.id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb))

-- rule_names
SELECT id, name FROM rule WHERE tenant_id = :tenant_id AND id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb));

-- last_delivered
SELECT e.value, (SELECT max(x.delivered_ms) FROM (
         SELECT d.delivered_ms FROM delivery d WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value
          ORDER BY d.id DESC LIMIT :newest) x)
  FROM jsonb_array_elements_text(:ids::text::jsonb) AS e (value);

-- newest_latencies
-- Each attempt looked up by its key: planned as a join, every day of attempts is read from end to end.
SELECT d.endpoint_id, d.rule_id, a.duration_ms
  FROM (SELECT tenant_id, id, endpoint_id, rule_id, status, attempts FROM delivery d
         WHERE d.tenant_id = :tenant_id AND d.id >= :since {filters}
         ORDER BY d.id DESC LIMIT :limit) d
 CROSS JOIN LATERAL (SELECT t.duration_ms FROM attempt t
                      WHERE t.tenant_id = d.tenant_id AND t.delivery_id = d.id AND t.number = d.attempts LIMIT 1) a
 WHERE d.status = 'delivered';

-- latencies_of
-- Each attempt looked up by its key, as above.
SELECT e.value, (SELECT coalesce(json_agg(a.duration_ms), '[]')::text
         FROM (SELECT tenant_id, id, status, attempts FROM delivery d
                WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value AND d.id >= :since
                ORDER BY d.id DESC LIMIT :limit) d
        CROSS JOIN LATERAL (SELECT t.duration_ms FROM attempt t
                             WHERE t.tenant_id = d.tenant_id AND t.delivery_id = d.id AND t.number = d.attempts LIMIT 1) a
        WHERE d.status = 'delivered')
  FROM jsonb_array_elements_text(:ids::text::jsonb) AS e (value);

-- failing_since
SELECT e.value, (SELECT min(x.created_ms) FROM (
         SELECT d.id, d.status, d.created_ms FROM delivery d WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value
          ORDER BY d.id DESC LIMIT :limit) x
        WHERE x.status IN ('dead', 'expired', 'retrying') AND x.id > coalesce((
         SELECT y.id FROM (
           SELECT d.id, d.status FROM delivery d WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value
            ORDER BY d.id DESC LIMIT :limit) y
          WHERE y.status = 'delivered' LIMIT 1), ''))
  FROM jsonb_array_elements_text(:ids::text::jsonb) AS e (value);

-- newest_runs
SELECT p.value, (SELECT coalesce(json_agg(json_build_array(z.id, z.run_id, z.attempt, z.status, z.started_ms, z.finished_ms, z.error)), '[]')::text
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
  FROM jsonb_array_elements_text(:pipelines::text::jsonb) AS p (value);
