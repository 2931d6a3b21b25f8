"""`tocsin events`: what came in."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

COLUMNS = ("received_at", "id", "type", "severity", "pipeline", "run_id", "stage")


def events(
    pipeline: Annotated[str, typer.Option("-p", "--pipeline", help="Only of this pipeline.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Only of this type.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with those to come, until Ctrl-C")] = False,
) -> None:
    """The newest events; with --follow those to come, too.

    Example: tocsin events -p etl/orders --follow
    """
    from itertools import chain
    from urllib.parse import urlencode

    from tocsin.cli.client import ask
    from tocsin.cli.output import line, rows
    from tocsin.cli.stream import messages

    query = {"limit": str(limit)} | {k: v for k, v in (("pipeline", pipeline), ("type", type_)) if v}
    items = ask("GET", f"/v1/events?{urlencode(query)}", url=url, token=token)["items"]
    if not follow:
        rows(items, COLUMNS, output)
        return
    for event in chain(reversed(items), messages("event", pipeline, url=url, token=token)):
        if type_ in ("", event["type"]):
            line(event, COLUMNS, output)
