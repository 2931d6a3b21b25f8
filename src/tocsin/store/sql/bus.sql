-- insert_bus_refused
INSERT INTO bus_refused (tenant_id, id, bus, position, reason, body, size, refused_ms)
VALUES (:tenant_id, :id, :bus, :position, :reason, :body, :size, :now) ON CONFLICT DO NOTHING;

-- list_bus_refused
SELECT id, bus, position, reason, body, size, refused_ms FROM bus_refused
 WHERE tenant_id = :tenant_id AND id < :before ORDER BY id DESC LIMIT :limit;

-- delete_old_bus_refused
DELETE FROM bus_refused WHERE (tenant_id, id) IN (
  SELECT tenant_id, id FROM bus_refused WHERE tenant_id = :tenant_id AND id < :before LIMIT :limit) RETURNING id;
