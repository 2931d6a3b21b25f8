-- stream_news
-- PostgreSQL's way to a list of ids.
SELECT * FROM (SELECT uid, '' AS status, 0::bigint AS attempts FROM event
                WHERE tenant_id = :tenant_id AND uid > :event ORDER BY uid LIMIT :limit) AS events
UNION ALL
SELECT * FROM (SELECT id, status, attempts FROM delivery
                WHERE tenant_id = :tenant_id AND id > :delivery ORDER BY id LIMIT :limit) AS deliveries
UNION ALL
SELECT id, status, attempts FROM delivery
 WHERE tenant_id = :tenant_id AND id IN (SELECT jsonb_array_elements_text(:watched::text::jsonb));
