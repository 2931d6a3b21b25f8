"""`tocsin tenant`: who shares this Tocsin, changed where the store is."""

from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import Output

if TYPE_CHECKING:
    from tocsin.store.identity import Tenant

app = typer.Typer(help="Tenants: who shares this Tocsin.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="The tenant's id.")]


@app.callback()
def tenants() -> None:
    """Who shares this Tocsin; each sees their own. Changed directly in the store: run this where the server runs."""


@app.command("list")
def list_(output: Output = "auto") -> None:
    """Tenants.

    Example: tocsin tenant list
    """
    import msgspec

    from tocsin.app import App
    from tocsin.cli.opening import run_with_store
    from tocsin.cli.output import rows
    from tocsin.store import identity
    from tocsin.web.api.tenants import shown

    async def work(app: App) -> "list[Tenant]":
        return await identity.list_tenants(app.db, after="", limit=100_000)

    found = [msgspec.to_builtins(shown(tenant)) for tenant in run_with_store(work)]
    rows(found, ("id", "name", "created_at", "suspended_at"), output)


@app.command()
def create(id_: Id, name: Annotated[str, typer.Option(help="What people call it.")] = "") -> None:
    """Make a tenant. `tocsin token create --tenant ID --role admin` makes its first token.

    Example: tocsin tenant create ml --name 'Machine learning'
    """
    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.model.access import check_tenant_id
    from tocsin.model.errors import Conflict
    from tocsin.store import identity
    from tocsin.web.api.tenants import audit

    async def work(app: App) -> None:
        tenant = identity.Tenant(check_tenant_id("ID", id_), name or id_, app.clock_ms(), None)
        async with app.db.transaction() as tx:
            if not await identity.make_tenant(tx, tenant):
                raise Conflict(f"There is a tenant {id_}, or there was one: its id is not given again.")
            await audit(tx, app, id_, "create", command_line(), None, tenant)

    run_with_store(work)


@app.command()
def rename(id_: Id, name: Annotated[str, typer.Argument(help="What people call it.")]) -> None:
    """Give a tenant another name; its id stays.

    Example: tocsin tenant rename ml 'Machine learning'
    """
    change(id_, "update", name)


@app.command()
def suspend(id_: Id) -> None:
    """Refuse a tenant's tokens within a second, and let its messages wait.

    Example: tocsin tenant suspend ml
    """
    change(id_, "suspend")


@app.command()
def resume(id_: Id) -> None:
    """End a suspension: what waited goes out.

    Example: tocsin tenant resume ml
    """
    change(id_, "resume")


@app.command()
def limits(
    id_: Id,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=NUMBER…", help="0 is no limit, NAME= the standard one.")
    ] = None,
    output: Output = "auto",
) -> None:
    """What a tenant may do at the most, and what it does; or other limits for it. Servers follow within two seconds.

    Example: tocsin tenant limits ml events_per_s=500 rules=200
    """
    import msgspec

    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.cli.output import rows
    from tocsin.model.errors import Invalid
    from tocsin.store import limits as store
    from tocsin.web.api.limits import LimitsIn, changed_limits, used
    from tocsin.web.routes import decode

    given: dict[str, int] = {}
    for change_ in changes or ():
        name, _, number = change_.partition("=")
        if number and not number.isdigit():
            raise typer.BadParameter(f"{change_}: expected NAME=NUMBER, such as rules=200")
        given[name] = int(number) if number else -1

    async def work(app: App) -> "dict[str, object]":
        known = await store.own(app.db, id_)
        wanted = {name: number for name, number in (known | given).items() if number >= 0}
        if unknown := sorted(set(given) - set(LimitsIn.__struct_fields__)):
            raise Invalid(unknown[0], "an unknown limit", f"one of {', '.join(LimitsIn.__struct_fields__)}")
        if given:
            checked = decode(msgspec.json.encode(wanted), LimitsIn)
            async with app.db.transaction() as tx:
                await changed_limits(tx, app, id_, checked, command_line())
        found: dict[str, object] = msgspec.to_builtins((await used(app, id_, None)).limits)
        return found

    found = run_with_store(work)
    listed = [{"limit": name} | msgspec.to_builtins(one) for name, one in found.items()]
    rows(listed, ("limit", "value", "standard", "used"), output)


@app.command()
def delete(id_: Id) -> None:
    """Delete a tenant. Nothing of it can be reached any more; its id is not given again.

    Example: tocsin tenant delete ml
    """
    change(id_, "delete")


def change(id_: str, verb: str, name: str = "") -> None:
    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.store import identity
    from tocsin.web.api.tenants import changed_tenant

    async def work(app: App) -> None:
        known = await identity.get_tenant(app.db, id_)
        async with app.db.transaction() as tx:
            await changed_tenant(tx, app, known, verb, command_line(), name)

    run_with_store(work)
