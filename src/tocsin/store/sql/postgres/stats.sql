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
