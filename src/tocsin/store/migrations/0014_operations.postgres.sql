-- compatible: a partitioned table is read and written like any other.
-- Attempts in partitions of a day each, UTC, so that old ones go as a file and not row by row. A delivery's id begins with
-- its milliseconds, so the key is what it was. docs/decisions/0010-attempts-in-days.md says why it is this table alone.

DROP VIEW webhook_logs;
ALTER TABLE attempt RENAME TO attempt_before;
ALTER TABLE attempt_before RENAME CONSTRAINT attempt_pkey TO attempt_before_pkey;

CREATE TABLE attempt (
  tenant_id     TEXT NOT NULL,
  delivery_id   TEXT NOT NULL,
  number        BIGINT NOT NULL,
  endpoint_id   TEXT NOT NULL,
  started_ms    BIGINT NOT NULL,
  duration_ms   BIGINT NOT NULL,
  outcome       TEXT NOT NULL CONSTRAINT attempt_outcome_check CHECK (outcome IN ('sent', 'failed', 'rate_limited', 'unknown')),
  http_status   BIGINT,
  error         TEXT NOT NULL,
  response_body TEXT NOT NULL,
  request_body  BYTEA,
  PRIMARY KEY (tenant_id, delivery_id, number)
) PARTITION BY RANGE (delivery_id);

-- What fits nowhere else: a day that nobody made in time, a delivery of long ago that was sent again.
CREATE TABLE attempt_rest PARTITION OF attempt DEFAULT;

-- How the ids of a moment's deliveries begin.
CREATE FUNCTION delivery_id_at(ms BIGINT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
  SELECT 'dlv_' || lpad(to_hex(ms), 12, '0')
$$;

-- Makes the partition of a day. False: it is there, or cannot be made now.
CREATE FUNCTION make_attempt_partition(day_ms BIGINT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
  part TEXT := 'attempt_' || to_char(to_timestamp(day_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
  IF to_regclass(part) IS NOT NULL THEN
    RETURN FALSE;
  END IF;
  PERFORM set_config('lock_timeout', '300ms', TRUE);
  EXECUTE format('CREATE TABLE %I PARTITION OF attempt FOR VALUES FROM (%L) TO (%L)', part, delivery_id_at(day_ms),
                 delivery_id_at(day_ms + 86400000));
  RETURN TRUE;
EXCEPTION
  -- Others use the table; or another process was faster; or attempt_before or attempt_rest hold rows of that day.
  WHEN lock_not_available OR duplicate_table OR unique_violation OR invalid_object_definition OR check_violation THEN
    RETURN FALSE;
END $$;

-- Up to where old attempts are removed row by row: the id that was asked for, or the beginning of its day where that day is
-- a partition, which is dropped when it is over.
CREATE FUNCTION end_of_old_attempts(before TEXT) RETURNS TEXT LANGUAGE plpgsql STABLE AS $$
DECLARE
  day_ms BIGINT := (('x' || lpad(substr(before, 5, 12), 16, '0'))::bit(64)::bigint / 86400000) * 86400000;
BEGIN
  IF to_regclass('attempt_' || to_char(to_timestamp(day_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NULL THEN
    RETURN before;
  END IF;
  RETURN delivery_id_at(day_ms);
END $$;

-- Drops the partitions that end before this moment. What belongs to a delivery that still waits, or that is a dead letter,
-- stays: those rows go to attempt_rest, from where they are removed one by one when their time has come.
CREATE FUNCTION drop_attempt_partitions(before_ms BIGINT) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
  part RECORD;
  dropped INTEGER := 0;
BEGIN
  PERFORM set_config('lock_timeout', '300ms', TRUE);
  FOR part IN
    SELECT c.oid::regclass AS name, substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''(dlv_[0-9a-f]+)') AS first_id,
           substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''(dlv_[0-9a-f]+)') AS end_id
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'attempt'::regclass
  LOOP
    CONTINUE WHEN part.end_id IS NULL OR part.end_id > delivery_id_at(before_ms);
    LOCK TABLE attempt IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TEMPORARY TABLE kept_attempt ON COMMIT DROP AS
                    SELECT a.* FROM delivery d JOIN %s a ON a.tenant_id = d.tenant_id AND a.delivery_id = d.id
                     WHERE d.status IN (''dead'', ''pending'', ''sending'', ''retrying'')
                       AND d.id >= %L AND d.id < %L', part.name, coalesce(part.first_id, ''), part.end_id);
    EXECUTE format('DROP TABLE %s', part.name);
    EXECUTE 'INSERT INTO attempt SELECT * FROM kept_attempt';
    EXECUTE 'DROP TABLE kept_attempt';
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
EXCEPTION WHEN lock_not_available THEN
  RETURN 0;
END $$;

-- What is there stays where it is, as the partition of everything before the day after its newest.
DO $$
DECLARE
  newest TEXT := (SELECT max(delivery_id) FROM attempt_before WHERE delivery_id ~ '^dlv_[0-9a-f]{12}');
  end_ms BIGINT;
  today_ms BIGINT := (extract(epoch FROM now())::bigint / 86400) * 86400000;
BEGIN
  IF newest IS NULL THEN
    INSERT INTO attempt SELECT * FROM attempt_before;
    DROP TABLE attempt_before;
    end_ms := today_ms;
  ELSE
    end_ms := (('x' || lpad(substr(newest, 5, 12), 16, '0'))::bit(64)::bigint / 86400000 + 1) * 86400000;
    EXECUTE format('ALTER TABLE attempt ATTACH PARTITION attempt_before FOR VALUES FROM (MINVALUE) TO (%L)',
                   delivery_id_at(end_ms));
  END IF;
  FOR day IN 0..3 LOOP
    PERFORM make_attempt_partition(greatest(end_ms, today_ms) + day * 86400000);
  END LOOP;
END $$;

CREATE VIEW webhook_logs AS
SELECT a.delivery_id || '/' || a.number AS id, a.tenant_id, a.endpoint_id AS webhook_config_id, e.user_id, d.event_type,
       d.provider_type, e.address_hint AS webhook_url, convert_from(coalesce(a.request_body, d.body), 'UTF8') AS payload,
       CASE a.outcome WHEN 'unknown' THEN 'failed' ELSE a.outcome END AS status, a.http_status AS http_status_code,
       a.response_body, nullif(a.error, '') AS error_message, a.number - 1 AS retry_count,
       CASE WHEN a.outcome = 'sent' THEN to_timestamp((a.started_ms + a.duration_ms) / 1000.0) END AS sent_at,
       to_timestamp(a.started_ms / 1000.0) AS created_at
  FROM attempt a
  JOIN delivery d ON d.tenant_id = a.tenant_id AND d.id = a.delivery_id
  JOIN endpoint e ON e.tenant_id = a.tenant_id AND e.id = a.endpoint_id;
