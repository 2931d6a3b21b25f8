"""`tocsin migrate`: brings the store to this program's version."""

from typing import Annotated

import typer


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Only say what is pending; exit 1 if anything is.")] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Only print what would run, as SQL, and whether the version before may run on."),
    ] = False,
) -> None:
    """Run pending migrations. `tocsin serve` does so by itself; this is for doing it beforehand.

    \b
    Examples:
      tocsin migrate --check
      tocsin migrate --plan
    """
    import asyncio

    from tocsin.app import open_database
    from tocsin.cli.opening import EXPECTED, code_of, settings_or_fail
    from tocsin.cli.output import fail
    from tocsin.store.migrate import Migration, pending
    from tocsin.store.migrate import migrate as run

    settings = settings_or_fail()

    async def work() -> list[Migration]:
        db = await open_database(settings)
        try:
            return await pending(db) if check or plan else await run(db)
        finally:
            await db.close()

    try:
        found = asyncio.run(work())
    except EXPECTED as error:
        fail(str(error), code_of(error))
    for migration in found:
        name = f"{migration.number:04d}_{migration.name}"
        if plan:
            meanwhile = "the version before may run on" if migration.is_compatible else "stop the version before first"
            print(f"-- {name}: {meanwhile}\n{migration.text}")
        else:
            print(f"{'pending' if check else 'migrated'}\t{name}")
    if not found:
        print("-- up to date" if plan else "up to date")
    raise typer.Exit(1 if check and found else 0)
