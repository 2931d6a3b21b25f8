-- applied_migrations
SELECT number, name, checksum FROM migration ORDER BY number;

-- compatible_migrations
SELECT number FROM migration_compatible;

-- get_meta
SELECT value FROM meta WHERE name = :name;

-- put_meta
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING RETURNING value;

-- move_meta
-- Of several that found the same, one gets a row back.
UPDATE meta SET value = :value WHERE name = :name AND value = :old RETURNING value;

-- database_time
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);
