"""`tocsin why`: why somebody was told, or was not."""

from typing import Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

DECISIONS = ("rule", "verdict", "reason")
DELIVERIES = ("webhook", "status", "attempts", "fate", "id")
EVENTS = ("time", "event_id", "event_type", "stage", "summary")


def why(
    about: Annotated[str, typer.Argument(metavar="EVENT|RUN|PIPELINE", help="An event's id, a run's, or a pipeline.")],
    source: Annotated[str, typer.Option(help="Whose event, where two sources use one id.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Say who was told of an event, of a run or of a pipeline's newest run; and why nobody else was.

    \b
    Examples:
      tocsin why evt_0198c5f2
      tocsin why run_0198c5f2
      tocsin why etl/orders
    """
    from tocsin.cli.output import rows, safe

    answer = found(about, source, url, token)
    if output == "json":
        rows([answer], (), "json")
        return
    print(safe(answer["summary"]))
    tables = (("events", EVENTS),) if "events" in answer else (("decisions", DECISIONS), ("deliveries", DELIVERIES))
    for name, columns in tables:
        if answer[name]:
            print()
            rows(answer[name], columns, output)


def found(about: str, source: str, url: str, token: str) -> Any:
    """The answer about the event of this id, else about the newest run of this id or of this pipeline, else about the
    newest event of this pipeline: its events may belong to no run."""
    from urllib.parse import quote, urlencode

    from tocsin.cli.client import Refused, ask, try_to_ask
    from tocsin.cli.output import fail

    path = quote(about, safe="")
    if about.startswith("run_"):
        return ask("GET", f"/v1/runs/{path}/why", url=url, token=token)
    asked = f"?{urlencode({'source': source})}" if source else ""
    try:
        return try_to_ask("GET", f"/v1/events/{path}/why{asked}", url=url, token=token)
    except Refused as refused:
        if refused.status != 404 or source or about.startswith("evt_"):
            fail(refused.detail, 2)
    for field in ("run_id", "pipeline"):
        runs = ask("GET", f"/v1/runs?{urlencode({field: about, 'limit': 1})}", url=url, token=token)["items"]
        if runs:
            return ask("GET", f"/v1/runs/{runs[0]['id']}/why", url=url, token=token)
    events = ask("GET", f"/v1/events?{urlencode({'pipeline': about, 'limit': 1})}", url=url, token=token)["items"]
    if events:
        id_, asked = quote(events[0]["id"], safe=""), urlencode({"source": events[0]["source"]})
        return ask("GET", f"/v1/events/{id_}/why?{asked}", url=url, token=token)
    return fail(f"There is no event, no run and no pipeline called {about}: `tocsin events` lists what came in.", 2)
