"""Old rows go, a bounded number at a time. What still waits is never removed, whatever its age."""

from tocsin.store.database import Database, Transaction

ROWS_AT_ONCE = 2000


async def tenants(db: Database) -> list[str]:
    return [row[0] for row in await db.read("all_tenants")]


async def delete_old(tx: Transaction, tenant_id: str, before_ms: int) -> int:
    """Events, deliveries and attempts older than this, of one tenant. Returns how many rows went; 0 when done."""
    before = f"{before_ms:012x}"  # ids are `prefix_` and a UUIDv7, which starts with its milliseconds in hex
    values = {"tenant_id": tenant_id, "limit": ROWS_AT_ONCE}
    gone = 0
    for query, prefix in (
        ("delete_old_attempts", "dlv_"),
        ("delete_old_deliveries", "dlv_"),
        ("delete_old_events", "evt_"),
        ("delete_old_inbox", "dlv_"),
    ):
        gone += len(await tx.fetch(query, values | {"before": prefix + before}))
    return gone


async def delete_old_threads(tx: Transaction, before_ms: int) -> None:
    """Messages that nobody will edit any more, alarms that were closed, silences that are over, and what rules knew of
    things long gone."""
    values = {"before_ms": before_ms, "limit": ROWS_AT_ONCE}
    await tx.fetch("delete_old_threads", values)
    await tx.fetch("delete_old_incidents", values)
    await tx.fetch("delete_old_rule_states", values)
    await tx.fetch("delete_old_folds", values)
    await tx.fetch("delete_old_hidden", {"before_ms": before_ms})
    await tx.fetch("delete_old_silences", values)


async def delete_old_keys(tx: Transaction, before_ms: int) -> None:
    await tx.fetch("delete_old_idempotency", {"before_ms": before_ms})
    await tx.fetch("delete_old_answers", {"before_ms": before_ms})
