"""Migrations: once each, from several processes at once, and never under a program that is too old."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PostgresServer
from tocsin.app import open_database
from tocsin.settings import read_settings
from tocsin.store import ledger
from tocsin.store import migrate as migrating
from tocsin.store.database import Database, StoreUnavailable, StoreUnfit
from tocsin.store.migrate import applied, migrate, migrations

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgres"])
async def fresh(anyio_backend: Any, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Settings of a store that is really empty."""
    settings = {"TOCSIN_DATA_DIR": str(tmp_path), "TOCSIN_DATABASE_URL": ""}
    if request.param == "sqlite":
        yield settings
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    server.drop_database("fresh")
    settings["TOCSIN_DATABASE_URL"] = server.create_database("fresh")
    yield settings
    server.drop_database("fresh")


async def opened(settings: dict[str, str]) -> Database:
    return await open_database(read_settings(settings))


async def test_each_runs_once(fresh: dict[str, str]) -> None:
    # S1-19
    db = await opened(fresh)
    ran = await migrate(db)
    assert [m.number for m in ran] == [m.number for m in migrations(db.dialect)]
    assert await migrate(db) == []
    assert await migrating.pending(db) == []
    assert set(await applied(db)) == {m.number for m in ran}
    await db.close()


async def test_several_processes_start_at_once(fresh: dict[str, str]) -> None:
    # S1-19
    databases = [await opened(fresh) for _ in range(4)]
    ran = await asyncio.gather(*(migrate(db) for db in databases))
    numbers = sorted(m.number for part in ran for m in part)
    assert numbers == [m.number for m in migrations(databases[0].dialect)]
    for db in databases:
        await db.close()


async def test_a_newer_store_is_refused(fresh: dict[str, str]) -> None:
    # F44
    db = await opened(fresh)
    await migrate(db)
    await db.script("INSERT INTO migration (number, name, checksum) VALUES (9999, 'from_the_future', 'x')")
    with pytest.raises(StoreUnfit, match="9999"):
        await migrate(db)
    await db.close()


async def test_a_newer_store_is_let_in_where_that_was_promised(
    fresh: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # F44
    db = await opened(fresh)
    whole = migrations(db.dialect)
    number = whole[-1].number + 1
    newer = [
        migrating.Migration(number, "more", "-- compatible: what is new has a default\nCREATE TABLE more (id TEXT)"),
        migrating.Migration(number + 1, "other", "CREATE TABLE other (id TEXT)"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda dialect: [*whole, newer[0]])
        await migrate(db)
    assert await migrate(db) == []
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda dialect: [*whole, *newer])
        assert await migrate(db) == [newer[1]]
    with pytest.raises(StoreUnfit, match=f"migration {number + 1} "):
        await migrate(db)
    await db.close()


async def test_a_changed_migration_is_refused(fresh: dict[str, str]) -> None:
    db = await opened(fresh)
    await migrate(db)
    await db.script("UPDATE migration SET checksum = 'other' WHERE number = 1")
    with pytest.raises(StoreUnfit, match="Migration 1"):
        await migrate(db)
    await db.close()


async def test_a_migration_that_fails_leaves_nothing(fresh: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    db = await opened(fresh)
    whole = migrations(db.dialect)
    bad = migrating.Migration(
        whole[-1].number + 1, "bad", "CREATE TABLE half (id TEXT); INSERT INTO nowhere VALUES (1);"
    )
    monkeypatch.setattr(migrating, "migrations", lambda dialect: [*whole, bad])
    with pytest.raises(Exception, match="nowhere"):
        await migrate(db)
    assert bad.number not in await applied(db)
    with pytest.raises(Exception, match="half"):
        await db.script("INSERT INTO half VALUES ('x')")
    good = migrating.Migration(bad.number, "good", "CREATE TABLE half (id TEXT)")
    monkeypatch.setattr(migrating, "migrations", lambda dialect: [*whole, good])
    assert await migrate(db) == [good]
    await db.close()


async def test_what_was_there_before_counting_began_is_not_held_against_it(
    fresh: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await opened(fresh)
    whole = migrations(db.dialect)
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda dialect: [one for one in whole if one.number < 13])
        await migrate(db)
    old = "evt_019000000000" + "7" * 20
    columns = "tenant_id, uid, id, source, type, kind, severity, pipeline, run_id, stage, time_ms, received_ms"
    values = f"'default', '{old}', 'e', 'http', 't', 'other', 'info', '', '', '', 1, 1"
    await db.script(f"INSERT INTO event ({columns}, content, trace) VALUES ({values}, '{{}}', '{{}}')")
    await migrate(db)
    assert await ledger.reconcile(db, "default", 0, 30_000) == []
    await db.script("DELETE FROM meta")
    assert [one.stored for one in await ledger.reconcile(db, "default", 0, 30_000)] == [1]
    await db.close()


async def test_numbers_and_names_are_in_order() -> None:
    for dialect in ("sqlite", "postgres"):
        numbers = [m.number for m in migrations(dialect)]
        assert numbers == sorted(set(numbers))
    names = {dialect: [m.name for m in migrations(dialect)] for dialect in ("sqlite", "postgres")}
    assert names["sqlite"] == names["postgres"]


async def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await opened({"TOCSIN_DATA_DIR": str(tmp_path), "TOCSIN_DATABASE_URL": "postgresql://127.0.0.1:1/none"})
