-- What people write about a silence for each other, and how many of the hidden messages were told of when it ended.

ALTER TABLE silence ADD COLUMN comment TEXT NOT NULL DEFAULT '';
ALTER TABLE hidden ADD COLUMN told BIGINT NOT NULL DEFAULT 0;
CREATE INDEX hidden_untold ON hidden (tenant_id, silence_id) WHERE count > told;

-- With run_history, which holds the good ones: how the last runs of a pipeline ended.
CREATE INDEX run_trouble ON run (tenant_id, pipeline, finished_ms) WHERE finished_ms IS NOT NULL AND status <> 'succeeded';
