-- endpoint_states_by_ids
e.id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb))

-- rule_names
SELECT id, name FROM rule WHERE tenant_id = :tenant_id AND id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb));

-- last_delivered
SELECT e.value, (SELECT max(x.delivered_ms) FROM (
         SELECT d.delivered_ms FROM delivery d WHERE d.tenant_id = :tenant_id AND d.endpoint_id = e.value
          ORDER BY d.id DESC LIMIT :newest) x)
  FROM jsonb_array_elements_text(:ids::text::jsonb) AS e (value);
