-- lock_noise
-- One process at a time decides for a tenant whose rules count what was before; others wait for its commit.
SELECT pg_advisory_xact_lock(hashtextextended('tocsin.noise:' || :tenant_id, 0))::text;

-- rule_states
SELECT s.rule_id, s.key, s.state
  FROM unnest(:tenant_id::text[], :rule_id::text[], :key::text[]) AS asked (tenant_id, rule_id, key)
  JOIN rule_state s ON s.tenant_id = asked.tenant_id AND s.rule_id = asked.rule_id AND s.key = asked.key;

-- put_rule_states
INSERT INTO rule_state (tenant_id, rule_id, key, state, updated_ms)
SELECT * FROM unnest(:tenant_id::text[], :rule_id::text[], :key::text[], :state::text[], :now::bigint[])
ON CONFLICT (tenant_id, rule_id, key) DO UPDATE SET state = excluded.state, updated_ms = excluded.updated_ms;

-- folds
SELECT f.endpoint_id, f.key, f.state
  FROM unnest(:tenant_id::text[], :endpoint_id::text[], :key::text[]) AS asked (tenant_id, endpoint_id, key)
  JOIN fold f ON f.tenant_id = asked.tenant_id AND f.endpoint_id = asked.endpoint_id AND f.key = asked.key;

-- put_folds
INSERT INTO fold (tenant_id, endpoint_id, key, state, updated_ms)
SELECT * FROM unnest(:tenant_id::text[], :endpoint_id::text[], :key::text[], :state::text[], :now::bigint[])
ON CONFLICT (tenant_id, endpoint_id, key) DO UPDATE SET state = excluded.state, updated_ms = excluded.updated_ms;

-- count_hidden
INSERT INTO hidden (tenant_id, silence_id, endpoint_id, count)
SELECT * FROM unnest(:tenant_id::text[], :silence_id::text[], :endpoint_id::text[], :count::bigint[])
ON CONFLICT (tenant_id, silence_id, endpoint_id) DO UPDATE SET count = hidden.count + excluded.count;

-- put_timers
INSERT INTO timer (tenant_id, id, kind, rule_id, due_ms, data)
SELECT * FROM unnest(:tenant_id::text[], :id::text[], :kind::text[], :rule_id::text[], :due_ms::bigint[], :data::text[])
ON CONFLICT (tenant_id, id) DO UPDATE SET kind = excluded.kind, rule_id = excluded.rule_id, due_ms = excluded.due_ms,
  data = excluded.data;

-- drop_timers
DELETE FROM timer t USING unnest(:tenant_id::text[], :id::text[]) AS asked (tenant_id, id)
 WHERE t.tenant_id = asked.tenant_id AND t.id = asked.id;

-- folded_events
SELECT d.folded_into, e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline, e.run_id, e.stage, e.time_ms,
       e.received_ms, e.content
  FROM unnest(:id::text[], :tenant_id::text[]) AS asked (id, tenant_id)
  CROSS JOIN LATERAL (SELECT folded_into, tenant_id, event_uid, id FROM delivery
                       WHERE folded_into = asked.id AND tenant_id = asked.tenant_id ORDER BY id LIMIT 500) d
  JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
 ORDER BY d.id;
