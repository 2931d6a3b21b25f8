-- endpoint_names_by_ids
e.id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb))

-- endpoint_names_by_q
strpos(lower(e.name), :q) > 0

-- list_rule_names_by_ids
r.id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb))

-- list_rule_names_by_q
strpos(lower(r.name), :q) > 0

-- list_rules_by_webhook_id
strpos(endpoint_ids, :webhook_id) > 0

-- rules_fired
SELECT rule_id, fired_ms FROM rule_use
 WHERE tenant_id = :tenant_id AND rule_id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb));
