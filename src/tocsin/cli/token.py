"""`tocsin token`: tokens, made where the store is."""

from typing import Annotated

import typer

from tocsin.cli.output import fail

app = typer.Typer(help="Tokens for the API.", no_args_is_help=True)


@app.callback()
def tokens() -> None:
    """Tokens for the API, made directly in the store: run this where the server runs, with its settings."""


@app.command()
def create(
    role: Annotated[str, typer.Option(help="viewer, developer or admin.")],
    tenant: Annotated[str, typer.Option(help="The tenant; one that does not exist is made.")] = "default",
    user: Annotated[str, typer.Option(help="Whose token it is; without it, a service's.")] = "",
    name: Annotated[str, typer.Option(help="What it is for.")] = "made on the command line",
) -> None:
    """Make a token and print it, alone, on standard output. It is shown this once.

    Example: export TOCSIN_TOKEN=$(tocsin token create --role admin)
    """
    from tocsin.cli.opening import command_line, run_with_store

    if role not in ("viewer", "developer", "admin"):
        fail(f"--role: expected viewer, developer or admin, found {role!r}.", 2)
    if not tenant or len(tenant) > 64 or not tenant.isascii() or not tenant.isprintable():
        fail("--tenant: expected 1 to 64 printable ASCII characters.", 2)

    from tocsin.app import App
    from tocsin.model.audit import Act
    from tocsin.web.api.tokens import make_token

    async def make(app: App) -> str:
        async with app.db.transaction() as tx:
            if await tx.fetch("insert_tenant", {"id": tenant, "name": tenant, "now": app.clock_ms()}):
                act = Act(tenant, command_line(), "tenant.create", "tenant", tenant, after={"name": tenant})
                await app.trail.add(tx, act)
        return (await make_token(app, tenant, name, role, user, None, by=command_line())).token

    print(run_with_store(make))
