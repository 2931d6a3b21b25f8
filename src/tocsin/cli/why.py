"""`tocsin why`: why somebody was told, or was not."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url


def why(
    event_id: Annotated[str, typer.Argument(help="An event's id.")],
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Say what was decided about an event, rule by rule, and what became of its deliveries.

    Example: tocsin why evt_0198c5f2
    """
    from urllib.parse import quote

    from tocsin.cli.client import ask
    from tocsin.cli.output import rows, safe

    answer = ask("GET", f"/v1/events/{quote(event_id, safe='')}/why", url=url, token=token)
    if output == "json":
        rows([answer], (), "json")
        return
    print(safe(answer["summary"]))
    if answer["decisions"]:
        print()
        rows(answer["decisions"], ("rule", "verdict", "reason"), output)
    if answer["deliveries"]:
        print()
        rows(answer["deliveries"], ("id", "webhook_id", "status", "attempts", "reason"), output)
