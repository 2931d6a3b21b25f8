"""PostgreSQL through asyncpg. Many rows go over as arrays, one statement for all: sql/postgres/ has those queries."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

import asyncpg

from tocsin.store.database import NOTHING, Row, StoreUnavailable, StoreUnfit, Transaction, Values, columns
from tocsin.store.queries import Dialect, query

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a pooled connection whose server has just died
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
OLDEST = 13
CONNECTIONS = 8
MIGRATION_LOCK = 7_210_313  # any number, as long as nothing else in this database locks it


class PostgresTransaction:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def fetch(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        asked = query("postgres", name, filters)
        return [tuple(row) for row in await self.connection.fetch(asked.text, *asked.values(values))]

    async def run_many(self, name: str, rows: Sequence[Row]) -> None:
        if rows:
            await self.connection.execute(query("postgres", name).text, *columns(rows))

    async def fetch_many(self, name: str, rows: Sequence[Row]) -> list[Row]:
        if not rows:
            return []
        return [tuple(row) for row in await self.connection.fetch(query("postgres", name).text, *columns(rows))]

    async def run_together(self, work: Sequence[tuple[str, Sequence[Row]]]) -> list[int]:
        some = [(name, rows) for name, rows in work if rows]
        if not some:
            return [0] * len(work)
        text = joined(tuple(name for name, _ in some))
        counts = await self.connection.fetchrow(text, *(column for _, rows in some for column in columns(rows)))
        found = dict(zip((name for name, _ in some), counts, strict=True))
        return [found.get(name, 0) for name, _ in work]


@contextmanager
def translated() -> Iterator[None]:
    """asyncpg's ways of saying that the server is away, as StoreUnavailable.

    What it refuses to send is wrong in itself: trying again would not help, and nobody else must wait for it.
    """
    try:
        yield
    except UNAVAILABLE as error:
        if isinstance(error, ValueError):
            raise
        raise StoreUnavailable(f"PostgreSQL: {error or type(error).__name__}") from error


@cache
def joined(names: tuple[str, ...]) -> str:
    """Several statements as one: each a WITH part, and the number of rows that each returned."""
    parts, counts, offset = [], [], 0
    for number, name in enumerate(names):
        one = query("postgres", name)
        moved = offset
        text = re.sub(r"\$(\d+)", lambda found, moved=moved: f"${int(found[1]) + moved}", one.text)  # type: ignore[misc]
        parts.append(f"part{number} AS ({text})")
        has_rows = re.search(r"\bRETURNING\b", text) is not None
        counts.append(f"(SELECT count(*) FROM part{number})" if has_rows else "0::bigint")  # noqa: S608 - our own files
        offset += len(one.parameters)
    return f"WITH {', '.join(parts)} SELECT {', '.join(counts)}"


class PostgresDatabase:
    dialect: Dialect = "postgres"

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    @classmethod
    async def open(cls, dsn: str) -> "PostgresDatabase":
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=CONNECTIONS,
                timeout=3,
                command_timeout=10,
                server_settings={
                    "application_name": "tocsin",
                    "lock_timeout": "3000",
                    "idle_in_transaction_session_timeout": "15000",
                    "jit": "off",
                },
            )
        except (*UNAVAILABLE, asyncpg.PostgresError, ValueError) as error:
            raise StoreUnavailable(f"PostgreSQL cannot be reached: {error}") from error
        database = cls(pool)
        (version,) = (await database.read("server_version"))[0]
        if int(version) // 10_000 < OLDEST:
            raise StoreUnfit(f"PostgreSQL {int(version) // 10_000} is too old; {OLDEST} or newer is needed.")
        return database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        with translated():
            async with self.pool.acquire(timeout=3) as connection, connection.transaction():
                yield PostgresTransaction(connection)

    async def read(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        asked = query("postgres", name, filters)
        with translated():
            async with self.pool.acquire(timeout=3) as connection:
                return [tuple(row) for row in await connection.fetch(asked.text, *asked.values(values))]

    async def script(self, text: str) -> None:
        """Under an advisory lock, so that of several processes that start together one migrates and the others wait."""
        with translated():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = 0")
                await connection.execute(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                await connection.execute(text, timeout=600)

    async def weaknesses(self) -> tuple[str, ...]:
        found = {row[0]: row[1] for row in await self.read("durability_settings")}
        return tuple(
            f"PostgreSQL runs with {name}={value}: a crash or power cut loses events. Set it to on."
            for name, value in sorted(found.items())
            if value == "off"
        )

    async def close(self) -> None:
        await self.pool.close()
