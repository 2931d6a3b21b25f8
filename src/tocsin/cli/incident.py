"""`tocsin incident`: everything about a run or an event, to keep and to write a post-mortem from."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Token, Url

PRIVATE = 0o600


def incident(
    about: Annotated[str, typer.Argument(metavar="RUN|EVENT|PIPELINE", help="A run's id, an event's, or a pipeline.")],
    to: Annotated[str, typer.Argument(metavar="FILE.zip|FOLDER", help="What is written: a ZIP file, or a new folder.")],
    source: Annotated[str, typer.Option(help="Whose event, where two sources use one id.")] = "",
    around: Annotated[str, typer.Option(help="How long before and after it what people changed belongs to it.")] = "1h",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Write down an incident: its run, events, decisions, messages with every attempt, the silences that were on, the
    rules and webhooks that it met and, with an admin's token, what people changed meanwhile.

    It is what the API shows to this token, secrets masked: `incident.json` has everything, `incident.md` the story for
    people, with a timeline. A pipeline stands for its newest run.

    \b
    Examples:
      tocsin incident run_0198c5f2 orders.zip
      tocsin incident etl/orders orders-outage/ --around 4h
    """
    import asyncio
    from datetime import UTC, datetime, timedelta
    from urllib.parse import urlencode

    from tocsin.app import clock_ms
    from tocsin.cli.client import Refused, try_to_ask
    from tocsin.cli.output import fail
    from tocsin.cli.spans import seconds
    from tocsin.cli.why import found as reasons
    from tocsin.web.incident import collected, files, zipped

    target = Path(to)
    margin = timedelta(seconds=seconds("--around", around))
    if target.exists():
        fail(f"{to} is there already: name another.", 2)
    if not target.parent.is_dir():
        fail(f"{target.parent} is not a folder.", 2)

    async def ask(path: str, **query: Any) -> Any:
        asked = f"?{urlencode(query)}" if query else ""
        try:
            return try_to_ask("GET", path + asked, url=url, token=token)
        except Refused as refused:
            if refused.status == 404:
                return None
            fail(refused.detail, 2)

    why = reasons(about, source, url, token)
    found = asyncio.run(collected(ask, why, datetime.fromtimestamp(clock_ms() / 1000, UTC), margin))
    try:
        if target.suffix == ".zip":
            write(target, zipped(found, target.stem))
        else:
            target.mkdir(0o700)
            for name, content in files(found).items():
                write(target / name, content)
    except OSError as error:
        fail(f"{error.filename or to}: {error.strerror}.", 1)
    print(f"{to}\t{len(found['events'])} events\t{len(found['deliveries'])} deliveries")
    for note in found["left_out"]:
        print(f"left out\t{note}")


def write(path: Path, content: bytes) -> None:
    """Readable by its owner alone: it holds what pipelines said."""
    import os

    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as out:
        out.write(content)
