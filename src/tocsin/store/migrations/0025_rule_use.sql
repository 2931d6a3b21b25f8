-- compatible: a table more.
-- When a message last came of a rule, to the minute. Beside the rules: intake writes here, and people write there.

CREATE TABLE rule_use (
  tenant_id TEXT NOT NULL,
  rule_id   TEXT NOT NULL,
  fired_ms  BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, rule_id)
);
INSERT INTO rule_use (tenant_id, rule_id, fired_ms)
SELECT tenant_id, rule_id, max(created_ms) FROM delivery WHERE rule_id LIKE 'rul_%' GROUP BY tenant_id, rule_id;
