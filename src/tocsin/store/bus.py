"""Messages of an event bus that were no events, and whether a tenant's bus may be read."""

from typing import Any

from tocsin.model.ids import OPERATOR_TENANT
from tocsin.store.database import Database, Transaction

KEPT_BYTES = 4096
"""Of a message that is set aside: enough to see what it is."""


async def why_not(db: Database, tenant_id: str) -> str:
    """Why nothing is taken in for this tenant; "" where it is."""
    found = await db.read("get_tenant", {"id": tenant_id}) if tenant_id != OPERATOR_TENANT else []
    if not found:
        return f"there is no tenant {tenant_id!r}"
    return f"the tenant {tenant_id!r} is suspended" if found[0][3] is not None else ""


async def set_aside(
    tx: Transaction, tenant_id: str, id_: str, bus: str, position: str, reason: str, body: bytes, *, now_ms: int
) -> None:
    """Once, however often it comes."""
    await tx.fetch(
        "insert_bus_refused",
        {
            "tenant_id": tenant_id,
            "id": id_,
            "bus": bus,
            "position": position.replace("\0", " "),
            "reason": reason.replace("\0", " "),
            "body": body[:KEPT_BYTES],
            "size": len(body),
            "now": now_ms,
        },
    )


async def list_refused(db: Database, tenant_id: str, *, before: str, limit: int) -> list[dict[str, Any]]:
    """Newest first."""
    names = ("id", "bus", "position", "reason", "body", "size", "refused_ms")
    found = await db.read("list_bus_refused", {"tenant_id": tenant_id, "before": before, "limit": limit})
    return [dict(zip(names, row, strict=True)) for row in found]
