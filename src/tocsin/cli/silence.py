"""`tocsin silence`: keep messages back for a while."""

from typing import Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

app = typer.Typer(invoke_without_command=True)
COLUMNS = ("id", "status", "matches", "starts_at", "ends_at", "hidden", "created_by", "reason")


@app.callback()
def silence(
    context: typer.Context,
    pipeline: Annotated[str, typer.Option("-p", "--pipeline", help="A pipeline, or a pattern such as 'etl/*'.")] = "",
    rule: Annotated[str, typer.Option(help="A rule's name or id.")] = "",
    webhook: Annotated[str, typer.Option(help="A webhook's name or id.")] = "",
    match: Annotated[
        list[str] | None, typer.Option("-m", "--match", help="severity=warning, labels.env!=prod; several times.")
    ] = None,
    for_: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d, 1h30m.")] = "",
    until: Annotated[str, typer.Option(help="Its end, such as 2026-11-21T14:00:00Z.")] = "",
    hours: Annotated[
        list[str] | None, typer.Option(help="Only in these hours, which come back: 22:00-06:00; several times.")
    ] = None,
    zone: Annotated[str, typer.Option(help="The time zone of --hours.")] = "UTC",
    reason: Annotated[str, typer.Option(help="Why; it is shown with every message that is kept back.")] = "",
    dry_run: Annotated[bool, typer.Option(help="Only say what it would have kept back in the last day.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Keep messages back for a while. Everything is decided and recorded nevertheless; at the end one message tells
    what was kept back.

    \b
    Examples:
      tocsin silence --pipeline 'etl/*' --for 2h --reason 'new cluster'
      tocsin silence -m severity=warning -m 'labels.env!=prod' --until 2026-11-21T14:00:00Z
      tocsin silence --pipeline backup --hours 02:00-04:00 --zone Europe/Berlin
    """
    if context.invoked_subcommand is not None:
        return
    from tocsin.cli.client import ask
    from tocsin.cli.output import fail, rows
    from tocsin.cli.spans import seconds

    named = (("pipeline", pipeline), ("rule", rule), ("endpoint", webhook))
    matchers = [{"field": field, "value": value} for field, value in named if value]
    matchers += [matcher(one) for one in match or ()]
    if not matchers:
        fail("Say what to silence: --pipeline, --rule, --webhook or --match.", 2)
    body: dict[str, Any] = {"matchers": matchers}
    if hours:
        body["hours"] = [span(one) | {"time_zone": zone} for one in hours]
    if dry_run:
        found = ask("POST", "/v1/silences/preview", body, url=url, token=token)
        rows([found], ("since", "messages", "hidden"), output)
        return
    if not (for_ or until or hours):
        fail("Say how long: --for, --until or --hours.", 2)
    body["reason"] = reason
    if for_:
        body["duration_s"] = seconds("--for", for_)
    if until:
        body["ends_at"] = until
    show([ask("POST", "/v1/silences", body, url=url, token=token)], output)


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """The silences that are on or to come.

    Example: tocsin silence list --all
    """
    from urllib.parse import urlencode

    from tocsin.cli.client import ask

    query = {"limit": str(limit)} | ({} if all_ else {"status": "open"})
    show(ask("GET", f"/v1/silences?{urlencode(query)}", url=url, token=token)["items"], output)


@app.command()
def end(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `tocsin silence list` shows it.")],
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """End a silence now.

    Example: tocsin silence end sil_0198c5f2
    """
    from urllib.parse import quote

    from tocsin.cli.client import ask

    ask("DELETE", f"/v1/silences/{quote(id_, safe='')}", url=url, token=token)


def show(items: list[dict[str, Any]], output: str) -> None:
    from tocsin.cli.output import rows

    told = [item | {"matches": " ".join(map(matched, item["matchers"]))} for item in items]
    rows(items if output == "json" else told, COLUMNS, output)


def matched(one: dict[str, Any]) -> str:
    return f"{one['field']}{'!=' if one.get('negate') else '='}{one['value']}"


def matcher(text: str) -> dict[str, Any]:
    """`labels.env!=prod`. Ends the command for anything else."""
    from tocsin.cli.output import fail

    field, equals, value = text.partition("=")
    if not equals or not field.removesuffix("!") or not value:
        fail(f"--match {text}: expected field=value or field!=value.", 2)
    return {"field": field.removesuffix("!"), "value": value, "negate": field.endswith("!")}


def span(text: str) -> dict[str, str]:
    from tocsin.cli.output import fail

    start, dash, end_ = text.partition("-")
    if not dash:
        fail(f"--hours {text}: expected a start and an end, such as 22:00-06:00.", 2)
    return {"start": start.strip(), "end": end_.strip()}
