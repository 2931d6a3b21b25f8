"""`tocsin send`: one event from the shell."""

from typing import Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url


def send(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="Such as run.failed.")],
    pipeline: Annotated[str, typer.Option("-p", "--pipeline", help="Which pipeline it is about.")] = "",
    run_id: Annotated[str, typer.Option("-r", "--run-id", help="Which run of it.")] = "",
    stage: Annotated[str, typer.Option("-s", "--stage", help="Which part of the run.")] = "",
    title: Annotated[str, typer.Option(help="One line; made from the rest where it is not given.")] = "",
    message: Annotated[str, typer.Option("-m", "--message", help="What happened, in words.")] = "",
    severity: Annotated[str, typer.Option(help="info, warning, error or critical.")] = "",
    label: Annotated[list[str] | None, typer.Option("-l", "--label", help="name=value; several times.")] = None,
    data: Annotated[
        list[str] | None, typer.Option("-d", "--data", help="name=value, value as JSON if it is; several times.")
    ] = None,
    link: Annotated[list[str] | None, typer.Option(help="name=https://…; several times.")] = None,
    id_: Annotated[str, typer.Option("--id", help="The same id twice is stored once.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Send one event.

    \b
    Example:
      tocsin send run.failed -p etl/orders -r 2026-11-21 -d error='disk full' -l env=prod
    """
    from tocsin.cli.client import ask
    from tocsin.cli.output import rows

    event: dict[str, Any] = {"type": type_, "source": "cli"}
    given = {"pipeline": pipeline, "run_id": run_id, "stage": stage, "title": title, "message": message}
    given |= {"severity": severity, "id": id_}
    event |= {name: value for name, value in given.items() if value}
    for name, pairs in (("labels", label), ("links", link), ("data", data)):
        if pairs:
            event[name] = dict(pair(name, text, as_json=name == "data") for text in pairs)
    rows([ask("POST", "/v1/events", event, url=url, token=token)], ("id", "duplicate"), output)


def pair(option: str, text: str, *, as_json: bool) -> tuple[str, Any]:
    import json

    from tocsin.cli.output import fail

    name, separator, value = text.partition("=")
    if not separator or not name:
        fail(f"--{option.rstrip('s')}: expected name=value, found {text!r}.", 2)
    if as_json:
        try:
            return name, json.loads(value)
        except ValueError:
            pass
    return name, value
