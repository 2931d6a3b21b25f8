-- last_runs
SELECT p.value, (SELECT coalesce(json_agg(json_build_array(x.status, x.finished_ms)), '[]')::text FROM (
  SELECT y.status, y.finished_ms FROM (
    SELECT * FROM (SELECT status, finished_ms FROM run
      WHERE tenant_id = :tenant_id AND pipeline = p.value AND status = 'succeeded'
      ORDER BY finished_ms DESC LIMIT :limit) good
    UNION ALL
    SELECT * FROM (SELECT status, finished_ms FROM run
      WHERE tenant_id = :tenant_id AND pipeline = p.value AND finished_ms IS NOT NULL AND status <> 'succeeded'
      ORDER BY finished_ms DESC LIMIT :limit) trouble) y
   ORDER BY y.finished_ms DESC LIMIT :limit) x)
  FROM jsonb_array_elements_text(:pipelines::text::jsonb) AS p (value);
