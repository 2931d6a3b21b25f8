"""A claim takes no more than its share, whatever plan PostgreSQL makes: it plans anew as tables grow and shrink."""

import asyncio
from contextlib import suppress
from itertools import combinations

import pytest

from tests.harness import PATIENCE_S, POLL_S
from tests.store.rows import add_deliveries, add_endpoint, delivery, endpoint, result
from tocsin.store import queue, threads
from tocsin.store.postgres import PostgresDatabase, PostgresTransaction
from tocsin.store.sealing import Keyring

pytestmark = pytest.mark.anyio

WAYS = ("enable_hashjoin", "enable_mergejoin", "enable_indexscan", "enable_bitmapscan", "enable_seqscan")
"""Switched off in every combination, PostgreSQL joins in every way it can."""


class Undo(Exception):
    """Rolls a transaction back."""


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_a_claim_takes_its_share_in_every_plan(db: PostgresDatabase, keyring: Keyring) -> None:
    # S1-03
    await add_endpoint(db, keyring, endpoint())
    async with db.transaction() as tx:
        await add_deliveries(tx, *(delivery(f"dlv_x{n:03}", event_uid=f"evt_x{n}", due_ms=n) for n in range(200)))
    # What the planner then knows of the table: many pages, no rows. It takes any join to be over one row.
    for statement in ("DELETE FROM delivery", "DELETE FROM event", "ANALYZE delivery"):
        await db.pool.execute(statement)
    waiting = [delivery(f"dlv_{n:03}", event_uid=f"evt_{n}", due_ms=n) for n in range(60)]
    async with db.transaction() as tx:
        await add_deliveries(tx, *waiting)
        got = await queue.claim(tx, {"whk_1": 30}, 10_000, "first", 2**40)
        again = [result(taken.delivery, "first", "retrying", due_ms=0, failures=1) for taken in got]
        await queue.finish(tx, again, 10)
    plans = [off for size in range(len(WAYS) + 1) for off in combinations(WAYS, size)]
    took: dict[tuple[str, ...], list[int]] = {}
    for off in plans:
        with suppress(Undo):
            async with db.transaction() as tx:
                assert isinstance(tx, PostgresTransaction)
                for way in off:
                    await tx.connection.execute(f"SET LOCAL {way} = off")
                share = [("lease", 2**40, "whk_1", 10_000, 2)]
                took[off] = [len(await tx.fetch_many(name, share)) for name in ("claim_first", "claim_retries")]
                raise Undo
    assert {off: counts for off, counts in took.items() if counts != [2, 2]} == {}


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_the_first_use_of_a_shared_limit_is_one_at_a_time_too(db: PostgresDatabase, keyring: Keyring) -> None:
    await add_endpoint(db, keyring, endpoint())

    async def second() -> dict[str, int]:
        async with db.transaction() as tx:
            return await threads.buckets(tx, "default", ["b", "a"])

    async with db.transaction() as tx:
        assert await threads.buckets(tx, "default", ["a", "b"]) == {"a": 0, "b": 0}
        waiting = asyncio.create_task(second())
        async with asyncio.timeout(PATIENCE_S):
            while not await db.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(POLL_S)
        await threads.put_buckets(tx, "default", {"a": 1, "b": 2})
    assert await waiting == {"a": 1, "b": 2}
