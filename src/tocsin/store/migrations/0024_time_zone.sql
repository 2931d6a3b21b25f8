-- The clock that a tenant goes by, where people look at times together. The name is IANA's.

ALTER TABLE tenant ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';
