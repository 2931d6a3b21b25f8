-- list_pipelines
-- From one name to the next by the index, and the state of any of its runs.
WITH RECURSIVE named (pipeline) AS (
  SELECT min(pipeline) FROM run WHERE tenant_id = :tenant_id AND pipeline > :after
  UNION ALL
  SELECT (SELECT min(r.pipeline) FROM run r WHERE r.tenant_id = :tenant_id AND r.pipeline > named.pipeline)
    FROM named WHERE named.pipeline IS NOT NULL)
SELECT n.pipeline, (SELECT r.status FROM run r WHERE r.tenant_id = :tenant_id AND r.pipeline = n.pipeline LIMIT 1)
  FROM named n WHERE n.pipeline IS NOT NULL LIMIT :limit;

-- pipeline_of_run
-- Which pipeline a run is of, where only the run is known: from one name to the next by the index.
WITH RECURSIVE named (pipeline) AS (
  SELECT min(pipeline) FROM run WHERE tenant_id = :tenant_id AND pipeline > ''
  UNION ALL
  SELECT (SELECT min(r.pipeline) FROM run r WHERE r.tenant_id = :tenant_id AND r.pipeline > named.pipeline)
    FROM named WHERE named.pipeline IS NOT NULL)
SELECT n.pipeline FROM named n
 WHERE n.pipeline IS NOT NULL
   AND EXISTS (SELECT 1 FROM run r WHERE r.tenant_id = :tenant_id AND r.pipeline = n.pipeline AND r.run_id = :run_id)
 LIMIT 1;

-- knows_pipeline
SELECT 1 FROM run WHERE tenant_id = :tenant_id AND pipeline = :pipeline LIMIT 1;

-- last_runs
-- Of several pipelines, a JSON list: a row each, with those that have ended, the last first, as a JSON list of [status, when].
-- The good ones and the others have an index each.
SELECT p.value, (SELECT coalesce(json_group_array(json_array(x.status, x.finished_ms)), '[]') FROM (
  SELECT y.status, y.finished_ms FROM (
    SELECT * FROM (SELECT status, finished_ms FROM run
      WHERE tenant_id = :tenant_id AND pipeline = p.value AND status = 'succeeded'
      ORDER BY finished_ms DESC LIMIT :limit) good
    UNION ALL
    SELECT * FROM (SELECT status, finished_ms FROM run
      WHERE tenant_id = :tenant_id AND pipeline = p.value AND finished_ms IS NOT NULL AND status <> 'succeeded'
      ORDER BY finished_ms DESC LIMIT :limit) trouble) y
   ORDER BY y.finished_ms DESC LIMIT :limit) x)
  FROM json_each(:pipelines) p;

-- rules_made_by
SELECT tenant_id, id, name, event_types, pipelines, labels, condition, endpoint_ids, retry, rate_limit, settings, noise, is_active,
       created_by, created_ms, updated_ms
  FROM rule WHERE tenant_id = :tenant_id AND created_by = :created_by AND deleted_ms IS NULL ORDER BY id;
