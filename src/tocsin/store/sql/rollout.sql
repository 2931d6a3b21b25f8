-- rollouts
SELECT feature, state, tenants, updated_ms, updated_by FROM rollout ORDER BY feature;

-- put_rollout
INSERT INTO rollout (feature, state, tenants, updated_ms, updated_by)
VALUES (:feature, :state, :tenants, :now, :updated_by)
ON CONFLICT (feature) DO UPDATE SET state = excluded.state, tenants = excluded.tenants,
  updated_ms = excluded.updated_ms, updated_by = excluded.updated_by;

-- bump_all_configs
-- Every process compiles what counts for a tenant anew, with the tenant's next event.
UPDATE tenant SET config_version = config_version + 1;
