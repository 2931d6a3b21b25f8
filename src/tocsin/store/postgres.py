"""PostgreSQL through asyncpg. Many rows go over as arrays, one statement for all: sql/postgres/ has those queries."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from typing import Any

import asyncpg

from tocsin.store.database import NOTHING, Row, StoreUnavailable, StoreUnfit, Transaction, Values, columns
from tocsin.store.queries import Dialect, query

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a pooled connection whose server has just died
)
AWAY_CLASSES = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
"""Of SQLSTATE: connection, login, no such database, deadlock, resources, locks, an operator's doing, the system."""

AWAY_STATES = frozenset({"25006", "25P03", "42501"})
"""Read-only, idle in a transaction for too long, no rights."""

OLDEST = 13
CONNECTIONS = 8
COMMAND_S = 10
ACQUIRE_S = 2.8
CLOSING_S = 3.0
PULSE_EVERY_S = 0.5
PULSE_WITHIN_S = 1.5
"""A server that takes longer to say anything at all is away. With the wait between two it is known within 2 s."""

STEP_S = 0.1

PULSE = {"application_name": "tocsin pulse"}
LOCK_WAIT_MS = 2000
LOCK_TRIES = 30
LOCK_PAUSE_S = 0.5
"""A migration waits so long for a table, so often, with a pause in which what queued up behind it goes on."""

MIGRATION_LOCK = 7_210_313  # any number, as long as nothing else in this database locks it


class PostgresTransaction:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def fetch(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        asked = query("postgres", name, filters)
        return [tuple(row) for row in await self.connection.fetch(asked.text, *asked.values(values))]

    read = fetch

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
def translated(errors: Counter[str]) -> Iterator[None]:
    """asyncpg's ways of saying that the server is away, as StoreUnavailable.

    What it refuses to send is wrong in itself: trying again would not help, and nobody else must wait for it.
    """
    try:
        yield
    except (*UNREACHABLE, asyncpg.PostgresError) as error:
        if not is_away(error):
            raise
        errors["unavailable"] += 1
        raise StoreUnavailable(f"PostgreSQL: {error or type(error).__name__}") from error


def is_away(error: BaseException) -> bool:
    """Whether the server, not the statement, is the reason."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state[:2] in AWAY_CLASSES or state in AWAY_STATES
    return isinstance(error, UNREACHABLE) and not isinstance(error, ValueError)


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

    def __init__(self, dsn: str, pool: Any) -> None:
        self.dsn = dsn
        self.pool = pool
        self.away = ""
        self.errors: Counter[str] = Counter()

    @classmethod
    async def open(cls, dsn: str) -> "PostgresDatabase":
        try:
            pool = await pool_of(dsn)
        except (*UNREACHABLE, asyncpg.PostgresError, ValueError) as error:
            raise StoreUnavailable(f"PostgreSQL cannot be reached: {error}") from error
        database = cls(dsn, pool)
        (version,) = (await database.read("server_version"))[0]
        if int(version) // 10_000 < OLDEST:
            raise StoreUnfit(f"PostgreSQL {int(version) // 10_000} is too old; {OLDEST} or newer is needed.")
        return database

    def connections(self) -> tuple[int, int]:
        return self.pool.get_size() - self.pool.get_idle_size(), CONNECTIONS

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """One that did not answer in time, or that nobody waits for any more, is cut off: asking it to roll back would
        only take as long again."""
        if self.away:
            self.errors["unavailable"] += 1
            raise StoreUnavailable(self.away)
        pool = self.pool
        with translated(self.errors):
            connection = await pool.acquire(timeout=ACQUIRE_S)
            try:
                yield connection
            except (TimeoutError, asyncio.CancelledError):
                connection.terminate()
                raise
            finally:
                await pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield PostgresTransaction(connection)
            except (TimeoutError, asyncio.CancelledError):
                raise
            except BaseException:
                with suppress(asyncpg.InterfaceError):  # the pool was ended: nothing is left to roll back
                    if not connection.is_closed():
                        await transaction.rollback()
                raise
            await transaction.commit()

    async def read(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        asked = query("postgres", name, filters)
        async with self._connection() as connection:
            return [tuple(row) for row in await connection.fetch(asked.text, *asked.values(values))]

    async def watch(self) -> None:
        """A server that refuses says so at once; one that hangs says nothing. Then whoever waits for it is told, nobody
        else begins to wait, and its connections, which may be dead for ever, are replaced."""
        pulse: Any = None
        try:
            while True:
                try:
                    if pulse is None or pulse.is_closed():
                        pulse = await said_within(
                            asyncpg.connect(self.dsn, server_settings=PULSE, timeout=PULSE_WITHIN_S + 1), PULSE_WITHIN_S
                        )
                    await said_within(pulse.fetchval("SELECT 1"), PULSE_WITHIN_S)
                except (*UNREACHABLE, asyncpg.PostgresError) as error:
                    if pulse is not None:
                        pulse.terminate()
                        pulse = None
                    if isinstance(error, TimeoutError) and not self.away:
                        self.away = f"PostgreSQL has not answered for {PULSE_WITHIN_S} s."
                        self.pool.terminate()
                else:
                    if self.away:
                        self.pool = await pool_of(self.dsn)
                        self.away = ""
                await asyncio.sleep(PULSE_EVERY_S)
        finally:
            if pulse is not None:
                pulse.terminate()

    async def script(self, text: str) -> None:
        """Under an advisory lock, so that of several processes that start together one migrates and the others wait.

        A table that others use is not waited for long: everybody who came later would stand behind us."""
        with translated(self.errors):
            for left in reversed(range(LOCK_TRIES)):
                try:
                    async with self.pool.acquire() as connection, connection.transaction():
                        await connection.execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
                        await connection.execute(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})", timeout=600)
                        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                        await connection.execute(text, timeout=600)
                    return
                except asyncpg.LockNotAvailableError:
                    if not left:
                        raise
                    await asyncio.sleep(LOCK_PAUSE_S)

    async def weaknesses(self) -> tuple[str, ...]:
        found = {row[0]: row[1] for row in await self.read("durability_settings")}
        return tuple(
            f"PostgreSQL runs with {name}={value}: a crash or power cut loses events. Set it to on."
            for name, value in sorted(found.items())
            if value == "off"
        )

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSING_S):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()


async def said_within(answer: Coroutine[Any, Any, Any], seconds: float) -> Any:
    """What `answer` returns; TimeoutError once this loop has run for so long without it.

    Time in which the loop itself stood still (a process that was stopped, a machine that was paused) counts as one
    step, however long it was: it says nothing about the server, whose answer may lie in the socket already.
    """
    task = asyncio.ensure_future(answer)
    try:
        for _ in range(round(seconds / STEP_S)):
            if (await asyncio.wait({task}, timeout=STEP_S))[0]:
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def pool_of(dsn: str) -> Any:
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=CONNECTIONS,
        timeout=3,
        command_timeout=COMMAND_S,
        reset=nothing_to_reset,
        server_settings={
            "application_name": "tocsin",
            "lock_timeout": "1500",
            "statement_timeout": str(COMMAND_S * 1000),
            "idle_in_transaction_session_timeout": "15000",
            "jit": "off",
        },
    )


async def nothing_to_reset(connection: Any) -> None:
    """All that is ever set is set for one transaction. asyncpg's own way is another round trip after each use."""
