-- compatible: an index more, for looking up.
-- Deliveries that did not simply get there, by their state, the newest first. What is delivered at once, as most are, is not
-- in it and costs nothing. SQLite uses it where a query says its condition word for word.

CREATE INDEX delivery_state ON delivery (tenant_id, status, id)
 WHERE status IN ('retrying', 'expired', 'cancelled', 'suppressed');
