-- lock_admins
-- Two who lower each other at once: the second waits, and finds one admin left.
SELECT user_id FROM member WHERE tenant_id = :tenant_id AND role = 'admin' AND removed_ms IS NULL ORDER BY user_id
   FOR UPDATE;

-- actor_names
SELECT user_id, CASE WHEN name <> '' THEN name ELSE email END, 'member' FROM member
 WHERE tenant_id = :tenant_id AND user_id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb))
UNION ALL
SELECT id, name, 'token' FROM token
 WHERE tenant_id = :tenant_id AND id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb));
