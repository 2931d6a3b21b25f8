"""Migrations: once each, from several processes at once, and never under a program that is too old."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.store.conftest import opened
from tocsin.store import ledger
from tocsin.store import migrate as migrating
from tocsin.store.database import StoreUnavailable, StoreUnfit
from tocsin.store.migrate import applied, migrate, migrations

pytestmark = pytest.mark.anyio


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


BREAKS = re.compile(
    r"\b(DROP|RENAME|ALTER COLUMN|SET NOT NULL|ADD CONSTRAINT|ADD COLUMN(?![^;]*\bDEFAULT\b)[^;]*\bNOT NULL)\b",
    re.IGNORECASE,
)
UNIQUE = re.compile(r"CREATE UNIQUE INDEX \w+ ON (\w+)", re.IGNORECASE)
LAST_THAT_STOPS = 20
SHOWN_OTHERWISE = {14}
"""Puts partitions in a table's place; that both versions work with it was tried (tests/end_to_end/test_upgrade.py)."""


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
async def test_what_is_called_compatible_only_adds(dialect: str) -> None:
    """What the version before writes must still fit: no column less, none that it would have to fill, nothing that has
    to be unique from now on."""
    for migration in migrations(dialect):
        if not migration.is_compatible or migration.number in SHOWN_OTHERWISE:
            continue
        text = re.sub(r"--.*", "", migration.text)
        assert not BREAKS.search(text), migration.name
        for table in UNIQUE.findall(text):
            assert re.search(rf"CREATE TABLE {table}\b", text), f"{migration.name}: {table} is there already"


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
async def test_the_version_before_may_run_on_since(dialect: str) -> None:
    """What docs/upgrading.md promises of versions that follow each other. One that cannot keep it is for a major
    version, and changes this test."""
    assert [one.number for one in migrations(dialect) if one.number > LAST_THAT_STOPS and not one.is_compatible] == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE event DROP COLUMN title",
        "ALTER TABLE event RENAME COLUMN title TO name",
        "ALTER TABLE event ADD COLUMN tag TEXT NOT NULL",
        "CREATE TABLE x (id TEXT); DROP TABLE event",
    ],
)
async def test_what_breaks_is_seen(statement: str) -> None:
    assert BREAKS.search(statement)
    assert not BREAKS.search("ALTER TABLE event ADD COLUMN tag TEXT NOT NULL DEFAULT ''")


async def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await opened({"TOCSIN_DATA_DIR": str(tmp_path), "TOCSIN_DATABASE_URL": "postgresql://127.0.0.1:1/none"})
