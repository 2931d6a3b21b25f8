"""`tocsin sources`: addresses for services that send what they send."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

app = typer.Typer(help="Addresses for services that send as they are: GitHub, GitLab, …", no_args_is_help=True)
COLUMNS = ("id", "kind", "name", "address_hint", "has_secret", "is_active", "updated_at")
Id = Annotated[str, typer.Argument(metavar="ID")]


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="github, gitlab, alertmanager, …")],
    name: Annotated[str, typer.Option(help="What people call it; the kind, if nothing is said.")] = "",
    secret: Annotated[
        bool, typer.Option("--secret", help="Read what the service signs with from standard input.")
    ] = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Give a service an address of its own, and print it, alone, on standard output. It is shown this once.

    Example: printf %s "$SECRET" | tocsin sources add github --secret
    """
    from tocsin.cli.client import ask
    from tocsin.cli.secret import read_value

    body = {"kind": kind, "name": name or kind} | ({"secret": read_value()} if secret else {})
    print(ask("POST", "/v1/sources", body, url=url, token=token)["url"])


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
