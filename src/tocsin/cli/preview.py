"""`tocsin preview`: what a message would look like, before anybody gets it."""

from typing import Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url
from tocsin.cli.send import pair


def preview(
    provider: Annotated[str, typer.Option(help="A provider type, such as slack, teams or email.")] = "",
    webhook: Annotated[str, typer.Option(help="A webhook's id: its own provider and settings.")] = "",
    setting: Annotated[
        list[str] | None, typer.Option("-s", "--setting", help="name=value, value as JSON if it is; several times.")
    ] = None,
    sample: Annotated[str, typer.Option(help="A sample event, such as started; failed where no event is given.")] = "",
    event: Annotated[str, typer.Option(help="A file with one event as JSON; - reads it from standard input.")] = "",
    event_id: Annotated[str, typer.Option(help="An event that came in.")] = "",
    html: Annotated[str, typer.Option(help="Write how it would look to this file.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Show what would be sent for an event. Nothing is sent; secrets are shown as ***.

    The body goes to standard output, its size and its problems to standard error. Ends with 1 where there are problems.

    \b
    Examples:
      tocsin preview --provider slack --sample failed --html failed.html
      tocsin preview --provider teams --event event.json
      tocsin preview --webhook whk_0198 --event-id evt_0198c5f2 -o json
      tocsin preview --provider webhook -s format=simple
    """
    from tocsin.cli.client import ask
    from tocsin.cli.output import fail, rows

    asked: dict[str, Any] = {"provider_type": provider, "webhook_id": webhook, "sample": sample, "event_id": event_id}
    asked = {name: value for name, value in asked.items() if value}
    if event:
        asked["event"] = read_json(event)
    if not asked.keys() & {"sample", "event_id", "event"}:
        asked["sample"] = "failed"
    if setting:
        asked["settings"] = dict(pair("setting", one, as_json=True) for one in setting)
    found = ask("POST", "/v1/webhooks/preview", asked, url=url, token=token)
    if html:
        if found["html"] is None:
            fail(f"There is no picture of what {found['provider_type']} is sent: programs read it, or it is text.", 2)
        write(html, found)
    if output == "json":
        rows([found], (), "json")
    else:
        show(found)
    if found["problems"]:
        raise typer.Exit(1)


def read_json(path: str) -> Any:
    """Ends the command where there is no such file, or no JSON in it."""
    import json
    import sys
    from pathlib import Path

    from tocsin.cli.output import fail

    try:
        return json.loads(sys.stdin.read() if path == "-" else Path(path).read_text("utf-8"))
    except OSError as error:
        fail(f"{path}: {error.strerror}.", 2)
    except ValueError as error:
        fail(f"{path}: expected one event as JSON: {error}.", 2)


def show(found: dict[str, Any]) -> None:
    import json
    import sys

    from tocsin.cli.output import safe

    body = found["body"]
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    for line in text.splitlines():
        print(safe(line))
    method, limit = found["method"], found["limit_bytes"]
    print(safe(f"{method} {found['url']}".strip() + f": {found['size_bytes']:,} of {limit:,} bytes"), file=sys.stderr)
    for problem in found["problems"]:
        print(safe(f"problem: {problem}"), file=sys.stderr)


def write(path: str, found: dict[str, Any]) -> None:
    """A page of its own, which loads nothing and runs nothing. The run's message comes first, where there is one."""
    from pathlib import Path

    from tocsin.cli.output import fail

    page = found["html"]
    if found["html_kind"] == "fragment":
        root = found["root"]["html"] if found["root"] else ""
        page = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            "<meta http-equiv=\"content-security-policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            f"<title>Preview</title><style>body {{ margin: 0 }}{found['style']}</style></head>"
            f"<body>{root}{page}</body></html>\n"
        )
    try:
        Path(path).write_text(page, "utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror}.", 2)
