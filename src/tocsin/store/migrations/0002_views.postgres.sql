-- For people who look with SQL. Addresses show their last ten characters only.
CREATE VIEW webhook_configurations AS
SELECT e.id, e.tenant_id, e.user_id, e.provider_type, e.address_hint AS webhook_url, e.name, e.description,
       e.is_active = 1 AND e.disabled_reason = '' AS is_active, e.enabled_events::jsonb AS enabled_events,
       e.settings::jsonb AS settings, to_timestamp(s.last_used_ms / 1000.0) AS last_used_at, s.last_error,
       s.consecutive_failures, to_timestamp(e.created_ms / 1000.0) AS created_at,
       to_timestamp(e.updated_ms / 1000.0) AS updated_at
  FROM endpoint e JOIN endpoint_state s ON s.endpoint_id = e.id AND s.tenant_id = e.tenant_id
 WHERE e.deleted_ms IS NULL;

CREATE VIEW webhook_logs AS
SELECT a.delivery_id || '/' || a.number AS id, a.tenant_id, a.endpoint_id AS webhook_config_id, e.user_id, d.event_type,
       d.provider_type, e.address_hint AS webhook_url, convert_from(coalesce(a.request_body, d.body), 'UTF8') AS payload,
       CASE a.outcome WHEN 'unknown' THEN 'failed' ELSE a.outcome END AS status, a.http_status AS http_status_code,
       a.response_body, nullif(a.error, '') AS error_message, a.number - 1 AS retry_count,
       CASE WHEN a.outcome = 'sent' THEN to_timestamp((a.started_ms + a.duration_ms) / 1000.0) END AS sent_at,
       to_timestamp(a.started_ms / 1000.0) AS created_at
  FROM attempt a
  JOIN delivery d ON d.tenant_id = a.tenant_id AND d.id = a.delivery_id
  JOIN endpoint e ON e.tenant_id = a.tenant_id AND e.id = a.endpoint_id;
