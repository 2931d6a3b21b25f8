-- latency_of_endpoint
-- When the last attempt of the newest deliveries to an endpoint began, and how long it took.
SELECT a.started_ms, a.duration_ms
  FROM (SELECT tenant_id, id, status, attempts FROM delivery
         WHERE tenant_id = :tenant_id AND endpoint_id = :endpoint_id AND id >= :since
         ORDER BY id DESC LIMIT :limit) d
 CROSS JOIN attempt a
 WHERE a.tenant_id = d.tenant_id AND a.delivery_id = d.id AND a.number = d.attempts AND d.status = 'delivered';
