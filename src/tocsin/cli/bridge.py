"""`tocsin bridge`: another program's live stream becomes events."""

from typing import Annotated

import typer

from tocsin.cli.options import DEFAULT_URL, Token, Url


def bridge(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="ws://, wss://, or http(s):// for SSE.")],
    to: Annotated[str, typer.Option(help="The address of a source: `tocsin sources add mapping` prints one.")] = "",
    kind: Annotated[str, typer.Option(help="Instead of --to: a source's kind, such as prefect, with the token.")] = "",
    header: Annotated[
        list[str] | None, typer.Option("-H", "--header", help="name: value, or name: @FILE; for the stream.")
    ] = None,
    say: Annotated[str, typer.Option(help="What to say first, where a WebSocket wants to be asked.")] = "",
    silent: Annotated[
        float, typer.Option(min=0, help="Seconds without a word after which to reconnect; 0: never.")
    ] = 0,
    state: Annotated[str, typer.Option(help="A file for the last message's id, to go on from after a restart.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Follow a program's WebSocket or server-sent events, and send each message to Tocsin.

    It reconnects by itself; server-sent events go on after the last one that was read. Without --to and --kind the
    messages have to be Tocsin's own events.

    \b
    Example:
      tocsin bridge wss://lab.example/ws --to "$ADDRESS"
    """
    import asyncio
    import contextlib
    import signal
    import sys
    from pathlib import Path

    from tocsin.app import draw, new_id
    from tocsin.cli.bridging import Bridge, Ended, Plan
    from tocsin.cli.output import fail, safe

    if not stream.startswith(("ws://", "wss://", "http://", "https://")):
        fail(f"STREAM: expected an address that begins with ws://, wss://, http:// or https://, found {stream!r}.", 2)
    if to and kind:
        fail("--to and --kind: expected one of them.", 2)
    plan = Plan(
        url=stream,
        to=to or f"{url.rstrip('/')}/v1/{f'ingest/{kind}' if kind else 'events'}",
        token="" if to else token,
        headers=dict(header_of(one) for one in header or ()),
        hello=say,
        silent_s=silent,
        state=Path(state) if state else None,
    )
    made = Bridge(
        plan,
        pause=asyncio.sleep,
        draw=draw,
        new_id=lambda: new_id("evt"),
        say=lambda said: print(f"tocsin: {safe(said)}", file=sys.stderr, flush=True),
    )

    async def until_told() -> None:
        task = asyncio.ensure_future(made.run())
        for one in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(one, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    try:
        asyncio.run(until_told())
    except Ended as ended:
        fail(str(ended), ended.code)
    finally:
        print(f"tocsin: {made.taken} taken, {made.refused} refused", file=sys.stderr)


def header_of(given: str) -> tuple[str, str]:
    from pathlib import Path

    from tocsin.cli.output import fail

    name, separator, value = given.partition(":")
    value = value.strip()
    if not separator or not name.strip():
        fail(f"--header: expected name: value, found {given[:40]!r}.", 2)
    if value.startswith("@"):
        try:
            value = Path(value[1:]).read_text("utf-8").strip()
        except OSError as error:
            fail(f"--header: {error}", 2)
    return name.strip(), value
