"""The ends of the audit trails go to the log: what is there is out of reach for whoever cuts a trail in the store."""

from typing import Any

import structlog

from tocsin.store import audit
from tocsin.store.database import Database

EVERY_MS = 3_600_000
log = structlog.get_logger()


class AuditHeads:
    """Logs the head of every trail that has moved, every hour and at each start."""

    def __init__(self) -> None:
        self.next_ms = 0
        self.logged: dict[str, str] = {}

    async def tell(self, db: Database, now_ms: int, accept: Any) -> None:
        if now_ms < self.next_ms:
            return
        self.next_ms = now_ms + EVERY_MS
        for tenant_id, head in (await audit.heads(db)).items():
            if self.logged.get(tenant_id) != str(head):
                self.logged[tenant_id] = str(head)
                log.info("audit.head", tenant=tenant_id, head=str(head))
