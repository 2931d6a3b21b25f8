"""`tocsin backup`: a copy of the SQLite store, made while a server runs."""

from typing import Annotated

import typer


def backup(
    file: Annotated[str, typer.Argument(help="Where the back-up goes; its folder has to exist.")],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the key beside it, as FILE.key: whoever has both has every secret.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of this name.")] = False,
) -> None:
    """Copy the store to FILE while the server runs; nobody waits for it.

    The copy is that of one moment: everything that was acknowledged before it began is in it. It holds the whole
    database (events, runs, deliveries, log, endpoints, rules, tokens' hashes), checked and readable by its owner alone.
    It does not hold the settings, nor the key that opens the sealed addresses and secrets: keep that apart.

    \b
    Examples:
      tocsin backup /backup/tocsin-$(date +%F).db
      tocsin backup --with-key /mnt/safe/tocsin.db
    """
    import os
    from pathlib import Path

    from tocsin.app import DATABASE_FILE, KEY_FILE
    from tocsin.cli.opening import EXPECTED, code_of, settings_or_fail
    from tocsin.cli.output import fail
    from tocsin.store.backup import PRIVATE, back_up, sync

    settings = settings_or_fail()
    if not settings.is_sqlite:
        fail("This is for SQLite. For PostgreSQL: pg_dump --format=custom; docs/operations.md says how.", 2)
    store, target = Path(settings.data_dir) / DATABASE_FILE, Path(file)
    if not store.exists():
        fail(f"There is no store at {store}: check TOCSIN_DATA_DIR.", 2)
    if not target.parent.is_dir():
        fail(f"{target.parent} is not a folder.", 2)
    if target.is_dir() or (target.exists() and target.samefile(store)):
        fail(f"{target}: expected a file of its own.", 2)
    key_file = target.with_name(target.name + ".key")
    try:
        if with_key:
            key = settings.secret_key or (Path(settings.data_dir) / KEY_FILE).read_text("utf-8").strip()
        found = back_up(store, target, replace=force)
        if with_key:
            key_file.unlink(missing_ok=True)
            with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w") as out:
                out.write(key + "\n")
            sync(key_file)
            sync(key_file.parent)
    except FileExistsError:
        fail(f"{file} is there already; --force replaces it.", 2)
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}.", 1)
    except EXPECTED as error:
        fail(str(error), code_of(error))
    print(f"{file}\t{found.size} bytes\t{found.events} events\t{found.waiting} deliveries that wait")
    if with_key:
        print(f"{key_file}\tthe key: keep it where the back-up is not")
    else:
        where = "TOCSIN_SECRET_KEY" if settings.secret_key else str(Path(settings.data_dir) / KEY_FILE)
        print(f"not in it: the key ({where}), without which its secrets cannot be opened; and the settings")
