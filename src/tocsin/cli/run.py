"""`tocsin run`: tells of any command's start, end and log."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Token, Url


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD", help="The command and its arguments.")],
    pipeline: Annotated[str, typer.Option("-p", "--pipeline", help="The command's name where it is not given.")] = "",
    run_id: Annotated[str, typer.Option("-r", "--run-id", help="Made where it is not given.")] = "",
    label: Annotated[list[str] | None, typer.Option("-l", "--label", help="name=value; several times.")] = None,
    heartbeat_s: Annotated[float, typer.Option("--heartbeat", min=0, help="Seconds; 0: none.")] = 60.0,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Run a command and tell Tocsin how it went. Its output passes through, its exit code is this command's.

    What cannot be sent is kept on the disk and sent by the next client; the command never fails because of it.

    \b
    Example:
      tocsin run -p backup/orders -- pg_dump orders -f /backup/orders.sql
    """
    import logging
    import sys
    from pathlib import Path

    from tocsin.cli.output import safe
    from tocsin.cli.send import pair
    from tocsin_client import Tocsin
    from tocsin_client.command import watched

    labels = dict(pair("labels", text, as_json=False) for text in label or ())
    client = Tocsin(url, token, source="tocsin run")
    about = client.run(pipeline or Path(command[0]).name, run_id or None, labels=labels, heartbeat_s=heartbeat_s)
    logging.getLogger("tocsin_client").setLevel(logging.ERROR)  # the command's output is the command's
    code = watched(about, command, {"TOCSIN_URL": url, "TOCSIN_TOKEN": token})
    client.close()
    found = client.stats()
    if found["away"]:
        print(f"tocsin: not told yet, but kept and sent later: {safe(found['last_error'])}", file=sys.stderr)
    elif found["refused"]:
        print(f"tocsin: refused: {safe(found['last_error'])}", file=sys.stderr)
    sys.exit(code)
