-- stream_ends
-- Where the tenant's events and deliveries end at present; '' where there are none.
SELECT coalesce((SELECT uid FROM event WHERE tenant_id = :tenant_id ORDER BY uid DESC LIMIT 1), ''),
       coalesce((SELECT id FROM delivery WHERE tenant_id = :tenant_id ORDER BY id DESC LIMIT 1), '');

-- stream_waiting
-- Deliveries that will change: by endpoint, because that is how they are indexed.
SELECT d.id FROM endpoint e JOIN delivery d ON d.endpoint_id = e.id AND d.status = 'pending'
 WHERE e.tenant_id = :tenant_id
UNION ALL
SELECT d.id FROM endpoint e JOIN delivery d ON d.endpoint_id = e.id AND d.status = 'retrying'
 WHERE e.tenant_id = :tenant_id
 LIMIT :limit;

-- stream_news
-- All that is new since these, and the state of the deliveries that are watched (a JSON list of ids).
SELECT * FROM (SELECT uid, '' AS status, 0 AS attempts FROM event
                WHERE tenant_id = :tenant_id AND uid > :event ORDER BY uid LIMIT :limit) AS events
UNION ALL
SELECT * FROM (SELECT id, status, attempts FROM delivery
                WHERE tenant_id = :tenant_id AND id > :delivery ORDER BY id LIMIT :limit) AS deliveries
UNION ALL
SELECT id, status, attempts FROM delivery
 WHERE tenant_id = :tenant_id AND id IN (SELECT value FROM json_each(:watched));

-- stream_missed
-- Deliveries made since `first` that changed since `since`, of the newest ones.
SELECT id, status, attempts FROM (SELECT id, status, attempts, updated_ms FROM delivery
                WHERE tenant_id = :tenant_id AND id > :first ORDER BY id DESC LIMIT :most) AS newest
 WHERE updated_ms >= :since LIMIT :limit;
