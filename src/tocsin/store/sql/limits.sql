-- limits_of_tenant
SELECT limits FROM tenant WHERE id = :tenant_id AND deleted_ms IS NULL;

-- put_limits
UPDATE tenant SET limits = :limits WHERE id = :tenant_id AND deleted_ms IS NULL RETURNING id;

-- events_of_day
-- By the ledger: see ledger.py.
SELECT CAST(coalesce(sum(events), 0) AS BIGINT) FROM day_taken WHERE tenant_id = :tenant_id AND day = :day;

-- stored_events
SELECT CAST((SELECT coalesce(sum(events), 0) FROM day_taken WHERE tenant_id = :tenant_id)
          - (SELECT coalesce(sum(count), 0) FROM day_removed WHERE tenant_id = :tenant_id AND what = 'event') AS BIGINT);

-- count_endpoints
-- Those that follow from preferences are not the people's.
SELECT count(*) FROM endpoint WHERE tenant_id = :tenant_id AND deleted_ms IS NULL AND created_by <> 'preferences';

-- count_rules
SELECT count(*) FROM rule WHERE tenant_id = :tenant_id AND deleted_ms IS NULL;

-- count_tokens
SELECT count(*) FROM token
 WHERE tenant_id = :tenant_id AND revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > :now);

-- count_members
SELECT count(*) FROM member WHERE tenant_id = :tenant_id AND removed_ms IS NULL;

-- count_secrets
SELECT count(*) FROM secret WHERE tenant_id = :tenant_id AND deleted_ms IS NULL;
