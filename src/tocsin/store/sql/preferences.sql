-- config_preferences
SELECT user_id, settings FROM preference WHERE tenant_id = :tenant_id ORDER BY user_id;

-- get_preference
SELECT settings FROM preference WHERE tenant_id = :tenant_id AND user_id = :user_id;

-- list_preferences
SELECT user_id, settings FROM preference WHERE tenant_id = :tenant_id AND user_id > :after ORDER BY user_id LIMIT :limit;

-- put_preference
INSERT INTO preference (tenant_id, user_id, settings, updated_ms) VALUES (:tenant_id, :user_id, :settings, :now)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET settings = excluded.settings, updated_ms = excluded.updated_ms;

-- preference_endpoints
SELECT id, provider_type, settings, created_by, is_active = 1 AND disabled_reason = '' FROM endpoint
 WHERE tenant_id = :tenant_id AND deleted_ms IS NULL AND created_by IN ('preferences', 'environment') ORDER BY id;

-- delivery_log
-- What was tried. A message that is tried again has failed so far.
SELECT d.id, d.event_type, d.provider_type, d.status, d.error, d.reason, d.created_ms FROM delivery d
 WHERE d.tenant_id = :tenant_id {filters}
 ORDER BY d.id DESC LIMIT :limit OFFSET :offset;

-- delivery_log_by_tried
d.status IN ('delivered', 'dead', 'expired', 'retrying')

-- delivery_log_by_success
d.status = 'delivered'

-- delivery_log_by_failed
d.status IN ('dead', 'expired', 'retrying')

-- delivery_log_by_event_type
lower(d.event_type) LIKE :event_type ESCAPE '!'

-- delivery_log_total
SELECT count(*) FROM (SELECT 1 AS one FROM delivery d WHERE d.tenant_id = :tenant_id {filters} LIMIT :most) x;

-- delivery_log_total_by_tried
d.status IN ('delivered', 'dead', 'expired', 'retrying')

-- delivery_log_total_by_success
d.status = 'delivered'

-- delivery_log_total_by_failed
d.status IN ('dead', 'expired', 'retrying')

-- delivery_log_total_by_event_type
lower(d.event_type) LIKE :event_type ESCAPE '!'
