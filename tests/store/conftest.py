"""An open, migrated, empty store of either kind."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PostgresServer
from tests.store.rows import add_tenant
from tocsin.app import open_database
from tocsin.settings import read_settings
from tocsin.store.database import Database
from tocsin.store.migrate import migrate
from tocsin.store.sealing import Keyring


@pytest.fixture
def keyring() -> Keyring:
    numbers = iter(range(1_000_000))
    return Keyring((b"k" * 32,), lambda: next(numbers).to_bytes(12, "big"))


@pytest.fixture
async def db(anyio_backend: Any, store: dict[str, str]) -> AsyncIterator[Database]:
    database = await open_database(read_settings(store))
    await migrate(database)
    await add_tenant(database)
    yield database
    await database.close()


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
