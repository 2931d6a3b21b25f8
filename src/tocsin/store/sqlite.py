"""SQLite through apsw: one writer, readers apart, WAL, synchronous=FULL.

Statements of a transaction run on the event loop's thread: they touch memory and cost microseconds, and a second thread
would fight for the interpreter lock at each of them. What waits for the disk, COMMIT, runs in a thread of its own; the
loop goes on meanwhile and gathers the next group.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import apsw

from tocsin.store.database import NOTHING, Row, StoreBroken, StoreUnavailable, StoreUnfit, Transaction, Values
from tocsin.store.queries import Dialect, query

OLDEST = (3, 51, 3)
"""Before it, two connections can corrupt a WAL database: https://sqlite.org/wal.html#walresetbug"""

LOCK_WAIT_S = 2.0
"""For another program that holds the file."""

TURN_S = 10.0
"""For our own writers before us, whom a slow disk holds up: to give up after a message was sent has it sent again."""
READERS = 4


def library_version() -> str:
    """Of the SQLite that apsw brings, such as `3.51.3`; the system's own is not used."""
    return apsw.sqlite_lib_version()


class SqliteTransaction:
    def __init__(self, writer: apsw.Connection) -> None:
        self.cursor = writer.cursor()

    async def fetch(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        asked = query("sqlite", name, filters)
        return list(self.cursor.execute(asked.text, asked.values(values)))

    read = fetch

    async def run_many(self, name: str, rows: Sequence[Row]) -> None:
        self.cursor.executemany(query("sqlite", name).text, rows)

    async def fetch_many(self, name: str, rows: Sequence[Row]) -> list[Row]:
        return list(self.cursor.executemany(query("sqlite", name).text, rows))

    async def run_together(self, work: Sequence[tuple[str, Sequence[Row]]]) -> list[int]:
        return [len(await self.fetch_many(name, rows)) for name, rows in work]


class SqliteDatabase:
    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, *, synchronous: str = "FULL", vfs: str | None = None) -> None:
        if tuple(int(part) for part in library_version().split(".")) < OLDEST:
            raise StoreUnfit(
                f"SQLite {library_version()} can corrupt a write-ahead log; 3.51.3 or newer is needed. "
                "Install the apsw wheel that Tocsin's requirements name: it brings its own SQLite."
            )
        self.path = path
        self.vfs = vfs
        self.synchronous = synchronous
        self.broken = False
        self.errors: Counter[str] = Counter()
        try:
            self.writer = self._connect()
        except apsw.Error as error:
            raise self._meaning(error) from error
        self.lock = asyncio.Lock()
        self.committer = ThreadPoolExecutor(1, "sqlite-commit")
        self.reading = ThreadPoolExecutor(READERS, "sqlite-read")
        self.local = threading.local()
        self.readers: list[apsw.Connection] = []

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), vfs=self.vfs)
        connection.set_busy_timeout(int(LOCK_WAIT_S * 1000))
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", self.synchronous)
        connection.pragma("foreign_keys", True)
        # Each `IN (…)` of a CHECK builds a table for every row: a tenth of what intake costs. PostgreSQL holds
        # the same constraints against the same code, and `PRAGMA integrity_check` reports rows that break them.
        connection.pragma("ignore_check_constraints", True)
        connection.pragma("cache_size", -65536)
        connection.pragma("wal_autocheckpoint", 4000)
        connection.set_busy_timeout(0)
        return connection

    def _reader(self) -> apsw.Connection:
        """A thread's own connection; SQLite readers see the last commit and never wait for the writer."""
        reader: apsw.Connection | None = getattr(self.local, "reader", None)
        if reader is None:
            reader = self.local.reader = apsw.Connection(str(self.path), vfs=self.vfs)
            reader.set_busy_timeout(int(LOCK_WAIT_S * 1000))
            reader.pragma("query_only", True)
            self.readers.append(reader)
        return reader

    def connections(self) -> tuple[int, int]:
        return int(self.lock.locked()), 1

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        await self._turn()
        try:
            await self._begin()
            try:
                yield SqliteTransaction(self.writer)
            except BaseException as error:
                self._rollback()
                if isinstance(error, apsw.Error):
                    raise self._meaning(error) from error
                raise
            await self._commit()
        finally:
            self.lock.release()

    async def _turn(self) -> None:
        if not self.lock.locked():
            await self.lock.acquire()
            return
        try:
            async with asyncio.timeout(TURN_S):
                await self.lock.acquire()
        except TimeoutError as error:
            self.errors["unavailable"] += 1
            raise StoreUnavailable(f"{self.path.name}: the disk does not keep up.") from error

    async def _begin(self) -> None:
        """Another process may hold the file for a moment; the loop goes on while we wait for it."""
        if self.broken:
            raise StoreBroken("The disk failed earlier; the store has to be opened anew.")
        loop = asyncio.get_running_loop()
        until_s = loop.time() + LOCK_WAIT_S
        while True:
            try:
                self.writer.execute("BEGIN IMMEDIATE")
                return
            except apsw.BusyError as error:
                if loop.time() >= until_s:
                    self.errors["unavailable"] += 1
                    raise StoreUnavailable(f"{self.path.name} is locked by another program.") from error
            except apsw.Error as error:
                raise self._meaning(error) from error
            await asyncio.sleep(0.01)

    async def _commit(self) -> None:
        """Waits for the commit even when cancelled: the connection is not ours to use before it ends."""
        done = asyncio.get_running_loop().run_in_executor(self.committer, self.writer.execute, "COMMIT")
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done])
            raise
        except apsw.Error as error:
            self._rollback()
            raise self._meaning(error) from error

    def _rollback(self) -> None:
        if self.writer.in_transaction:
            self.writer.execute("ROLLBACK")

    def _meaning(self, error: apsw.Error) -> Exception:
        if isinstance(error, apsw.IOError):
            # SQLite would go on and acknowledge the next commit, although this one may or may not be on the disk.
            self.broken = True
            self.errors["broken"] += 1
            return StoreBroken(f"The disk failed under {self.path.name}: {error}")
        if isinstance(
            error, (apsw.FullError, apsw.ReadOnlyError, apsw.BusyError, apsw.CantOpenError, apsw.LockedError)
        ):
            self.errors["unavailable"] += 1
            return StoreUnavailable(f"{self.path.name}: {error}")
        return error

    async def read(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        asked = query("sqlite", name, filters)
        bound = asked.values(values)

        def rows() -> list[Row]:
            return list(self._reader().execute(asked.text, bound))

        try:
            return await asyncio.get_running_loop().run_in_executor(self.reading, rows)
        except apsw.Error as error:
            raise self._meaning(error) from error

    async def script(self, text: str) -> None:
        async with self.transaction():
            self.writer.execute(text)

    async def weaknesses(self) -> tuple[str, ...]:
        level = self.writer.pragma("synchronous")
        return () if level >= 2 else (f"SQLite runs with synchronous={self.synchronous}: a power cut loses events.",)

    async def watch(self) -> None:
        """Nothing to watch: what SQLite waits for it gives up by itself."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.committer.shutdown()
        self.reading.shutdown()
        for reader in self.readers:
            reader.close()
        self.writer.close()
