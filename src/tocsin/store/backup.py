"""Back-ups of an SQLite store: a copy made while a server runs, checked before it gets its name, and put back whole.

PostgreSQL has tools of its own for this; docs/operations.md shows them.
"""

import os
from pathlib import Path

import apsw
from msgspec import Struct

from tocsin.store.database import StoreUnavailable, StoreUnfit

PRIVATE = 0o600
WAIT_MS = 5000


class Copied(Struct, frozen=True):
    """What a back-up holds. `migration` is the newest that ran in it; times are Unix milliseconds."""

    size: int
    migration: int
    events: int
    waiting: int
    newest_event_ms: int | None


def back_up(store: Path, file: Path, *, replace: bool = False) -> Copied:
    """Copies the store as one moment has it, whoever writes meanwhile; nobody waits for it.

    The copy is checked, is readable by its owner alone, and is on the disk before it is called `file`: a back-up that
    was cut short never looks like one. Raises FileExistsError, StoreUnavailable and StoreUnfit.
    """
    if file.exists() and not replace:
        raise FileExistsError(file)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE))
    try:
        try:
            copy_pages(store, part)
        except apsw.CorruptError as error:
            raise StoreUnfit(f"{store}: {error}") from error
        except apsw.Error as error:
            raise StoreUnavailable(f"{store} could not be copied to {file}: {error}") from error
        found = check(part)
        sync(part)
        os.replace(part, file)
        sync(file.parent)
    finally:
        part.unlink(missing_ok=True)
    return found


def copy_pages(store: Path, part: Path) -> None:
    """In one step: it reads one snapshot of the write-ahead log, where a copy in several steps would begin anew with
    every commit of the server's."""
    source = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READWRITE)
    target = apsw.Connection(str(part))
    try:
        source.set_busy_timeout(WAIT_MS)
        with target.backup("main", source, "main") as copying:
            copying.step()
        target.pragma("journal_mode", "delete")  # one file, with no log beside it
    finally:
        target.close()
        source.close()


def check(file: Path) -> Copied:
    """What a back-up holds. Raises StoreUnfit where it is damaged or is not Tocsin's."""
    try:
        copy = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise StoreUnfit(f"{file} cannot be read: {error}.") from error
    try:
        copy.pragma("ignore_check_constraints", True)  # a row that breaks one is no damage: better backed up than not
        damage = [row[0] for row in copy.execute("PRAGMA integrity_check")]
        if damage != ["ok"]:
            raise StoreUnfit(f"{file} is damaged: {'; '.join(damage[:3])}")
        ((migration,),) = copy.execute("SELECT max(number) FROM migration")
        ((events, newest_ms),) = copy.execute("SELECT count(*), max(received_ms) FROM event")
        ((waiting,),) = copy.execute("SELECT count(*) FROM delivery WHERE status IN ('pending', 'sending', 'retrying')")
    except apsw.Error as error:
        raise StoreUnfit(f"{file} is not a store of Tocsin's: {error}.") from error
    finally:
        copy.close()
    return Copied(file.stat().st_size, migration, events, waiting, newest_ms)


def put_in_place(copy: Path, store: Path, aside: str) -> Path | None:
    """Makes `copy` the store. A store that was there is kept beside it with `aside` at the end of its name, which is
    returned. At every moment, however it ends, there is one whole store. Nobody may have it open."""
    kept = None
    if store.exists():
        fold_log(store)
        kept = store.with_name(store.name + aside)
        os.link(store, kept)
        for ending in ("-wal", "-shm"):  # of a store that could not be opened: its log must not meet the new one
            log = store.with_name(store.name + ending)
            if log.exists():
                os.replace(log, kept.with_name(kept.name + ending))
    os.replace(copy, store)
    sync(store.parent)
    return kept


def fold_log(store: Path) -> None:
    """Brings what is still in the write-ahead log into the file."""
    try:
        connection = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            connection.close()
    except apsw.Error:
        return  # damaged: it is put aside as it is


def sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
