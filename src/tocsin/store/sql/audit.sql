-- lock_audit
-- The end of the trail, for whoever appends next; the others wait. The first one makes it.
INSERT INTO audit_head (tenant_id, number, hash, removed_hash, removed_seal)
VALUES (:tenant_id, 0, :start, :start, :nothing)
ON CONFLICT (tenant_id) DO UPDATE SET number = audit_head.number RETURNING number, hash;

-- audit_last
SELECT number, hash, seal FROM audit WHERE tenant_id = :tenant_id ORDER BY number DESC LIMIT 1;

-- insert_audit
INSERT INTO audit (tenant_id, number, time_ms, actor, token_id, role, address, request_id, user_agent, action, kind, object_id,
                   outcome, reason, before, after, hash, seal)
VALUES (:tenant_id, :number, :time_ms, :actor, :token_id, :role, :address, :request_id, :user_agent, :action, :kind, :object_id,
        :outcome, :reason, :before, :after, :hash, :seal);

-- move_audit_head
UPDATE audit_head SET number = :number, hash = :hash WHERE tenant_id = :tenant_id;

-- audit_head
SELECT number, hash, removed_until, removed_hash, removed_seal, removed_ms FROM audit_head WHERE tenant_id = :tenant_id;

-- audit_heads
SELECT h.tenant_id, h.number, a.hash, a.seal FROM audit_head h
  JOIN audit a ON a.tenant_id = h.tenant_id AND a.number = h.number
 ORDER BY h.tenant_id;

-- audit_outdated
-- The tenants whose oldest entry is older; never the last entry alone.
SELECT h.tenant_id FROM audit_head h
  JOIN audit a ON a.tenant_id = h.tenant_id AND a.number = h.removed_until + 1
 WHERE a.time_ms < :before_ms AND a.number < h.number;

-- audit_removable
SELECT number, hash FROM audit
 WHERE tenant_id = :tenant_id AND number > :removed AND number <= :until AND number < :head AND time_ms < :before_ms
 ORDER BY number DESC LIMIT 1;

-- delete_audit
DELETE FROM audit WHERE tenant_id = :tenant_id AND number <= :until;

-- note_audit_removed
UPDATE audit_head SET removed_until = :until, removed_hash = :hash, removed_seal = :seal, removed_ms = :now
 WHERE tenant_id = :tenant_id;

-- audit_from
SELECT tenant_id, number, time_ms, actor, token_id, role, address, request_id, user_agent, action, kind, object_id, outcome,
       reason, before, after, hash, seal
  FROM audit WHERE tenant_id = :tenant_id AND number > :after ORDER BY number LIMIT :limit;

-- list_audit
SELECT tenant_id, number, time_ms, actor, token_id, role, address, request_id, user_agent, action, kind, object_id, outcome,
       reason, before, after, hash, seal
  FROM audit WHERE tenant_id = :tenant_id AND number < :before_number {filters} ORDER BY number DESC LIMIT :limit;

-- list_audit_by_actor
actor = :actor

-- list_audit_by_token_id
token_id = :token_id

-- list_audit_by_action
action = :action

-- list_audit_by_kind
kind = :kind

-- list_audit_by_object_id
object_id = :object_id

-- list_audit_by_outcome
outcome = :outcome

-- list_audit_by_since
time_ms >= :since

-- list_audit_by_until
time_ms < :until
