-- lock_admins
-- Two who lower each other at once: the second waits, and finds one admin left.
SELECT user_id FROM member WHERE tenant_id = :tenant_id AND role = 'admin' AND removed_ms IS NULL ORDER BY user_id
   FOR UPDATE;
