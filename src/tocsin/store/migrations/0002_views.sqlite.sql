-- For people who look with SQL. Addresses show their last ten characters only.
CREATE VIEW webhook_configurations AS
SELECT e.id, e.tenant_id, e.user_id, e.provider_type, e.address_hint AS webhook_url, e.name, e.description,
       e.is_active = 1 AND e.disabled_reason = '' AS is_active, e.enabled_events, e.settings,
       strftime('%Y-%m-%d %H:%M:%f', s.last_used_ms / 1000.0, 'unixepoch') AS last_used_at, s.last_error, s.consecutive_failures,
       strftime('%Y-%m-%d %H:%M:%f', e.created_ms / 1000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%d %H:%M:%f', e.updated_ms / 1000.0, 'unixepoch') AS updated_at
  FROM endpoint e JOIN endpoint_state s ON s.endpoint_id = e.id AND s.tenant_id = e.tenant_id
 WHERE e.deleted_ms IS NULL;

CREATE VIEW webhook_logs AS
SELECT a.delivery_id || '/' || a.number AS id, a.tenant_id, a.endpoint_id AS webhook_config_id, e.user_id, d.event_type,
       d.provider_type, e.address_hint AS webhook_url, CAST(coalesce(a.request_body, d.body) AS TEXT) AS payload,
       CASE a.outcome WHEN 'unknown' THEN 'failed' ELSE a.outcome END AS status, a.http_status AS http_status_code,
       a.response_body, nullif(a.error, '') AS error_message, a.number - 1 AS retry_count,
       CASE WHEN a.outcome = 'sent' THEN strftime('%Y-%m-%d %H:%M:%f', (a.started_ms + a.duration_ms) / 1000.0, 'unixepoch') END
         AS sent_at,
       strftime('%Y-%m-%d %H:%M:%f', a.started_ms / 1000.0, 'unixepoch') AS created_at
  FROM attempt a
  JOIN delivery d ON d.tenant_id = a.tenant_id AND d.id = a.delivery_id
  JOIN endpoint e ON e.tenant_id = a.tenant_id AND e.id = a.endpoint_id;
