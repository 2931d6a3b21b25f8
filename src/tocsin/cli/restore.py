"""`tocsin restore`: a back-up becomes the store."""

from pathlib import Path
from typing import Annotated

import typer


def restore(
    file: Annotated[str, typer.Argument(help="What `tocsin backup` wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Although there is a store already, which is kept beside the new one.")
    ] = False,
) -> None:
    """Make a back-up the store of this data directory; the server must not run.

    The back-up is checked, opened with the key and brought to this version as a copy; only then it takes the store's
    place. The key is TOCSIN_SECRET_KEY, else FILE.key where that lies beside the back-up, else the one in the data
    directory.

    What waited or was being sent when the back-up was made goes out once the server starts, also what was delivered
    since: receivers know it by its `webhook-id`. What was revoked or deleted since is back.

    Example: tocsin restore /backup/tocsin-2026-11-21.db
    """
    import asyncio
    import shutil
    from contextlib import ExitStack
    from datetime import UTC, datetime

    from msgspec.structs import replace

    from tocsin.app import DATABASE_FILE, KEY_FILE, clock_ms, data_file, lock_store, open_store
    from tocsin.cli.opening import EXPECTED, code_of, settings_or_fail
    from tocsin.cli.output import fail
    from tocsin.store.backup import PRIVATE, check, put_in_place, sync

    settings = settings_or_fail()
    if not settings.is_sqlite:
        fail("This is for SQLite. For PostgreSQL: pg_restore; docs/operations.md says how.", 2)
    source, key_beside = Path(file), Path(file + ".key")
    if not source.is_file():
        fail(f"{file}: there is no such file.", 2)

    async def bring_up(folder: Path, key: str) -> None:
        """Migrates the copy, and opens what only the right key opens."""
        db, _ = await open_store(replace(settings, data_dir=str(folder), secret_key=key), clock_ms())
        await db.close()

    with ExitStack() as stack:
        try:
            store, key_file = data_file(settings, DATABASE_FILE), data_file(settings, KEY_FILE)
            if lock := lock_store(settings):
                stack.callback(lock.close)
            if store.exists() and not force:
                fail(f"There is a store at {store}; --force puts it aside and takes the back-up.", 2)
            key = settings.secret_key
            for known in (key_beside, key_file):
                if not key and known.is_file():
                    key = known.read_text("utf-8").strip()
            if not key:
                places = f"{key_file}, {key_beside}, or TOCSIN_SECRET_KEY"
                fail(f"The key is missing, which the back-up was sealed with. It may be in {places}.", 2)
            found = check(source)
            folder = data_file(settings, "restoring")
            shutil.rmtree(folder, ignore_errors=True)  # of one that was cut short
            folder.mkdir(0o700)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            copy = folder / DATABASE_FILE
            shutil.copyfile(source, copy)
            asyncio.run(bring_up(folder, key))
            copy.chmod(PRIVATE)
            sync(copy)
            aside = datetime.fromtimestamp(clock_ms() / 1000, UTC).strftime(".%Y%m%dT%H%M%S.%fZ")
            if not settings.secret_key:
                keep_key(key, key_file, folder, aside)
            kept = put_in_place(copy, store, aside)
        except OSError as error:
            fail(f"{error.filename or file}: {error.strerror}. Nothing was replaced.", 1)
        except EXPECTED as error:
            fail(f"{error} Nothing was replaced.", code_of(error))
    print(f"{store}\t{found.events} events\t{found.waiting} deliveries that will be sent")
    if kept is not None:
        print(f"{kept}\tthe store that was there")


def keep_key(key: str, key_file: Path, folder: Path, aside: str) -> None:
    """The key is the data directory's from now on; another that was there is kept beside it."""
    import shutil

    from tocsin.store.backup import PRIVATE, sync

    if key_file.is_file():
        if key_file.read_text("utf-8").strip() == key:
            return
        shutil.copy2(key_file, key_file.with_name(key_file.name + aside))
    new = folder / key_file.name
    new.touch(PRIVATE)
    new.write_text(key + "\n", "utf-8")
    sync(new)
    new.replace(key_file)
