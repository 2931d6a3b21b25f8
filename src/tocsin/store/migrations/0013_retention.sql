-- What was taken in and what was removed, by the day that the ids carry: see store/ledger.py.

CREATE TABLE day_taken (
  tenant_id  TEXT NOT NULL,
  day        BIGINT NOT NULL,  -- days since 1970-01-01, UTC
  writer     TEXT NOT NULL,    -- each writer has its own row, so that none waits for another; old days are summed up
  events     BIGINT NOT NULL,
  unheard    BIGINT NOT NULL,  -- of them, events that lead to no delivery
  deliveries BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, day, writer)
);

CREATE TABLE day_removed (
  tenant_id TEXT NOT NULL,
  day       BIGINT NOT NULL,
  what      TEXT NOT NULL,     -- 'event', or what a delivery had become
  count     BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, day, what)
);

-- What was there before is not counted.
INSERT INTO meta (name, value) SELECT 'uncounted_until', max(uid) FROM event HAVING max(uid) IS NOT NULL;

