"""The seam to a database: transactions and reads of named queries. sqlite.py and postgres.py are the two behind it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, Protocol

from tocsin.store.queries import Dialect

Row = tuple[Any, ...]
Values = Mapping[str, Any]
NOTHING: Values = MappingProxyType({})


class StoreUnavailable(Exception):
    """The database cannot be reached, is read-only, is full, or is locked: nothing was stored. Try again later."""


class StoreBroken(Exception):
    """The disk failed under a commit: what is stored is unknown. The process must stop and open the store anew."""


class StoreUnfit(Exception):
    """The database cannot hold what Tocsin promises, or is not Tocsin's: says what was found and what to do."""


class Reader(Protocol):
    """What can be asked: a database for what is committed, a transaction for what it changes, too."""

    async def read(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]: ...


class Transaction(Protocol):
    """Writes that become durable together. Queries are named; see queries.py."""

    async def fetch(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        """One query's rows."""

    async def read(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        """The same: a transaction may be asked where a database may."""

    async def run_many(self, name: str, rows: Sequence[Row]) -> None:
        """The query once for each row; a row has the query's parameters in the order of their first appearance."""

    async def fetch_many(self, name: str, rows: Sequence[Row]) -> list[Row]:
        """As `run_many`, with the rows that come back, all together."""

    async def run_together(self, work: Sequence[tuple[str, Sequence[Row]]]) -> list[int]:
        """Several `run_many` that do not need each other's rows, in one round trip where the store is across a wire.

        Returns how many rows came back from each: a query that says RETURNING tells so what it did.
        """


class Database(Protocol):
    """One store. `transaction` is for writing; what leaves its block without an error is durable."""

    dialect: Dialect
    errors: Counter[str]
    """How often the database could not be used: `unavailable`, `broken`."""

    def connections(self) -> tuple[int, int]:
        """(in use, at the most)."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...

    async def read(self, name: str, values: Values = NOTHING, filters: tuple[str, ...] = ()) -> list[Row]:
        """Rows of committed data; never waits for a writer."""

    async def script(self, text: str) -> None:
        """Runs a migration's statements and whatever goes with it as one transaction."""

    async def weaknesses(self) -> tuple[str, ...]:
        """What keeps this database from surviving a power cut, in words; empty when nothing does."""

    async def watch(self) -> None:
        """Until cancelled: sees to it that whoever waits for a database that hangs is told within 2 s."""

    async def close(self) -> None: ...


def columns(rows: Iterable[Row]) -> list[list[Any]]:
    """Rows turned into columns, for PostgreSQL's unnest."""
    return [list(column) for column in zip(*rows, strict=True)]
