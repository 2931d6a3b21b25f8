"""Attempts lie in partitions of a day, with PostgreSQL: made ahead, dropped when they are old. SQLite has none."""

from tocsin.store.database import Database

DAY_MS = 86_400_000
DAYS_AHEAD = 3
"""So long nobody has to look. Rows of a day without a partition go to the default one: nothing is ever refused."""


def day_of(ms: int) -> int:
    """Midnight before this moment, UTC. Attempts are removed by whole days."""
    return ms - ms % DAY_MS


async def make_ahead(db: Database, now_ms: int) -> None:
    for day in range(DAYS_AHEAD + 1):
        async with db.transaction() as tx:
            await tx.fetch("make_attempt_partition", {"day_ms": day_of(now_ms) + day * DAY_MS})


async def drop_old(db: Database, before_ms: int) -> int:
    """Drops the days that ended before this moment; what belongs to deliveries that wait or are dead letters stays.
    Returns how many there were. Where somebody uses the table for too long, it is for another time."""
    async with db.transaction() as tx:
        found = await tx.fetch("drop_attempt_partitions", {"before_ms": before_ms})
    return int(found[0][0]) if found else 0
