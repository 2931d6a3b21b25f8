-- count_taken
INSERT INTO day_taken (tenant_id, day, writer, events, unheard, deliveries)
VALUES (:tenant_id, :day, :writer, :events, :unheard, :deliveries)
ON CONFLICT (tenant_id, day, writer) DO UPDATE SET events = day_taken.events + excluded.events,
  unheard = day_taken.unheard + excluded.unheard, deliveries = day_taken.deliveries + excluded.deliveries;

-- count_removed
INSERT INTO day_removed (tenant_id, day, what, count) VALUES (:tenant_id, :day, :what, :count)
ON CONFLICT (tenant_id, day, what) DO UPDATE SET count = day_removed.count + excluded.count;

-- take_finished_days
-- Of all tenants; whoever gets the rows sums them up.
DELETE FROM day_taken WHERE day < :before_day AND writer <> '' RETURNING tenant_id, day, events, unheard, deliveries;

-- delete_old_days
DELETE FROM day_taken WHERE day < :before_day;

-- delete_old_removed
DELETE FROM day_removed WHERE day < :before_day;

-- counted_days
SELECT day FROM day_taken WHERE tenant_id = :tenant_id AND day >= :first_day
UNION SELECT day FROM day_removed WHERE tenant_id = :tenant_id AND day >= :first_day;

-- counted_rows
SELECT CAST(coalesce(sum(events + deliveries), 0) AS BIGINT) FROM day_taken
 WHERE tenant_id = :tenant_id AND day >= :first_day AND day < :end_day;

-- reconcile
-- One statement, so that all of it is of one moment.
SELECT 'taken' AS what, CAST(coalesce(sum(events), 0) AS BIGINT) AS events,
       CAST(coalesce(sum(unheard), 0) AS BIGINT) AS unheard, CAST(coalesce(sum(deliveries), 0) AS BIGINT) AS deliveries
  FROM day_taken WHERE tenant_id = :tenant_id AND day >= :first_day AND day < :end_day
UNION ALL
SELECT 'event', count(*), 0, 0 FROM event WHERE tenant_id = :tenant_id AND uid >= :first_event AND uid < :end_event
UNION ALL
SELECT 'removed ' || what, CAST(sum(count) AS BIGINT), 0, 0
  FROM day_removed WHERE tenant_id = :tenant_id AND day >= :first_day AND day < :end_day GROUP BY what
UNION ALL
SELECT CASE WHEN status = 'suppressed' AND folded_into <> '' THEN 'folded' ELSE status END, count(*), 0, 0
  FROM delivery WHERE tenant_id = :tenant_id AND id >= :first_delivery AND id < :end_delivery GROUP BY 1;
