"""Messages for people in Tocsin itself."""

from typing import Any

from tocsin.model.delivery import Delivery
from tocsin.model.wire import InboxRequest
from tocsin.store.database import Database


async def keep(db: Database, delivery: Delivery, request: InboxRequest, now_ms: int) -> None:
    """Once, however often the delivery is tried."""
    async with db.transaction() as tx:
        await tx.fetch(
            "insert_inbox",
            {
                "tenant_id": delivery.tenant_id,
                "id": delivery.id,
                "user_id": request.user_id,
                "title": request.title,
                "text": request.text,
                "tone": request.tone,
                "url": request.url,
                "now": now_ms,
            },
        )


async def list_(
    db: Database, tenant_id: str, user_id: str, *, before: str, limit: int, only_unread: bool
) -> list[dict[str, Any]]:
    """Newest first."""
    values = {"tenant_id": tenant_id, "user_id": user_id, "before": before, "limit": limit}
    names = ("id", "title", "text", "tone", "url", "created_ms", "read_ms")
    found = await db.read("list_unread" if only_unread else "list_inbox", values)
    return [dict(zip(names, row, strict=True)) for row in found]


async def unread(db: Database, tenant_id: str, user_id: str) -> int:
    return int((await db.read("count_unread", {"tenant_id": tenant_id, "user_id": user_id}))[0][0])


async def is_there(db: Database, tenant_id: str, user_id: str, id_: str) -> bool:
    return bool(await db.read("find_inbox", {"tenant_id": tenant_id, "user_id": user_id, "id": id_}))


async def mark_read(db: Database, tenant_id: str, user_id: str, id_: str, now_ms: int) -> int:
    """One message, or all of them where `id_` is "". Returns how many were unread."""
    values = {"tenant_id": tenant_id, "user_id": user_id, "now": now_ms}
    async with db.transaction() as tx:
        if id_:
            return len(await tx.fetch("read_one", values | {"id": id_}))
        return len(await tx.fetch("read_all", values))
