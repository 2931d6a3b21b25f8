"""`tocsin members`: who belongs to a tenant, changed where the store is."""

from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import Output

if TYPE_CHECKING:
    from tocsin.store.identity import Member

app = typer.Typer(help="Members of a tenant, and their roles.", no_args_is_help=True)
Tenant = Annotated[str, typer.Option(help="The tenant.")]
User = Annotated[str, typer.Argument(metavar="USER", help="The user's id.")]
COLUMNS = ("user_id", "role", "name", "email", "created_at")


@app.callback()
def members() -> None:
    """Members of a tenant, and their roles. Changed directly in the store: run this where the server runs."""


@app.command("list")
def list_(tenant: Tenant = "default", output: Output = "auto") -> None:
    """Members, by user id.

    Example: tocsin members list --tenant ml
    """
    import msgspec

    from tocsin.app import App
    from tocsin.cli.opening import run_with_store
    from tocsin.cli.output import rows
    from tocsin.store import identity
    from tocsin.web.api.members import shown

    async def work(app: App) -> "list[Member]":
        await identity.get_tenant(app.db, tenant)
        return await identity.list_members(app.db, tenant, after="", limit=100_000)

    rows([msgspec.to_builtins(shown(member)) for member in run_with_store(work)], COLUMNS, output)


@app.command("set")
def set_(
    user: User,
    role: Annotated[str, typer.Option(help="viewer, developer or admin.")],
    tenant: Tenant = "default",
) -> None:
    """Add a member, or give one another role: their tokens have no more than that, within a second.

    Example: tocsin members set ana@example.com --role developer
    """
    from msgspec.structs import replace

    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.cli.output import fail
    from tocsin.model.access import ROLES, check_user_id
    from tocsin.model.audit import Act, changes
    from tocsin.store import identity
    from tocsin.web.api.members import shown

    if role not in ROLES:
        fail(f"--role: expected viewer, developer or admin, found {role!r}.", 2)

    async def work(app: App) -> None:
        await identity.get_tenant(app.db, tenant)
        known, now_ms = await identity.get_member(app.db, tenant, check_user_id("USER", user)), app.clock_ms()
        new = identity.Member(user, role, "", "", now_ms, now_ms)
        async with app.db.transaction() as tx:
            if known is None:
                await identity.add_member(tx, tenant, new, now_ms)
                act = Act(tenant, command_line(), "member.create", "member", user, after=changes(None, shown(new))[1])
            else:
                new = replace(known, role=role)
                await identity.change_member(tx, tenant, new, now_ms)
                old, after = changes(shown(known), shown(new))
                act = Act(tenant, command_line(), "member.update", "member", user, old, after)
            await app.trail.add(tx, act)

    run_with_store(work)


@app.command()
def remove(user: User, tenant: Tenant = "default") -> None:
    """Remove a member; their tokens end.

    Example: tocsin members remove ana@example.com
    """
    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.model.audit import Act
    from tocsin.store import identity

    async def work(app: App) -> None:
        async with app.db.transaction() as tx:
            await identity.remove_member(tx, tenant, user, app.clock_ms())
            await app.trail.add(tx, Act(tenant, command_line(), "member.delete", "member", user))

    run_with_store(work)
