"""`tocsin`: the commands and their exit codes."""

import sys
from typing import Annotated

import typer

from tocsin import __version__
from tocsin.cli import (
    audit,
    backup,
    bridge,
    config,
    deliveries,
    demo,
    doctor,
    events,
    export,
    flow,
    import_,
    incident,
    keys,
    members,
    migrate,
    preview,
    restore,
    rollout,
    rules,
    secret,
    send,
    serve,
    setup_link,
    sign_in_link,
    silence,
    sources,
    tenant,
    token,
    why,
)
from tocsin.cli import (
    run as run_,
)

OK, CHECK_FAILED, USAGE, NOT_ALLOWED, UNREACHABLE = 0, 1, 2, 3, 4

app = typer.Typer(
    name="tocsin",
    help=(
        "A self-hosted alarm bell for pipelines, workflows and machine-learning runs.\n\n"
        "Commands that talk to a server read TOCSIN_URL (http://127.0.0.1:8000) and TOCSIN_TOKEN.\n\n"
        "Exit codes: 0 ok, 1 a check failed, 2 usage, 3 not allowed, 4 unreachable."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def say_version(wanted: bool) -> None:
    if wanted:
        print(f"tocsin {__version__}")
        raise typer.Exit


@app.callback()
def tocsin(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    pass


app.command()(serve.serve)
app.command(short_help="Watch a sample pipeline fail and recover, and who is told.")(demo.demo)
app.command()(send.send)
app.command(context_settings={"allow_interspersed_args": False})(run_.run)
app.command(short_help="Follow a program that only publishes: WebSocket, SSE.")(bridge.bridge)
app.command()(events.events)
app.command(short_help="Write out the delivery log, or events, as files.")(export.export)
app.command(short_help="Say who was told of an event or a run, and why.")(why.why)
app.command(short_help="Write down a run or an event with all about it.")(incident.incident)
app.command()(preview.preview)
app.add_typer(rules.app, name="rules", short_help="Rules before they are trusted: tests, previews.")
app.add_typer(config.app, name="config")
app.command("import", short_help="Read the configuration of another program.")(import_.import_)
app.add_typer(flow.app, name="flow")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(silence.app, name="silence")
app.add_typer(token.app, name="token")
app.add_typer(audit.app, name="audit")
app.add_typer(secret.app, name="secret")
app.add_typer(sources.app, name="sources", short_help="Addresses for services that send as they are.")
app.add_typer(members.app, name="members")
app.add_typer(tenant.app, name="tenant")
app.add_typer(rollout.app, name="rollout", short_help="Switch parts on for chosen tenants, or for everybody.")
app.add_typer(keys.app, name="keys")
app.command()(setup_link.setup_link)
app.command()(sign_in_link.sign_in_link)
app.command()(migrate.migrate)
app.command(short_help="Copy the store to a file while the server runs.")(backup.backup)
app.command(short_help="Make a back-up the store of this data directory.")(restore.restore)
app.command(short_help="Check this machine, the settings and the store.")(doctor.doctor)


def run() -> None:
    """The entry point."""
    sys.exit(app() or OK)


if __name__ == "__main__":
    run()
