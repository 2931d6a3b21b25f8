-- compatible: an index more.
-- The events of a run, however long ago it was and whatever came meanwhile.

CREATE INDEX event_run ON event (tenant_id, run_id, uid) WHERE run_id <> '';
