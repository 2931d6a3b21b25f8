"""`tocsin keys`: the keys that seal secrets, where the store is."""

from typing import TYPE_CHECKING

import typer

from tocsin.cli.options import Output

if TYPE_CHECKING:
    from tocsin.settings import Settings
    from tocsin.store.sealing import Keyring

app = typer.Typer(help="The keys that seal secrets.", no_args_is_help=True)
COLUMNS = ("key", "state", "what", "count")


@app.callback()
def keys() -> None:
    """The keys that seal secrets, read directly from the store: run this where the server runs, with its settings.
    A key is shown by its id, 8 hex digits."""


def known_keys(settings: "Settings") -> "Keyring":
    """Raises SettingsError where there is none: a key that is made now could open nothing."""
    from pathlib import Path

    from tocsin.app import KEY_FILE, keyring_of
    from tocsin.settings import SettingsError

    if not settings.secret_key and not (Path(settings.data_dir) / KEY_FILE).exists():
        raise SettingsError(f"There is no key here: set TOCSIN_SECRET_KEY, or put {KEY_FILE} into the data directory.")
    return keyring_of(settings)


@app.command()
def status(output: Output = "auto") -> None:
    """Say how much each key has sealed. Exit code 1 where something waits for `tocsin keys rotate`, or was sealed with
    a key that is not known here.

    Example: tocsin keys status
    """
    from msgspec.structs import asdict

    from tocsin.app import open_database
    from tocsin.cli.opening import run, settings_or_fail
    from tocsin.cli.output import fail, rows
    from tocsin.store.keys import Use, uses, waits

    settings = settings_or_fail()

    async def count() -> list[Use]:
        keyring = known_keys(settings)
        db = await open_database(settings)
        try:
            return await uses(db, keyring)
        finally:
            await db.close()

    found = run(count)
    rows([asdict(use) for use in found], COLUMNS, output)
    unknown = sorted({use.key for use in found if use.state == "unknown" and "signed" not in use.what})
    if unknown:
        fail(f"Put the key {', '.join(unknown)} back: TOCSIN_SECRET_KEY=new,old. Nothing was changed.", 1)
    if left := waits(found):
        fail(f"{left} values wait to be sealed with the active key: tocsin keys rotate.", 1)


@app.command()
def rotate() -> None:
    """Seal everything with the active key: the first of TOCSIN_SECRET_KEY. Servers may run meanwhile, if they know both
    keys; it may be stopped, and run again.

    Example: tocsin keys rotate
    """
    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.cli.output import fail
    from tocsin.store import keys as store

    async def seal(app: App) -> store.Rotated:
        return await store.rotate(app.db, app.keyring, app.trail, command_line())

    done = run_with_store(seal)
    print(f"{done.rows} rows were sealed anew; the audit trails of {done.trails} tenants go on under the new key.")
    if done.left:
        fail(f"{len(done.left)} rows open with no known key, and were left: {', '.join(done.left[:5])}.", 1)
