"""`tocsin rollout`: who has the alert engine and each kind of endpoint, changed where the store is."""

from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import Output

if TYPE_CHECKING:
    from tocsin.web.api.rollout import RolloutsOut

app = typer.Typer(help="Switch the alert engine and kinds of endpoints on for chosen tenants.", no_args_is_help=True)


@app.callback()
def rollouts() -> None:
    """Off, for chosen tenants, or for everybody. Changed directly in the store: run this where the server runs."""


@app.command()
def show(output: Output = "auto") -> None:
    """Who has what.

    Example: tocsin rollout show
    """
    import msgspec

    from tocsin.app import App
    from tocsin.cli.opening import run_with_store
    from tocsin.cli.output import rows
    from tocsin.web.api.rollout import shown

    async def work(app: App) -> "RolloutsOut":
        return await shown(app, app.db)

    found = run_with_store(work).features
    listed = [{"feature": feature} | msgspec.to_builtins(one) for feature, one in found.items()]
    if output != "json":
        listed = [one | {"tenants": ",".join(one["tenants"])} for one in listed]
    rows(listed, ("feature", "state", "tenants", "setting", "updated_at", "updated_by"), output)


@app.command("set")
def set_(
    feature: Annotated[str, typer.Argument(help="alerts, or a provider_type such as slack.")],
    state: Annotated[str, typer.Argument(help="off, on, or tenants:a,b.")],
) -> None:
    """Give a feature to nobody, to everybody, or to chosen tenants. Servers follow within two seconds.

    Example: tocsin rollout set alerts tenants:ml,ops
    """
    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.model.rollout import parse
    from tocsin.store import rollouts
    from tocsin.web.api.rollout import RolloutIn, checked, roll_out

    async def work(app: App) -> None:
        wanted = parse("STATE", feature, state)
        rollout = checked(app, feature, RolloutIn(wanted.state, wanted.tenants))
        async with app.db.transaction() as tx:
            await rollouts.hold(tx)
            await roll_out(tx, app, rollout, command_line())

    run_with_store(work)
