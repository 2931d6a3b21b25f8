-- Which runs another started; and when the runs of a pipeline began, or ended where nobody said when: what schedules ask.

CREATE INDEX run_parent ON run (tenant_id, parent_run_id, id) WHERE parent_run_id <> '';
CREATE INDEX run_started ON run (tenant_id, pipeline, started_ms) WHERE started_ms IS NOT NULL;
CREATE INDEX run_unstarted ON run (tenant_id, pipeline, finished_ms) WHERE started_ms IS NULL AND finished_ms IS NOT NULL;
