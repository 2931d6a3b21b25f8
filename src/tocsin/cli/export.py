"""`tocsin export`: deliveries or events as a file."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Token, Url

WHAT = ("deliveries", "events")
FORMATS = ("csv", "jsonl")


def export(
    what: Annotated[str, typer.Argument(help="deliveries or events.")],
    where: Annotated[
        list[str] | None,
        typer.Option("-w", "--where", help="A filter of the list in the API, such as status=dead; again for more."),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="csv, or jsonl: a JSON object a line.")] = "csv",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many rows at the most.")] = 100_000,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Write the delivery log, or events, to standard output, newest first.

    \b
    Examples:
      tocsin export deliveries -w status=dead -w since=2026-11-21T00:00:00Z > dead.csv
      tocsin export events --format jsonl -w pipeline=etl/orders > events.jsonl
    """
    import sys
    from urllib.parse import urlencode

    from tocsin.cli.client import parts
    from tocsin.cli.output import fail

    if what not in WHAT:
        fail(f"{what}: expected one of {', '.join(WHAT)}.", 2)
    if format_ not in FORMATS:
        fail(f"--format {format_}: expected one of {', '.join(FORMATS)}.", 2)
    query = [("format", format_), ("limit", str(limit))]
    for one in where or []:
        name, is_there, value = one.partition("=")
        if not is_there:
            fail(f"--where {one}: expected NAME=VALUE, such as status=dead.", 2)
        query.append((name, value))
    for part in parts(f"/v1/{what}/export?{urlencode(query)}", url=url, token=token):
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
