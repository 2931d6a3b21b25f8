-- tally_slices
-- Its own way to read JSON. The planner takes an index scan for each slice.
SELECT s.place - 1, d.endpoint_id, d.rule_id,
       CASE WHEN d.folded_into <> '' AND d.status = 'suppressed' THEN 'folded' ELSE d.status END, count(*)
  FROM jsonb_array_elements(:slices::text::jsonb) WITH ORDINALITY AS s (one, place)
  JOIN delivery d ON d.tenant_id = :tenant_id AND d.id >= s.one ->> 0 AND d.id < s.one ->> 1
 GROUP BY 1, 2, 3, 4;

-- endpoint_states_by_ids
e.id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb))

-- rule_names
SELECT id, name FROM rule WHERE tenant_id = :tenant_id AND id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb));

-- last_delivered
SELECT e.value, (SELECT max(x.delivered_ms) FROM (
         SELECT d.delivered_ms FROM delivery d WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value
          ORDER BY d.id DESC LIMIT :newest) x)
  FROM jsonb_array_elements_text(:ids::text::jsonb) AS e (value);
