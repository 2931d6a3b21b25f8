-- list_events_by_uids
uid IN (SELECT jsonb_array_elements_text(:uids::text::jsonb))

-- list_deliveries_by_ids
d.id IN (SELECT jsonb_array_elements_text(:ids::text::jsonb))

-- list_runs_by_keys
(pipeline, run_id) IN (SELECT one ->> 0, one ->> 1 FROM jsonb_array_elements(:keys::text::jsonb) AS one)
