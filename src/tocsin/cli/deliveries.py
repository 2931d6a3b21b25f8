"""`tocsin deliveries`: the log, and sending again."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

app = typer.Typer(help="Deliveries: the log, and sending again.", no_args_is_help=True)
COLUMNS = ("created_at", "id", "event_type", "webhook_id", "status", "attempts", "http_status_code", "reason")


@app.command("list")
def list_(
    status: Annotated[str, typer.Option(help="Such as dead, retrying or delivered.")] = "",
    webhook: Annotated[str, typer.Option(help="Only this webhook.")] = "",
    event: Annotated[str, typer.Option(help="Only this event.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """The newest deliveries.

    Example: tocsin deliveries list --status dead
    """
    from urllib.parse import urlencode

    from tocsin.cli.client import ask
    from tocsin.cli.output import rows

    given = (("status", status), ("webhook_id", webhook), ("event_id", event))
    query = {"limit": str(limit)} | {name: value for name, value in given if value}
    found = ask("GET", f"/v1/deliveries?{urlencode(query)}", url=url, token=token)
    while not found["items"] and found["next"]:  # so many were looked through, and none fits; there are older ones
        more = urlencode(query | {"cursor": found["next"]})
        found = ask("GET", f"/v1/deliveries?{more}", url=url, token=token)
    rows(found["items"], COLUMNS, output)


@app.command()
def replay(
    delivery: Annotated[str, typer.Argument(help="A delivery's id; leave it out to choose by filter.")] = "",
    webhook: Annotated[str, typer.Option(help="All that failed of this webhook.")] = "",
    since: Annotated[str, typer.Option(help="All that failed since then, such as 2026-11-21T14:00:00Z.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Send again what failed: one delivery, or all that match.

    \b
    Examples:
      tocsin deliveries replay dlv_0198c5f2
      tocsin deliveries replay --webhook whk_0198 --since 2026-11-21T14:00:00Z --dry-run
    """
    from urllib.parse import quote

    from tocsin.cli.client import ask
    from tocsin.cli.output import fail, rows

    if delivery:
        rows(
            [ask("POST", f"/v1/deliveries/{quote(delivery, safe='')}/replay", {}, url=url, token=token)],
            COLUMNS,
            output,
        )
        return
    if not webhook and not since:
        fail("Name a delivery, or choose with --webhook or --since.", 2)
    body = {"dry_run": dry_run} | {k: v for k, v in (("webhook_id", webhook), ("since", since)) if v}
    rows([ask("POST", "/v1/deliveries/replay", body, url=url, token=token)], ("count", "replayed", "dry_run"), output)
