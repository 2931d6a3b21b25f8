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

-- untried_heads
-- Nobody takes them on before this transaction ends; what somebody takes on at this moment takes no company any more.
SELECT d.id FROM unnest(:tenant_id::text[], :id::text[]) AS asked (tenant_id, id)
  JOIN delivery d ON d.tenant_id = asked.tenant_id AND d.id = asked.id
 WHERE d.status = 'pending' AND d.attempts = 0 AND d.lease_losses = 0
   FOR NO KEY UPDATE OF d SKIP LOCKED;

-- folded_alike
SELECT found.*
  FROM unnest(:id::text[], :tenant_id::text[]) AS asked (id, tenant_id)
 CROSS JOIN LATERAL (
   SELECT d.folded_into, e.pipeline, e.kind, CASE WHEN d.words = '' THEN '' ELSE coalesce(d.words::json ->> 'kind', '') END,
          CASE WHEN e.kind IN ('alert', 'alert.resolved', 'other') THEN e.type ELSE '' END,
          CASE WHEN e.pipeline = '' THEN e.source ELSE '' END, e.severity, count(*), min(e.time_ms), max(e.time_ms), max(d.id),
          (sum(count(*)) OVER ())::bigint
     FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
    WHERE d.folded_into = asked.id AND d.folded_into <> '' AND d.tenant_id = asked.tenant_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY max(d.id) DESC LIMIT 2000) found;

-- folded_ids
-- Not in the order of the primary key, which would look through all deliveries.
SELECT found.*
  FROM unnest(:id::text[], :tenant_id::text[]) AS asked (id, tenant_id)
 CROSS JOIN LATERAL (
   SELECT d.folded_into, e.id FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
    WHERE d.folded_into = asked.id AND d.folded_into <> '' AND d.tenant_id = asked.tenant_id
    ORDER BY d.id || '' LIMIT 100) found;

-- folded_events
SELECT d.id, d.words, e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline, e.run_id, e.stage, e.time_ms,
       e.received_ms, e.content
  FROM unnest(:tenant_id::text[], :id::text[]) AS asked (tenant_id, id)
  JOIN delivery d ON d.tenant_id = asked.tenant_id AND d.id = asked.id
  JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid;
