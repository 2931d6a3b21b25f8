-- insert_inbox
INSERT INTO inbox (tenant_id, id, user_id, title, text, tone, url, created_ms)
VALUES (:tenant_id, :id, :user_id, :title, :text, :tone, :url, :now) ON CONFLICT DO NOTHING;

-- list_inbox
SELECT id, title, text, tone, url, created_ms, read_ms FROM inbox
 WHERE tenant_id = :tenant_id AND user_id = :user_id AND id < :before ORDER BY id DESC LIMIT :limit;

-- list_unread
SELECT id, title, text, tone, url, created_ms, read_ms FROM inbox
 WHERE tenant_id = :tenant_id AND user_id = :user_id AND read_ms IS NULL AND id < :before ORDER BY id DESC LIMIT :limit;

-- count_unread
SELECT count(*) FROM inbox WHERE tenant_id = :tenant_id AND user_id = :user_id AND read_ms IS NULL;

-- find_inbox
SELECT 1 FROM inbox WHERE tenant_id = :tenant_id AND user_id = :user_id AND id = :id;

-- read_one
UPDATE inbox SET read_ms = :now
 WHERE tenant_id = :tenant_id AND user_id = :user_id AND id = :id AND read_ms IS NULL RETURNING id;

-- read_all
UPDATE inbox SET read_ms = :now WHERE tenant_id = :tenant_id AND user_id = :user_id AND read_ms IS NULL RETURNING id;

-- delete_old_inbox
DELETE FROM inbox WHERE (tenant_id, id) IN (
  SELECT tenant_id, id FROM inbox WHERE tenant_id = :tenant_id AND id < :before LIMIT :limit) RETURNING id;
