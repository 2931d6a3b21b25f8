"""`tocsin events`: what came in."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

COLUMNS = ("received_at", "id", "type", "severity", "pipeline", "run_id", "stage")


def events(
    pipeline: Annotated[str, typer.Option("-p", "--pipeline")] = "",
    type_: Annotated[str, typer.Option("--type")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """The newest events.

    Example: tocsin events -p etl/orders
    """
    from urllib.parse import urlencode

    from tocsin.cli.client import ask
    from tocsin.cli.output import rows

    query = {"limit": str(limit)} | {k: v for k, v in (("pipeline", pipeline), ("type", type_)) if v}
    rows(ask("GET", f"/v1/events?{urlencode(query)}", url=url, token=token)["items"], COLUMNS, output)
