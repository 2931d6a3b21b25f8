-- Which runs another started; and when the runs of a pipeline began, which schedules ask.

CREATE INDEX run_parent ON run (tenant_id, parent_run_id, id) WHERE parent_run_id <> '';
CREATE INDEX run_started ON run (tenant_id, pipeline, started_ms) WHERE started_ms IS NOT NULL;
