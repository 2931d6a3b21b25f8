-- config_version
SELECT config_version FROM tenant WHERE id = :tenant_id;

-- bump_config
UPDATE tenant SET config_version = config_version + 1 WHERE id = :tenant_id;

-- insert_endpoint
INSERT INTO endpoint (tenant_id, id, user_id, provider_type, name, description, address_sealed, address_hint, secret_sealed,
                      headers_sealed, header_names, settings, settings_sealed, options, enabled_events, is_active, created_by, created_ms,
                      updated_ms)
VALUES (:tenant_id, :id, :user_id, :provider_type, :name, :description, :address_sealed, :address_hint, :secret_sealed,
        :headers_sealed, :header_names, :settings, :settings_sealed, :options, :enabled_events, :is_active, :created_by, :now, :now);

-- insert_endpoint_state
INSERT INTO endpoint_state (endpoint_id, tenant_id) VALUES (:id, :tenant_id);

-- get_endpoint
SELECT e.tenant_id, e.id, e.user_id, e.provider_type, e.name, e.description, e.address_hint, e.enabled_events, e.settings,
       e.options, e.header_names, e.is_active, e.disabled_reason, s.consecutive_failures, s.last_used_ms, s.last_error, e.created_by,
       e.created_ms, e.updated_ms
  FROM endpoint e JOIN endpoint_state s ON s.endpoint_id = e.id AND s.tenant_id = e.tenant_id
 WHERE e.tenant_id = :tenant_id AND e.id = :id AND CASE WHEN e.deleted_ms IS NULL THEN 0 ELSE 1 END = :deleted;

-- list_endpoints
SELECT e.tenant_id, e.id, e.user_id, e.provider_type, e.name, e.description, e.address_hint, e.enabled_events, e.settings,
       e.options, e.header_names, e.is_active, e.disabled_reason, s.consecutive_failures, s.last_used_ms, s.last_error, e.created_by,
       e.created_ms, e.updated_ms
  FROM endpoint e JOIN endpoint_state s ON s.endpoint_id = e.id AND s.tenant_id = e.tenant_id
 WHERE e.tenant_id = :tenant_id AND CASE WHEN e.deleted_ms IS NULL THEN 0 ELSE 1 END = :deleted AND e.id > :after
   AND e.created_by <> 'preferences' {filters}
 ORDER BY e.id LIMIT :limit;

-- list_endpoints_by_seen_by
e.user_id IN (:seen_by, '')

-- endpoint_names
-- What lists and choices say of them.
SELECT e.id, e.name, e.provider_type, e.is_active, e.user_id, e.created_by FROM endpoint e
 WHERE e.tenant_id = :tenant_id AND e.deleted_ms IS NULL AND e.id > :after AND e.created_by <> 'preferences' {filters}
 ORDER BY e.id LIMIT :limit;

-- endpoint_names_by_ids
-- A JSON list of them.
e.id IN (SELECT value FROM json_each(:ids))

-- endpoint_names_by_q
-- In small letters.
instr(lower(e.name), :q) > 0

-- endpoint_names_by_seen_by
e.user_id IN (:seen_by, '')

-- hidden_endpoints
-- Those that are gone, too: what went there is kept.
SELECT id FROM endpoint WHERE tenant_id = :tenant_id AND user_id NOT IN (:seen_by, '');

-- list_endpoints_by_provider_type
e.provider_type = :provider_type

-- update_endpoint
UPDATE endpoint SET name = :name, description = :description, settings = :settings, options = :options,
       enabled_events = :enabled_events,
       is_active = :is_active, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- update_address
UPDATE endpoint SET address_sealed = :address_sealed, address_hint = :address_hint, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL;

-- update_headers
UPDATE endpoint SET headers_sealed = :headers_sealed, header_names = :header_names, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL;

-- update_signing_secret
UPDATE endpoint SET secret_sealed = :secret_sealed, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL;

-- update_settings
UPDATE endpoint SET settings_sealed = :settings_sealed, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL;

-- switch_endpoint
UPDATE endpoint SET is_active = :is_active, disabled_reason = :reason, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- disable_endpoint
-- By Tocsin itself. No row comes back when somebody was faster.
UPDATE endpoint SET disabled_reason = :reason, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL AND disabled_reason = ''
   AND (:version = 0 OR version = :version) RETURNING id;

