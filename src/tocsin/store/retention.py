"""Old rows go, a bounded number at a time. What still waits is never removed, whatever its age."""

from typing import NamedTuple

from tocsin.store import accounts, ledger, partitions
from tocsin.store.audit import Trail
from tocsin.store.database import Database, Transaction

ROWS_AT_ONCE = 2000
ROUNDS = 5
DAY_MS = 86_400_000


class Kept(NamedTuple):
    """Days that each kind of row is kept. `events` are deliveries, too; `dead` are deliveries that failed for good,
    with their attempts and events."""

    events: int
    attempts: int
    dead: int
    runs: int
    inbox: int
    audit: int

    def longest(self) -> int:
        return max(self)


async def tenants(db: Database) -> list[str]:
    return [row[0] for row in await db.read("all_tenants")]


async def delete_old(tx: Transaction, tenant_id: str, now_ms: int, kept: Kept) -> int:
    """What is older than it is kept, of one tenant. Returns how many rows went; 0 when done."""

    def before(prefix: str, days: int) -> str:
        """Ids are `prefix_` and a UUIDv7, which starts with its milliseconds in hex."""
        return f"{prefix}_{max(0, now_ms - days * DAY_MS):012x}"

    values = {"tenant_id": tenant_id, "limit": ROWS_AT_ONCE, "dead_before": before("dlv", max(kept.dead, kept.events))}
    attempts = before("dlv", min(kept.attempts, kept.events))
    gone = len(await tx.fetch("delete_old_attempts", values | {"before": attempts}))
    old = before("dlv", kept.events)
    deliveries = await tx.fetch("delete_old_deliveries", values | {"before": old})
    events = await tx.fetch("delete_old_events", values | {"before": before("evt", kept.events)})
    rows = [(id_, "folded" if is_folded else status) for id_, status, is_folded in deliveries]
    await ledger.removed(tx, tenant_id, [*rows, *((uid, "event") for (uid,) in events)])
    before_ms = now_ms - kept.runs * DAY_MS
    runs = await tx.fetch("delete_old_runs", values | {"before": before("run", kept.runs), "before_ms": before_ms})
    inbox = await tx.fetch("delete_old_inbox", values | {"before": before("dlv", kept.inbox)})
    refused = await tx.fetch("delete_old_bus_refused", values | {"before": before("bus", kept.events)})
    return gone + len(deliveries) + len(events) + len(runs) + len(inbox) + len(refused)


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
    await tx.fetch("delete_old_flow_executions", values)


async def delete_old_keys(tx: Transaction, before_ms: int) -> None:
    await tx.fetch("delete_old_idempotency", {"before_ms": before_ms})
    await tx.fetch("delete_old_answers", {"before_ms": before_ms})


class Cleaner:
    """Removes what is old, in transactions of ROWS_AT_ONCE rows of a kind."""

    def __init__(self, db: Database, trail: Trail, kept: Kept) -> None:
        self.db = db
        self.trail = trail
        self.kept = kept
        self.summed_up = 0

    async def clean(self, now_ms: int) -> bool:
        """Bounded: at most some ten thousand rows of each tenant a round, so that nobody waits for it. Returns whether
        there is more."""
        await partitions.make_ahead(self.db, now_ms)
        await partitions.drop_old(self.db, now_ms - self.kept.attempts * DAY_MS)
        more = False
        for tenant_id in await tenants(self.db):
            for _ in range(ROUNDS):
                async with self.db.transaction() as tx:
                    gone = await delete_old(tx, tenant_id, now_ms, self.kept)
                if not gone:
                    break
            more |= gone > 0
        for tenant_id in await self.trail.outdated(self.db, now_ms - self.kept.audit * DAY_MS):
            async with self.db.transaction() as tx:
                more |= await self.trail.prune(tx, tenant_id, now_ms - self.kept.audit * DAY_MS, ROWS_AT_ONCE)
        today = now_ms // DAY_MS
        async with self.db.transaction() as tx:
            await delete_old_threads(tx, now_ms - self.kept.events * DAY_MS)
            await accounts.delete_old(tx, now_ms)
            if today != self.summed_up:
                await ledger.sum_up(tx, today - 1)
                await ledger.forget(tx, today - self.kept.longest() - 31)
        self.summed_up = today
        return more
