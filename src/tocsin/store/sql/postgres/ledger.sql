-- count_taken
INSERT INTO day_taken (tenant_id, day, writer, events, unheard, deliveries)
SELECT * FROM unnest(:tenant_id::text[], :day::bigint[], :writer::text[], :events::bigint[], :unheard::bigint[],
                     :deliveries::bigint[])
ON CONFLICT (tenant_id, day, writer) DO UPDATE SET events = day_taken.events + excluded.events,
  unheard = day_taken.unheard + excluded.unheard, deliveries = day_taken.deliveries + excluded.deliveries;

-- count_removed
INSERT INTO day_removed (tenant_id, day, what, count)
SELECT * FROM unnest(:tenant_id::text[], :day::bigint[], :what::text[], :count::bigint[])
ON CONFLICT (tenant_id, day, what) DO UPDATE SET count = day_removed.count + excluded.count;
