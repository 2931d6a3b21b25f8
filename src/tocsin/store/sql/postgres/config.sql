-- endpoint_names_by_q
strpos(lower(e.name), :q) > 0

-- list_rule_names_by_q
strpos(lower(r.name), :q) > 0

-- list_rules_by_webhook_id
strpos(endpoint_ids, :webhook_id) > 0
