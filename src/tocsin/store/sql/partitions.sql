-- make_attempt_partition
-- SQLite has no partitions: there is never one to make or to drop.
SELECT 0 WHERE :day_ms < 0;

-- drop_attempt_partitions
SELECT 0 WHERE :before_ms < 0;
