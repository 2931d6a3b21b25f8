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
