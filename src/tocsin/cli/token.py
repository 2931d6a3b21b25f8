"""`tocsin token`: tokens, made and ended where the store is."""

from typing import Annotated

import typer

from tocsin.cli.options import Output

app = typer.Typer(help="Tokens for the API.", no_args_is_help=True)
Tenant = Annotated[str, typer.Option(help="The tenant.")]
COLUMNS = ("id", "name", "user_id", "role", "scopes", "hint", "expires_at", "last_used_at", "revoked_at")


@app.callback()
def tokens() -> None:
    """Tokens for the API, made directly in the store: run this where the server runs, with its settings."""


@app.command()
def create(
    role: Annotated[str, typer.Option(help="viewer, developer or admin.")] = "",
    tenant: Annotated[str, typer.Option(help="The tenant; one that does not exist is made.")] = "default",
    user: Annotated[str, typer.Option(help="Whose token it is; without it, a service's.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="ingest, read, write or admin, several times; without it, all of the role.")
    ] = None,
    expires: Annotated[str, typer.Option(help="How long it holds: 12h, 30d. Without it, until it is revoked.")] = "",
    operator: Annotated[
        bool, typer.Option("--operator", help="For whoever runs Tocsin: sees tenants, and nothing of theirs.")
    ] = False,
    name: Annotated[str, typer.Option(help="What it is for.")] = "made on the command line",
) -> None:
    """Make a token and print it, alone, on standard output. It is shown this once.

    \b
    Examples:
      export TOCSIN_TOKEN=$(tocsin token create --role admin)
      tocsin token create --role developer --scope ingest --name airflow
      tocsin token create --operator --expires 12h
    """
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.cli.output import fail
    from tocsin.cli.spans import seconds
    from tocsin.model.access import OPERATOR, ROLES
    from tocsin.model.ids import DEFAULT_TENANT, OPERATOR_TENANT

    if operator and (role or user or tenant != DEFAULT_TENANT):
        fail("--operator: expected neither --role nor --tenant nor --user, for it belongs to no tenant.", 2)
    if not operator and role not in ROLES:
        fail(f"--role: expected viewer, developer or admin, found {role!r}.", 2)
    lifetime_s = seconds("--expires", expires) if expires else None

    from tocsin.app import App
    from tocsin.model.access import check_tenant_id, check_user_id
    from tocsin.model.audit import Act
    from tocsin.web.api.tokens import make_token

    async def make(app: App) -> str:
        expires_ms = None if lifetime_s is None else app.clock_ms() + lifetime_s * 1000
        by = command_line()
        if operator:
            made = await make_token(app, OPERATOR_TENANT, name, OPERATOR, "", expires_ms, tuple(scope or ()), by=by)
            return made.token
        check_tenant_id("--tenant", tenant)
        if user:
            check_user_id("--user", user)
        async with app.db.transaction() as tx:
            if await tx.fetch("insert_tenant", {"id": tenant, "name": tenant, "now": app.clock_ms()}):
                await app.trail.add(tx, Act(tenant, by, "tenant.create", "tenant", tenant, after={"name": tenant}))
        return (await make_token(app, tenant, name, role, user, expires_ms, tuple(scope or ()), by=by)).token

    print(run_with_store(make))


@app.command("list")
def list_(
    tenant: Tenant = "default",
    operator: Annotated[bool, typer.Option("--operator", help="The operator's own.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Those that were revoked, too.")] = False,
    output: Output = "auto",
) -> None:
    """Tokens, without the tokens.

    Example: tocsin token list --tenant ml
    """
    import msgspec

    from tocsin.app import App
    from tocsin.cli.opening import run_with_store
    from tocsin.cli.output import rows
    from tocsin.model.ids import OPERATOR_TENANT
    from tocsin.store import identity
    from tocsin.web.api.tokens import shown

    async def work(app: App) -> list[identity.Token]:
        whose = OPERATOR_TENANT if operator else tenant
        return await identity.list_tokens(app.db, whose, after="", limit=100_000)

    found = [msgspec.to_builtins(shown(token)) for token in run_with_store(work)]
    items = [item for item in found if all_ or item["revoked_at"] is None]
    if output != "json":
        items = [item | {"scopes": " ".join(item["scopes"])} for item in items]
    rows(items, COLUMNS, output)


@app.command()
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `tocsin token list` shows it: tok_…")],
    tenant: Tenant = "default",
    operator: Annotated[bool, typer.Option("--operator", help="One of the operator's own.")] = False,
) -> None:
    """End a token, in every process within a second.

    Example: tocsin token revoke tok_0198c5f2
    """
    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.model.audit import Act
    from tocsin.model.errors import NotFound
    from tocsin.model.ids import OPERATOR_TENANT
    from tocsin.store import identity

    whose = OPERATOR_TENANT if operator else tenant

    async def work(app: App) -> None:
        async with app.db.transaction() as tx:
            if not await identity.revoke_token(tx, whose, id_, app.clock_ms()):
                raise NotFound(f"There is no token {id_} in the tenant {whose}, or it was revoked before.")
            await app.trail.add(tx, Act(whose, command_line(), "token.revoke", "token", id_))

    run_with_store(work)
