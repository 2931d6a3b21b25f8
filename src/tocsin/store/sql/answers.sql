-- find_answer
SELECT request_hash, status, body_sealed FROM answer
 WHERE tenant_id = :tenant_id AND id = :id AND created_ms > :since_ms;

-- keep_answer
-- No row comes back where the same key was faster.
INSERT INTO answer (id, tenant_id, request_hash, status, body_sealed, created_ms)
VALUES (:id, :tenant_id, :request_hash, :status, :body_sealed, :now)
ON CONFLICT (id) DO UPDATE SET request_hash = excluded.request_hash, status = excluded.status,
  body_sealed = excluded.body_sealed, created_ms = excluded.created_ms WHERE answer.created_ms <= :since_ms
RETURNING id;

-- delete_old_answers
DELETE FROM answer WHERE created_ms < :before_ms RETURNING id;
