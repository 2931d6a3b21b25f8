-- make_attempt_partition
SELECT make_attempt_partition(:day_ms::bigint);

-- delete_old_attempts
-- Not out of a day that will be dropped as a whole: `end_of_old_attempts` is where that day begins.
DELETE FROM attempt WHERE (tenant_id, delivery_id, number) IN (
  SELECT a.tenant_id, a.delivery_id, a.number FROM attempt a
   WHERE a.tenant_id = :tenant_id AND a.delivery_id < end_of_old_attempts(:before)
     AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.tenant_id = a.tenant_id AND d.id = a.delivery_id
                        AND (d.status IN ('pending', 'sending', 'retrying')
                             OR (d.status = 'dead' AND d.id >= :dead_before)))
   LIMIT :limit) RETURNING number;

-- drop_attempt_partitions
SELECT drop_attempt_partitions(:before_ms::bigint);
