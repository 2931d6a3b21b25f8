-- insert_silence
INSERT INTO silence (tenant_id, id, matchers, hours, starts_ms, ends_ms, reason, comment, created_by, created_ms)
VALUES (:tenant_id, :id, :matchers, :hours, :starts_ms, :ends_ms, :reason, :comment, :created_by, :now);

-- config_silences
SELECT id, matchers, hours, starts_ms, ends_ms, reason, created_by FROM silence
 WHERE tenant_id = :tenant_id AND ended_ms IS NULL ORDER BY id;

-- count_silences
SELECT count(*) FROM silence WHERE tenant_id = :tenant_id AND ended_ms IS NULL;

-- list_silences
SELECT s.id, s.matchers, s.hours, s.starts_ms, s.ends_ms, s.reason, s.created_by, s.comment, s.created_ms,
       (SELECT CAST(coalesce(sum(h.count), 0) AS BIGINT) FROM hidden h WHERE h.tenant_id = s.tenant_id AND h.silence_id = s.id)
  FROM silence s WHERE s.tenant_id = :tenant_id AND s.id < :before {filters}
 ORDER BY s.id DESC LIMIT :limit;

-- list_silences_by_id
s.id = :id

-- list_silences_by_open
(s.ends_ms IS NULL OR s.ends_ms > :open)

-- list_silences_by_ended
s.ends_ms <= :ended

-- update_silence
UPDATE silence SET matchers = :matchers, hours = :hours, ends_ms = :ends_ms, reason = :reason, comment = :comment
 WHERE tenant_id = :tenant_id AND id = :id AND ended_ms IS NULL AND (ends_ms IS NULL OR ends_ms > :now) RETURNING id;

-- end_silence
UPDATE silence SET ends_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND ended_ms IS NULL AND (ends_ms IS NULL OR ends_ms > :now) RETURNING id;

-- due_silences
-- Those that are over, and those that come back and have hidden something that nobody was told of; the others cost nothing.
-- CROSS JOIN has SQLite begin with the few.
SELECT s.tenant_id, s.id, s.matchers, s.hours, s.starts_ms, s.ends_ms, s.reason, s.created_by
  FROM (SELECT tenant_id, id FROM silence WHERE ended_ms IS NULL AND ends_ms <= :now
        UNION ALL
        SELECT DISTINCT h.tenant_id, h.silence_id FROM hidden h
          JOIN silence r ON r.tenant_id = h.tenant_id AND r.id = h.silence_id
         WHERE h.count > h.told AND r.ended_ms IS NULL AND r.hours <> '[]' AND coalesce(r.ends_ms > :now, true)) due
  CROSS JOIN silence s
 WHERE s.tenant_id = due.tenant_id AND s.id = due.id AND s.id > :after ORDER BY s.id LIMIT :limit;

-- untold_hidden
SELECT endpoint_id, count, told FROM hidden
 WHERE tenant_id = :tenant_id AND silence_id = :silence_id AND count > told ORDER BY endpoint_id;

-- hidden_messages
-- The newest that this silence kept from this endpoint, by what they were about.
SELECT x.kind, x.pipeline, count(*) FROM (
  SELECT e.kind, e.pipeline FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
   WHERE d.tenant_id = :tenant_id AND d.endpoint_id = :endpoint_id AND d.id > :since AND d.status = 'suppressed'
     AND d.reason LIKE :reason
   ORDER BY d.id DESC LIMIT :limit) x
 GROUP BY x.kind, x.pipeline ORDER BY 3 DESC, 1, 2;

-- note_told
UPDATE hidden SET told = :count
 WHERE tenant_id = :tenant_id AND silence_id = :silence_id AND endpoint_id = :endpoint_id AND told < :count RETURNING count;

-- finish_silence
UPDATE silence SET ended_ms = :now
 WHERE tenant_id = :tenant_id AND id = :id AND ended_ms IS NULL AND ends_ms <= :now RETURNING id;

-- sent_lately
-- For a silence that is being thought about: what went out, newest first.
SELECT d.rule_id, d.endpoint_id, d.created_ms, e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline,
       e.run_id, e.stage, e.time_ms, e.received_ms, e.content
  FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.uid = d.event_uid
 WHERE d.tenant_id = :tenant_id AND d.id > :since AND d.status <> 'suppressed'
 ORDER BY d.id DESC LIMIT :limit;

-- delete_old_hidden
DELETE FROM hidden WHERE (tenant_id, silence_id) IN (SELECT tenant_id, id FROM silence WHERE ended_ms < :before_ms)
RETURNING silence_id;

-- delete_old_silences
DELETE FROM silence WHERE (tenant_id, id) IN (
  SELECT tenant_id, id FROM silence WHERE ended_ms < :before_ms LIMIT :limit) RETURNING id;
