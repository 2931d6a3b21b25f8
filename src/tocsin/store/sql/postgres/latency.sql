-- latency_of_endpoint
-- Each attempt looked up by its key: planned as a join, every day of attempts is read from end to end.
SELECT a.started_ms, a.duration_ms
  FROM (SELECT tenant_id, id, status, attempts FROM delivery
         WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND id >= :since
         ORDER BY id DESC LIMIT :limit) d
 CROSS JOIN LATERAL (SELECT t.started_ms, t.duration_ms FROM attempt t
                      WHERE t.tenant_id = d.tenant_id AND t.delivery_id = d.id AND t.number = d.attempts LIMIT 1) a
 WHERE d.status = 'delivered';
