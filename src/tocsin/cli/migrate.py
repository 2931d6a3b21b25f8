"""`tocsin migrate`: brings the store to this program's version."""

from typing import Annotated

import typer


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Only say what is pending; exit 1 if anything is.")] = False,
) -> None:
    """Run pending migrations. `tocsin serve` does so by itself; this is for doing it beforehand.

    Example: tocsin migrate --check
    """
    import asyncio

    from tocsin.app import open_database
    from tocsin.cli.opening import EXPECTED, code_of, settings_or_fail
    from tocsin.cli.output import fail
    from tocsin.store.migrate import migrate as run
    from tocsin.store.migrate import pending

    settings = settings_or_fail()

    async def work() -> list[str]:
        db = await open_database(settings)
        try:
            found = await pending(db) if check else await run(db)
            return [f"{migration.number:04d}_{migration.name}" for migration in found]
        finally:
            await db.close()

    try:
        names = asyncio.run(work())
    except EXPECTED as error:
        fail(str(error), code_of(error))
    for name in names:
        print(f"{'pending' if check else 'migrated'}\t{name}")
    if not names:
        print("up to date")
    raise typer.Exit(1 if check and names else 0)
