"""`tocsin sources`: addresses for services that send what they send."""

from typing import Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

app = typer.Typer(help="Addresses for services that send as they are: GitHub, GitLab, …", no_args_is_help=True)
COLUMNS = ("id", "kind", "name", "address_hint", "has_secret", "is_active", "updated_at")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `tocsin sources list` shows it.")]


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="github, gitlab, alertmanager, …")],
    name: Annotated[str, typer.Option(help="What people call it; the kind, if nothing is said.")] = "",
    secret: Annotated[
        bool, typer.Option("--secret", help="Read what the service signs with from standard input.")
    ] = False,
    settings: Annotated[str, typer.Option(help="The kind's own, as JSON, or @FILE.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Give a service an address of its own, and print it, alone, on standard output. It is shown this once.

    Example: printf %s "$SECRET" | tocsin sources add github --secret
    """
    from tocsin.cli.client import ask
    from tocsin.cli.secret import read_value

    body = {"kind": kind, "name": name or kind} | ({"secret": read_value()} if secret else {})
    if settings:
        body["settings"] = json_of(settings)
    print(ask("POST", "/v1/sources", body, url=url, token=token)["url"])


@app.command()
def preview(
    kind: Annotated[str, typer.Argument(help="mapping, github, gitlab, …")],
    settings: Annotated[str, typer.Option(help="The kind's own, as JSON, or @FILE.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """What a request would become: its body is read from standard input. Nothing is kept.

    Example: tocsin sources preview mapping --settings @mapping.json < body.json
    """
    from tocsin.cli.client import ask
    from tocsin.cli.output import fail, rows

    body = {"kind": kind, "body": json_of("@-"), "settings": json_of(settings) if settings else {}}
    found = ask("POST", "/v1/sources/preview", body, url=url, token=token)
    if found["ignored"]:
        fail(f"Nothing: {found['ignored']}", 1)
    rows(found["events"], ("type", "kind", "pipeline", "run_id", "stage", "severity", "title"), output)


def json_of(given: str) -> Any:
    """The JSON given, or that of a file after `@`, `@-` being standard input. Ends the command where it is none."""
    import json
    import sys
    from pathlib import Path

    from tocsin.cli.output import fail

    try:
        text = sys.stdin.read() if given == "@-" else Path(given[1:]).read_text("utf-8") if given[:1] == "@" else given
        return json.loads(text)
    except (OSError, ValueError) as error:
        fail(f"{given[:60]}: {error}", 2)


@app.command("list")
def list_(url: Url = DEFAULT_URL, token: Token = "", output: Output = "auto") -> None:
    """Sources, without their addresses and secrets.

    Example: tocsin sources list -o json
    """
    from tocsin.cli.client import ask_all
    from tocsin.cli.output import rows

    rows(ask_all("/v1/sources", url=url, token=token), COLUMNS, output)


@app.command()
def rotate(id_: Id, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """A new address, printed alone; the old one ends at once.

    Example: tocsin sources rotate src_01a1ff
    """
    from urllib.parse import quote

    from tocsin.cli.client import ask

    print(ask("POST", f"/v1/sources/{quote(id_, safe='')}/rotate", url=url, token=token)["url"])


@app.command()
def delete(id_: Id, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Delete a source: its address ends at once.

    Example: tocsin sources delete src_01a1ff
    """
    from urllib.parse import quote

    from tocsin.cli.client import ask

    ask("DELETE", f"/v1/sources/{quote(id_, safe='')}", url=url, token=token)
