"""`tocsin flow`: flows checked, and run without a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tocsin.flows.model import Flow
    from tocsin.settings import Settings

app = typer.Typer(help="Flows in YAML: checked, and run without a server.", no_args_is_help=True)

GOOD = ("SUCCESS", "WARNING")


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML, a flow in each.")],
) -> None:
    """Check flows: what is wrong stands there with its line. Tasks that Tocsin declares and never runs are named.

    Ends with 1 where something is wrong.

    \b
    Examples:
      tocsin flow validate flows/orders.yml
      tocsin flow validate flows/*.yml
    """
    from tocsin.cli.output import safe
    from tocsin.flows.library import text_of
    from tocsin.flows.model import opaque, tasks_of
    from tocsin.flows.reading import read_flow
    from tocsin.model.yaml_text import Wrong

    wrong = False
    for file in files:
        try:
            flow = read_flow(file, text_of(Path(file), file))
        except (Wrong, OSError) as error:
            wrong = True
            print(safe(error))
            continue
        print(safe(f"{file}: {flow.name}: {len(tasks_of(flow))} tasks"))
        for task in opaque(flow):
            print(safe(f"{file}:{task.line}: {task.id}: {task.type} is not run here, only declared"))
        for trigger in flow.triggers:
            if not trigger.kind:
                print(safe(f"{file}:{trigger.line}: {trigger.id}: {trigger.type} is not watched here"))
    if wrong:
        raise typer.Exit(1)


@app.command()
def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="YAML with a flow.")],
    inputs: Annotated[
        list[str], typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input of the flow; again for more.")
    ] = [],  # noqa: B006 - typer's way to say none
    from_env: Annotated[
        list[str],
        typer.Option(
            "--secret-from-env", metavar="NAME", help="secret('NAME') is this variable as it is; again for more."
        ),
    ] = [],  # noqa: B006
) -> None:
    """Run a flow in this process, without a server, and show its log.

    secret('NAME') comes from SECRET_NAME (base64) as in a server, or from NAME with --secret-from-env NAME. What goes
    out goes through the same guard: TOCSIN_ALLOW_TARGETS and the others hold.

    Ends with 0 for SUCCESS and WARNING, with 1 for everything else.

    \b
    Examples:
      tocsin flow run hello.yml
      tocsin flow run orders.yml --input day=2026-11-21 --secret-from-env CHANNEL_URL
    """
    import asyncio

    from tocsin.cli.opening import settings_or_fail
    from tocsin.cli.output import fail
    from tocsin.flows.inputs import checked_inputs
    from tocsin.flows.library import text_of
    from tocsin.flows.reading import read_flow
    from tocsin.model.errors import Invalid
    from tocsin.model.yaml_text import Wrong

    settings = settings_or_fail()
    try:
        flow = read_flow(file, text_of(Path(file), file))
        given = checked_inputs(flow, pairs(inputs))
    except (Wrong, OSError, Invalid) as error:
        fail(str(error), 2)
    secrets = dict(settings.secrets) | {name: variable(name) for name in from_env}
    state = asyncio.run(executed(flow, settings, given, secrets))
    if state not in GOOD:
        raise typer.Exit(1)


def pairs(given: list[str]) -> dict[str, str]:
    from tocsin.cli.output import fail

    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            fail(f"--input {one}: expected NAME=VALUE.", 2)
        found[name] = value
    return found


def variable(name: str) -> str:
    import os

    from tocsin.cli.output import fail

    value = os.environ.get(name)  # noqa: TID251 - the one that the caller names
    if value is None:
        fail(f"--secret-from-env {name}: there is no such variable.", 2)
    return value


async def executed(flow: "Flow", settings: "Settings", inputs: dict[str, Any], secrets: dict[str, str]) -> str:
    """Its state. What interrupts it is told to it: it is KILLED, and its afterExecution runs."""
    import asyncio
    import contextlib
    import signal

    from tocsin.app import clock_ms, new_id, world_of
    from tocsin.cli.output import safe
    from tocsin.flows.engine import execute
    from tocsin.flows.execution import Execution
    from tocsin.flows.reach import Lent
    from tocsin.flows.tasks import handlers

    async def show(event: dict[str, Any]) -> None:
        if event["type"] in ("stage.started", "stage.failed", "run.exceeded"):
            print(safe(f"{event['type']} {event.get('stage', '')}".rstrip()), flush=True)

    async def no_secret(name: str) -> None:
        """There is no store: what there is was given at the start."""

    world = world_of(settings)
    try:
        reach = Lent(
            now_ms=clock_ms,
            new_id=lambda: new_id("tsk"),
            envs=settings.envs,
            secret=no_secret,
            tell=show,
            send=world.send,
        )
        execution = Execution(
            flow,
            reach,
            id_=new_id("exe"),
            inputs=inputs,
            secrets={name.upper(): value for name, value in secrets.items()},
            said=lambda line: print(safe(line), flush=True),
        )
        going = asyncio.ensure_future(execute(execution, handlers(with_scripts=settings.flows_scripts)))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, going.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await going
    finally:
        await world.close()
    took = ((execution.ended_ms or clock_ms()) - execution.started_ms) / 1000
    print(safe(f"{flow.name} {execution.state} after {took:.1f} s"))
    return execution.state
