-- compatible: a column more.
-- When a source last sent something, to the minute: what is waited for is seen to have come.

ALTER TABLE source ADD COLUMN last_used_ms BIGINT;
