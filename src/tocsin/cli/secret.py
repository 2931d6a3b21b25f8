"""`tocsin secret`: secrets that webhooks refer to as `secret:NAME`."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

app = typer.Typer(help="Secrets that webhooks refer to as secret:NAME.", no_args_is_help=True)
COLUMNS = ("name", "source", "usable_by", "used_by", "updated_by", "updated_at", "description")
Name = Annotated[str, typer.Argument(metavar="NAME", help="What `secret:NAME` refers to.")]


@app.command("set")
def set_(
    name: Name,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    usable_by: Annotated[
        str | None, typer.Option(help="admin (if nothing is said) or developer: who may put it into a webhook.")
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Make or replace a secret. Its value is read from standard input, to the end; one line break at the end is no part
    of it. A replaced one is used by every webhook that refers to it from the next message on.

    Example: printf %s "$URL" | tocsin secret set ONCALL_URL
    """
    from typing import Any
    from urllib.parse import quote

    from tocsin.cli.client import Refused, ask, try_to_ask
    from tocsin.cli.output import fail

    body: dict[str, Any] = {"value": read_value()}
    body |= {} if description is None else {"description": description}
    body |= {} if usable_by is None else {"usable_by": usable_by}
    try:
        try_to_ask("PUT", f"/v1/secrets/{quote(name, safe='')}", body, url=url, token=token)
    except Refused as refused:
        if refused.status != 404:
            fail(refused.detail, 2)
        ask("POST", "/v1/secrets", {"name": name, **body}, url=url, token=token)


def read_value() -> str:
    """Ends the command where there is nothing, or no text. On a terminal it is asked for, and not shown."""
    import sys
    from getpass import getpass

    from tocsin.cli.output import fail

    if sys.stdin.isatty():
        return getpass("Value: ")
    try:
        value = sys.stdin.buffer.read(100_000).decode()
    except UnicodeDecodeError:
        fail("Standard input: expected text in UTF-8.", 2)
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        fail("Standard input: expected the value, found nothing.", 2)
    return value


@app.command("list")
def list_(url: Url = DEFAULT_URL, token: Token = "", output: Output = "auto") -> None:
    """Secrets by name: who, when and where used, never values.

    Example: tocsin secret list -o json
    """
    from tocsin.cli.client import ask_all
    from tocsin.cli.output import rows

    items = ask_all("/v1/secrets", url=url, token=token)
    told = [item | {"used_by": ", ".join(user["name"] for user in item["used_by"])} for item in items]
    rows(items if output == "json" else told, COLUMNS, output)


@app.command()
def delete(name: Name, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Delete a secret that no webhook refers to.

    Example: tocsin secret delete ONCALL_URL
    """
    from urllib.parse import quote

    from tocsin.cli.client import ask

    ask("DELETE", f"/v1/secrets/{quote(name, safe='')}", url=url, token=token)
