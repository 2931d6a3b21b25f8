"""Attempts in partitions of a day: made ahead, never missed, dropped when old; and the rows that were there before."""

import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.harness import Start
from tests.postgres import PostgresServer
from tocsin.app import open_database
from tocsin.settings import read_settings
from tocsin.store import migrate as migrating
from tocsin.store import partitions
from tocsin.store.database import Database
from tocsin.store.partitions import DAY_MS, day_of

pytestmark = pytest.mark.anyio
ATTEMPT = """
INSERT INTO attempt (tenant_id, delivery_id, number, endpoint_id, started_ms, duration_ms, outcome, error,
                     response_body)
SELECT 'default', {ids}, 1, 'whk_1', 0, 1, 'sent', '', 'ok' FROM generate_series(1, {count}) AS n
"""


def an_id(ms: int, number: str = "n") -> str:
    """SQL: the id of a delivery made at that moment, such as app.py makes them."""
    return f"'dlv_{ms:012x}' || lpad(to_hex({number}), 20, '0')"


@pytest.fixture
async def dsn(anyio_backend: Any, postgres: PostgresServer) -> AsyncIterator[str]:
    """An empty database of its own."""
    postgres.drop_database("partitions")
    yield postgres.create_database("partitions")
    postgres.drop_database("partitions")


async def opened(dsn: str) -> Database:
    return await open_database(read_settings({"TOCSIN_DATA_DIR": "unused", "TOCSIN_DATABASE_URL": dsn}))


async def migrated(dsn: str) -> tuple[Database, int]:
    """A migrated database, and a moment of the day that it took for today: midnight may pass at any time."""
    before_ms = int(time.time()) * 1000
    db = await opened(dsn)
    await migrating.migrate(db)
    first = next(iter(await places(dsn)))
    return db, next(ms for ms in (before_ms, int(time.time()) * 1000) if name_of(ms) == first)


async def places(dsn: str) -> dict[str, int]:
    """How many attempts are in each partition."""
    connection = await asyncpg.connect(dsn)
    try:
        names = await connection.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'attempt'::regclass ORDER BY 1"
        )
        return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for (name,) in names}
    finally:
        await connection.close()


async def run(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def name_of(ms: int) -> str:
    return time.strftime("attempt_%Y%m%d", time.gmtime(ms / 1000))


async def test_days_are_made_ahead_and_a_missing_one_stops_nobody(dsn: str) -> None:
    db, now_ms = await migrated(dsn)
    ahead = [name_of(now_ms + day * DAY_MS) for day in range(4)]
    assert list(await places(dsn)) == [*ahead, "attempt_rest"]
    later_ms = now_ms + 10 * DAY_MS
    await run(dsn, ATTEMPT.format(ids=an_id(now_ms), count=3) + ";" + ATTEMPT.format(ids=an_id(later_ms), count=2))
    assert (await places(dsn))[ahead[0]] == 3
    assert (await places(dsn))["attempt_rest"] == 2
    await partitions.make_ahead(db, later_ms)  # the default one holds rows of that day: it stays so
    found = await places(dsn)
    assert name_of(later_ms) not in found
    assert name_of(later_ms + DAY_MS) in found
    await partitions.make_ahead(db, later_ms)
    assert await places(dsn) == found
    await db.close()


async def test_old_days_go_and_what_is_needed_stays(dsn: str) -> None:
    db, now_ms = await migrated(dsn)
    old_ms = day_of(now_ms) - 5 * DAY_MS
    await partitions.make_ahead(db, old_ms)
    delivery = """
    INSERT INTO delivery (tenant_id, id, event_uid, endpoint_id, rule_id, provider_type, event_type, status, due_ms,
                          expires_ms, created_ms, updated_ms)
    SELECT 'default', {ids}, 'evt_' || n, 'whk_1', '', 'webhook', 'x',
           (ARRAY['dead', 'retrying', 'delivered', 'delivered'])[n], 0, 0, 0, 0 FROM generate_series(1, 4) AS n
    """
    await run(dsn, delivery.format(ids=an_id(old_ms + 1)))
    for ms in (old_ms + 1, old_ms + DAY_MS, now_ms):
        await run(dsn, ATTEMPT.format(ids=an_id(ms), count=4))
    assert await partitions.drop_old(db, old_ms + DAY_MS - 1) == 0, "that day is not over yet"
    assert await partitions.drop_old(db, old_ms + DAY_MS) == 1
    found = await places(dsn)
    assert name_of(old_ms) not in found
    assert found["attempt_rest"] == 2, "the attempts of the dead letter and of what still waits"
    assert found[name_of(old_ms + DAY_MS)] == 4
    assert found[name_of(now_ms)] == 4
    await db.close()


async def test_who_uses_the_table_is_not_kept_waiting(dsn: str) -> None:
    db, now_ms = await migrated(dsn)
    await partitions.make_ahead(db, now_ms - 9 * DAY_MS)
    other = await asyncpg.connect(dsn)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(ATTEMPT.format(ids=an_id(now_ms), count=1))
    assert await partitions.drop_old(db, now_ms) == 0
    await transaction.commit()
    await other.close()
    assert await partitions.drop_old(db, now_ms) == 4
    await db.close()


async def test_what_was_there_before_is_there_afterwards(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    db = await opened(dsn)
    now_ms = int(time.time()) * 1000
    whole = migrating.migrations("postgres")
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda dialect: [m for m in whole if m.number < 14])
        await migrating.migrate(db)
    for ms in (now_ms - 3 * DAY_MS, now_ms):
        await run(dsn, ATTEMPT.format(ids=an_id(ms), count=5))
    await migrating.migrate(db)
    found = await places(dsn)
    assert found["attempt_before"] == 10
    assert name_of(now_ms) not in found
    assert name_of(now_ms + DAY_MS) in found
    await run(dsn, ATTEMPT.format(ids=an_id(now_ms + 1), count=5))
    assert (await places(dsn))["attempt_before"] == 15, "the day of the change stays together"
    with pytest.raises(asyncpg.UniqueViolationError):
        await run(dsn, ATTEMPT.format(ids=an_id(now_ms), count=5))
    await run(dsn, "SELECT * FROM webhook_logs")
    assert await partitions.drop_old(db, day_of(now_ms) + DAY_MS) == 1
    assert "attempt_before" not in await places(dsn)
    await db.close()


async def test_the_sweep_does_both(start: Start) -> None:
    """On SQLite they go row by row."""
    tocsin = await start(TOCSIN_RETENTION_ATTEMPT_DAYS="2")
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    await tocsin.move(DAY_MS / 1000)
    assert len((await tocsin.delivery())["log"]) == 1
    await tocsin.move(2 * DAY_MS / 1000 + 1)
    assert (await tocsin.delivery())["log"] == []
    if tocsin.dialect == "postgres":
        found = await places(tocsin.app.settings.database_url)
        days = [name_of(tocsin.clock.now_ms + day * DAY_MS) for day in range(-3, 4)]
        assert [day for day in days if day in found] == days[1:]


async def test_a_process_makes_its_days_before_it_sends(start: Start) -> None:
    tocsin = await start()
    if tocsin.dialect == "postgres":
        found = await places(tocsin.app.settings.database_url)
        assert name_of(tocsin.clock.now_ms) in found
