-- insert_tenant
INSERT INTO tenant (id, name, created_ms) VALUES (:id, :name, :now) ON CONFLICT (id) DO NOTHING RETURNING id;

-- get_tenant
SELECT id, name, created_ms, suspended_ms, time_zone FROM tenant WHERE id = :id AND deleted_ms IS NULL;

-- list_tenants
SELECT id, name, created_ms, suspended_ms, time_zone FROM tenant WHERE id > :after AND deleted_ms IS NULL AND id <> :but
 ORDER BY id LIMIT :limit;

-- rename_tenant
UPDATE tenant SET name = :name WHERE id = :id AND deleted_ms IS NULL RETURNING id;

-- set_time_zone
UPDATE tenant SET time_zone = :time_zone WHERE id = :id AND deleted_ms IS NULL RETURNING id;

-- suspend_tenant
UPDATE tenant SET suspended_ms = coalesce(suspended_ms, :now) WHERE id = :id AND deleted_ms IS NULL RETURNING id;

-- resume_tenant
UPDATE tenant SET suspended_ms = NULL WHERE id = :id AND deleted_ms IS NULL RETURNING id;

-- delete_tenant
UPDATE tenant SET deleted_ms = :now WHERE id = :id AND deleted_ms IS NULL RETURNING id;

-- wake_tenant
-- What waited while it was suspended.
UPDATE endpoint_state SET next_ms = :now WHERE tenant_id = :tenant_id;

-- insert_token
INSERT INTO token (tenant_id, id, name, user_id, role, scopes, hash, hint, created_ms, created_by, expires_ms)
VALUES (:tenant_id, :id, :name, :user_id, :role, :scopes, :hash, :hint, :now, :created_by, :expires_ms);

-- find_token
-- Without a tenant: the token is what names it. One that was rotated holds for a while under its old hash, too.
SELECT t.tenant_id, t.id, t.user_id, t.role, t.scopes, t.expires_ms, t.revoked_ms, t.last_used_ms,
       CASE WHEN t.hash = :hash THEN NULL ELSE t.old_until_ms END, o.suspended_ms, o.deleted_ms, m.role, m.removed_ms
  FROM token t JOIN tenant o ON o.id = t.tenant_id
  LEFT JOIN member m ON m.tenant_id = t.tenant_id AND m.user_id = t.user_id
 WHERE t.hash = :hash OR t.old_hash = :hash;

-- note_token_use
UPDATE token SET last_used_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND coalesce(last_used_ms < :now, true);

-- list_tokens
SELECT id, name, user_id, role, scopes, hint, created_ms, created_by, expires_ms, revoked_ms, last_used_ms FROM token
 WHERE tenant_id = :tenant_id AND id > :after {filters} ORDER BY id LIMIT :limit;

-- list_tokens_by_id
id = :id

-- list_tokens_by_owner
user_id = :owner

-- list_tokens_by_mine
(id = :mine OR (user_id = :user_id AND user_id <> ''))

-- rotate_token
UPDATE token SET old_hash = hash, old_until_ms = :old_until_ms, hash = :hash, hint = :hint, expires_ms = :expires_ms
 WHERE tenant_id = :tenant_id AND id = :id AND revoked_ms IS NULL RETURNING id;

-- revoke_token
UPDATE token SET revoked_ms = :now WHERE tenant_id = :tenant_id AND id = :id AND revoked_ms IS NULL RETURNING id;

-- revoke_tokens_of
UPDATE token SET revoked_ms = :now WHERE tenant_id = :tenant_id AND user_id = :user_id AND revoked_ms IS NULL RETURNING id;

-- insert_member
-- One who was removed comes back; no row comes back for one who is there.
INSERT INTO member (tenant_id, user_id, role, email, name, created_ms, updated_ms)
VALUES (:tenant_id, :user_id, :role, :email, :name, :now, :now)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role, email = excluded.email, name = excluded.name,
  updated_ms = excluded.updated_ms, removed_ms = NULL WHERE member.removed_ms IS NOT NULL
RETURNING user_id;

-- get_member
SELECT user_id, role, email, name, created_ms, updated_ms FROM member
 WHERE tenant_id = :tenant_id AND user_id = :user_id AND removed_ms IS NULL;

-- list_members
SELECT user_id, role, email, name, created_ms, updated_ms FROM member
 WHERE tenant_id = :tenant_id AND user_id > :after AND removed_ms IS NULL ORDER BY user_id LIMIT :limit;

-- actor_names
-- Members, who may have gone since, and tokens. A JSON list of ids.
SELECT user_id, CASE WHEN name <> '' THEN name ELSE email END, 'member' FROM member
 WHERE tenant_id = :tenant_id AND user_id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT id, name, 'token' FROM token WHERE tenant_id = :tenant_id AND id IN (SELECT value FROM json_each(:ids));

-- lock_admins
-- SQLite has one writer.
SELECT user_id FROM member WHERE tenant_id = :tenant_id AND role = 'admin' AND removed_ms IS NULL ORDER BY user_id;

-- update_member
UPDATE member SET role = :role, email = :email, name = :name, updated_ms = :now
 WHERE tenant_id = :tenant_id AND user_id = :user_id AND removed_ms IS NULL RETURNING user_id;

-- remove_member
UPDATE member SET removed_ms = :now, updated_ms = :now
 WHERE tenant_id = :tenant_id AND user_id = :user_id AND removed_ms IS NULL RETURNING user_id;
