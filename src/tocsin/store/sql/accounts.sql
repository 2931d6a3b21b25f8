-- any_account
SELECT user_id FROM account LIMIT 1;

-- any_token
SELECT id FROM token LIMIT 1;

-- account_by_email
SELECT user_id, email, name, password, home_tenant, is_operator, issuer, subject FROM account WHERE email = :email;

-- account_by_id
SELECT user_id, email, name, password, home_tenant, is_operator, issuer, subject FROM account WHERE user_id = :user_id;

-- account_by_subject
SELECT user_id, email, name, password, home_tenant, is_operator, issuer, subject FROM account
 WHERE issuer = :issuer AND subject = :subject;

-- insert_account
INSERT INTO account (user_id, email, name, password, home_tenant, is_operator, issuer, subject, created_ms, password_ms)
VALUES (:user_id, :email, :name, :password, :home_tenant, :is_operator, :issuer, :subject, :now, :password_ms)
ON CONFLICT DO NOTHING RETURNING user_id;

-- set_password
UPDATE account SET password = :password, password_ms = :now WHERE user_id = :user_id RETURNING user_id;

-- vouch
UPDATE account SET home_tenant = '' WHERE user_id = :user_id;

-- set_subject
UPDATE account SET issuer = :issuer, subject = :subject WHERE user_id = :user_id RETURNING user_id;

-- memberships
-- A tenant's admins choose the ids of its members, and any id: so the address has to be the account's as well, and where
-- only another tenant's admin vouched for that, it does not count.
SELECT m.tenant_id, t.name, m.role, t.time_zone FROM account a
  JOIN member m ON m.user_id = a.user_id AND lower(m.email) = a.email AND a.home_tenant IN ('', m.tenant_id)
       AND m.removed_ms IS NULL
  JOIN tenant t ON t.id = m.tenant_id AND t.deleted_ms IS NULL
 WHERE a.user_id = :user_id ORDER BY t.created_ms, t.id;

-- insert_session
INSERT INTO session (hash, id, user_id, tenant_id, role, how, address, agent, created_ms, seen_ms, ends_ms)
VALUES (:hash, :id, :user_id, :tenant_id, :role, :how, :address, :agent, :now, :now, :ends_ms);

-- find_session
SELECT s.id, s.user_id, s.tenant_id, s.role, s.how, s.seen_ms, s.ends_ms, a.email, a.name, a.is_operator, m.role,
       t.suspended_ms, t.deleted_ms
  FROM session s
  JOIN account a ON a.user_id = s.user_id
  JOIN tenant t ON t.id = s.tenant_id
  LEFT JOIN member m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id AND lower(m.email) = a.email
       AND a.home_tenant IN ('', m.tenant_id) AND m.removed_ms IS NULL
 WHERE s.hash = :hash;

-- touch_session
UPDATE session SET seen_ms = :now WHERE hash = :hash AND seen_ms < :now;

-- list_sessions
SELECT id, tenant_id, how, address, agent, created_ms, seen_ms, ends_ms FROM session
 WHERE user_id = :user_id AND seen_ms > :idle_before AND ends_ms > :now ORDER BY seen_ms DESC, id;

-- end_session
DELETE FROM session WHERE hash = :hash RETURNING id;

-- end_one_session
DELETE FROM session WHERE user_id = :user_id AND id = :id RETURNING id;

-- end_other_sessions
DELETE FROM session WHERE user_id = :user_id AND id <> :id RETURNING id;

-- insert_link
INSERT INTO one_time_link (hash, kind, user_id, email, name, tenant_id, expires_ms)
VALUES (:hash, :kind, :user_id, :email, :name, :tenant_id, :expires_ms);

-- find_link
SELECT user_id, email, name, tenant_id FROM one_time_link WHERE hash = :hash AND kind = :kind AND expires_ms > :now;

-- take_link
DELETE FROM one_time_link WHERE hash = :hash AND kind = :kind AND expires_ms > :now RETURNING user_id, email, name, tenant_id;

-- drop_links
-- Of several links to one thing, the first that is used ends the others.
DELETE FROM one_time_link WHERE kind = :kind AND user_id = :user_id;

-- pace_of
SELECT tat_ms FROM sign_in_pace WHERE key = :key;

-- take_pace
-- One try more, if the tries so far leave room for it: `tat_ms` is when they are paid off.
INSERT INTO sign_in_pace (key, tat_ms) VALUES (:key, CAST(:now AS BIGINT) + CAST(:every_ms AS BIGINT))
ON CONFLICT (key) DO UPDATE
   SET tat_ms = CASE WHEN sign_in_pace.tat_ms > :now THEN sign_in_pace.tat_ms ELSE :now END + :every_ms
 WHERE sign_in_pace.tat_ms <= CAST(:now AS BIGINT) + CAST(:room_ms AS BIGINT)
RETURNING tat_ms;

-- give_pace_back
UPDATE sign_in_pace SET tat_ms = tat_ms - :every_ms WHERE key = :key;

-- clear_pace
DELETE FROM sign_in_pace WHERE key = :key;

-- use_state
INSERT INTO used_state (hash, expires_ms) VALUES (:hash, :expires_ms) ON CONFLICT (hash) DO NOTHING RETURNING expires_ms;

-- delete_old_sessions
DELETE FROM session WHERE ends_ms <= :now;

-- delete_old_links
DELETE FROM one_time_link WHERE expires_ms <= :now;

-- delete_old_paces
DELETE FROM sign_in_pace WHERE tat_ms <= :now;

-- delete_old_states
DELETE FROM used_state WHERE expires_ms <= :now;

-- member_role
SELECT role, removed_ms FROM member WHERE tenant_id = :tenant_id AND user_id = :user_id;

-- members_by_email
SELECT DISTINCT user_id FROM member WHERE lower(email) = :email AND removed_ms IS NULL
   AND user_id NOT IN (SELECT user_id FROM account);

-- fill_member_email
UPDATE member SET email = :email WHERE user_id = :user_id AND email = '' AND removed_ms IS NULL;
