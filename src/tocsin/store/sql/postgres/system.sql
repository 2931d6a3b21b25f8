-- server_version
SELECT current_setting('server_version_num');

-- durability_settings
SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes');

-- database_time
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
