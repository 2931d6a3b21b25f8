"""What flows' triggers look at, and up to where they have."""

from tocsin.model.event import Event
from tocsin.store import rows
from tocsin.store.database import Database, Transaction


async def position(db: Database, tenant_id: str) -> tuple[str, int] | None:
    """The last event that was looked at, and until when schedules were; None where nothing ever was."""
    found = await db.read("flow_position", {"tenant_id": tenant_id})
    return (found[0][0], int(found[0][1])) if found else None


async def put_position(tx: Transaction, tenant_id: str, event_uid: str, checked_ms: int) -> None:
    await tx.fetch("put_flow_position", {"tenant_id": tenant_id, "event_uid": event_uid, "checked_ms": checked_ms})


async def newest(db: Database, tenant_id: str) -> str:
    """The newest event's uid; "" where there is none."""
    found = await db.read("newest_event", {"tenant_id": tenant_id})
    return str(found[0][0]) if found else ""


async def news(db: Database, tenant_id: str, after: str, limit: int) -> list[Event]:
    values = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return [rows.event(row) for row in await db.read("flow_news", values)]


async def fired_ms(db: Database, tenant_id: str, namespace: str, flow_id: str, by: str) -> int:
    """0 for a trigger that never fired, as far as is known."""
    values = {"tenant_id": tenant_id, "namespace": namespace, "flow_id": flow_id, "by": by}
    return int((await db.read("flow_fired", values))[0][0] or 0)
