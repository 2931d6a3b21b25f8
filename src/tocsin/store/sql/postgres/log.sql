-- outcomes
SELECT d.event_uid, d.status, coalesce(h.status, ''), count(*),
       sum(CASE WHEN d.reason LIKE 'silenced%' THEN 1 ELSE 0 END),
       min(CASE WHEN d.reason <> '' THEN d.reason ELSE d.error END),
       CASE WHEN :sees_all::int = 1 OR e.user_id IN (:seen_by, '') THEN 1 ELSE 0 END AS seen
  FROM delivery d
  LEFT JOIN endpoint e ON e.tenant_id = d.tenant_id AND e.id = d.endpoint_id
  LEFT JOIN delivery h ON d.folded_into <> '' AND h.tenant_id = d.tenant_id AND h.id = d.folded_into
 WHERE CASE WHEN d.tenant_id = :tenant_id THEN 1 ELSE 0 END = 1 AND d.event_uid = ANY(ARRAY(SELECT jsonb_array_elements_text(:uids::text::jsonb)))
 GROUP BY d.event_uid, d.status, coalesce(h.status, ''), seen;

-- list_runs_by_keys
(pipeline, run_id) IN (SELECT one ->> 0, one ->> 1 FROM jsonb_array_elements(:keys::text::jsonb) AS one)

-- list_deliveries_by_text
strpos(lower(d.event_type || ' ' || e.pipeline || ' ' || e.run_id || ' ' || coalesce(e.content::jsonb ->> 'title', '')), :text) > 0
