"""Numbered migrations: `0001_name.sql` for both stores, `0002_name.sqlite.sql` and `.postgres.sql` where they differ.

Each runs once, in a transaction that also notes it; of several processes that start together one migrates.

A store that is newer than this program is refused: an old program must not write what it does not understand. It is let
in where every newer migration begins with `-- compatible`, which promises that the version before reads and writes the
store as before: what is new may be missing from its writes (a table, an index, a column with a default).
So old and new run side by side while one takes the other's place.
"""

import hashlib
import re
from functools import cache
from importlib.resources import files

import apsw
import asyncpg
from msgspec import Struct

from tocsin.store.database import Database, StoreUnfit

NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)(?:\.(sqlite|postgres))?\.sql$")
COMPATIBLE = "-- compatible"
ALSO_COMPATIBLE = frozenset({24})
"""Those that only add, although their files do not say so; what has run stays as it is."""

LEDGER = """
CREATE TABLE IF NOT EXISTS migration (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS migration_compatible (number BIGINT PRIMARY KEY)
"""


class Migration(Struct, frozen=True):
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def is_compatible(self) -> bool:
        """Whether the version before may go on working meanwhile and afterwards."""
        return self.text.startswith(COMPATIBLE) or self.number in ALSO_COMPATIBLE


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    found = []
    for file in (files("tocsin.store") / "migrations").iterdir():
        name = NAME.match(file.name)
        if name and name[3] in (None, dialect):
            found.append(Migration(int(name[1]), name[2], for_dialect(file.read_text("utf-8"), dialect)))
    return tuple(sorted(found, key=lambda migration: migration.number))


def for_dialect(text: str, dialect: str) -> str:
    if dialect == "postgres":
        return text
    return re.sub(r"\bBYTEA\b", "BLOB", re.sub(r"\b(BIGINT|SMALLINT)\b", "INTEGER", text))


async def applied(database: Database) -> dict[int, tuple[str, str]]:
    await database.script(for_dialect(LEDGER, database.dialect))
    return {number: (name, checksum) for number, name, checksum in await database.read("applied_migrations")}


async def pending(database: Database) -> list[Migration]:
    """What `migrate` would run. Raises StoreUnfit where the store is newer than this program and not compatible with
    it, or was changed."""
    known = migrations(database.dialect)
    done = await applied(database)
    newer = set(done) - {migration.number for migration in known}
    if newer:
        newer -= {number for (number,) in await database.read("compatible_migrations")}
    if newer:
        last = max(newer)
        raise StoreUnfit(
            f"The store has migration {last} ({done[last][0]}), which this Tocsin does not know. "
            "Start the newer Tocsin that wrote it, or restore a backup made before the upgrade."
        )
    for migration in known:
        if migration.number in done and done[migration.number][1] != migration.checksum:
            raise StoreUnfit(
                f"Migration {migration.number} ({migration.name}) in the store differs from this program's."
            )
    return [migration for migration in known if migration.number not in done]


async def ahead(database: Database) -> list[str]:
    """What a newer version ran that this one does not know, where it may work on all the same; see `pending`."""
    known = {migration.number for migration in migrations(database.dialect)}
    return [
        f"{number:04d}_{name}" for number, (name, _) in sorted((await applied(database)).items()) if number not in known
    ]


async def migrate(database: Database) -> list[Migration]:
    """Runs what is pending; returns what ran. Safe to run again after a kill, and from several processes at once."""
    ran = []
    for migration in await pending(database):
        # The note first: a second process stops at it, unharmed.
        note = (
            "INSERT INTO migration (number, name, checksum) "  # noqa: S608 - the values are this program's own
            f"VALUES ({migration.number}, '{migration.name}', '{migration.checksum}');\n"
        )
        if migration.is_compatible:
            note += f"INSERT INTO migration_compatible (number) VALUES ({migration.number});\n"  # noqa: S608
        try:
            await database.script(note + migration.text)
        except (apsw.ConstraintError, asyncpg.UniqueViolationError):
            continue
        ran.append(migration)
    return ran
