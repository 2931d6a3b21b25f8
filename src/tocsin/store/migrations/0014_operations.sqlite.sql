-- compatible: nothing changes here. SQLite has no partitions; PostgreSQL gets them with this number.
SELECT 1;