-- delete_endpoint
UPDATE endpoint SET deleted_ms = :now, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- restore_endpoint
UPDATE endpoint SET deleted_ms = NULL, version = version + 1, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NOT NULL RETURNING id;

-- cancel_waiting
-- What is being sent at this moment too: its result comes to nothing.
UPDATE delivery SET status = 'cancelled', reason = :reason, updated_ms = :now, lease = NULL, lease_until_ms = NULL
 WHERE tenant_id = :tenant_id AND endpoint_id = :id AND status IN ('pending', 'sending', 'retrying');

-- clear_failures
UPDATE endpoint_state SET consecutive_failures = 0, notice = '', paused_until_ms = 0, last_error = ''
 WHERE tenant_id = :tenant_id AND endpoint_id = :id;

-- sealed_endpoint
SELECT tenant_id, id, provider_type, address_sealed, secret_sealed, headers_sealed, settings_sealed, settings, options, version
  FROM endpoint
 WHERE tenant_id = :tenant_id AND id = :id;

-- config_endpoints
SELECT e.id, e.user_id, e.provider_type, e.name, e.enabled_events, e.settings, e.options, e.is_active,
       CASE WHEN o.suspended_ms IS NULL AND o.deleted_ms IS NULL THEN e.disabled_reason ELSE 'the tenant is suspended' END,
       e.version, e.created_by
  FROM endpoint e JOIN tenant o ON o.id = e.tenant_id
 WHERE e.tenant_id = :tenant_id AND e.deleted_ms IS NULL ORDER BY e.id;

-- config_rules
SELECT tenant_id, id, name, event_types, pipelines, labels, condition, endpoint_ids, retry, rate_limit, settings, noise, is_active,
       created_by, created_ms, updated_ms
  FROM rule WHERE tenant_id = :tenant_id AND deleted_ms IS NULL AND is_active = 1 ORDER BY id;

-- insert_rule
INSERT INTO rule (tenant_id, id, name, event_types, pipelines, labels, condition, endpoint_ids, retry, rate_limit, settings,
                  noise, is_active, created_by, created_ms, updated_ms)
VALUES (:tenant_id, :id, :name, :event_types, :pipelines, :labels, :condition, :endpoint_ids, :retry, :rate_limit, :settings,
        :noise, :is_active, :created_by, :now, :now);

-- get_rule
SELECT tenant_id, id, name, event_types, pipelines, labels, condition, endpoint_ids, retry, rate_limit, settings, noise, is_active,
       created_by, created_ms, updated_ms
  FROM rule WHERE tenant_id = :tenant_id AND id = :id AND CASE WHEN deleted_ms IS NULL THEN 0 ELSE 1 END = :deleted;

-- list_rules
SELECT tenant_id, id, name, event_types, pipelines, labels, condition, endpoint_ids, retry, rate_limit, settings, noise, is_active,
       created_by, created_ms, updated_ms
  FROM rule
 WHERE tenant_id = :tenant_id AND CASE WHEN deleted_ms IS NULL THEN 0 ELSE 1 END = :deleted AND id > :after {filters}
 ORDER BY id LIMIT :limit;

-- list_rules_by_webhook_id
instr(endpoint_ids, :webhook_id) > 0

-- rules_fired
-- When a message last came of these, a JSON list of ids.
SELECT rule_id, fired_ms FROM rule_use WHERE tenant_id = :tenant_id AND rule_id IN (SELECT value FROM json_each(:ids));

-- list_rule_names
SELECT r.id, r.name, r.is_active, r.endpoint_ids FROM rule r
 WHERE r.tenant_id = :tenant_id AND r.deleted_ms IS NULL AND r.id > :after {filters}
 ORDER BY r.id LIMIT :limit;

-- list_rule_names_by_ids
-- A JSON list of them.
r.id IN (SELECT value FROM json_each(:ids))

-- list_rule_names_by_q
-- In small letters.
instr(lower(r.name), :q) > 0

-- update_rule
UPDATE rule SET name = :name, event_types = :event_types, pipelines = :pipelines, labels = :labels, condition = :condition,
       endpoint_ids = :endpoint_ids, retry = :retry, rate_limit = :rate_limit, settings = :settings, noise = :noise,
       is_active = :is_active, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- delete_rule
UPDATE rule SET deleted_ms = :now, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NULL RETURNING id;

-- restore_rule
UPDATE rule SET deleted_ms = NULL, updated_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND deleted_ms IS NOT NULL RETURNING id;
