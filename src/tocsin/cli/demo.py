"""`tocsin demo`: Tocsin on this machine alone, a pipeline that fails and recovers, and a page of what arrives."""

from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.output import fail, safe

if TYPE_CHECKING:
    from starlette.routing import Route

    from tocsin.app import App
    from tocsin.cli.demo_page.receivers import Receivers
    from tocsin.cli.demo_page.story import Story
    from tocsin.settings import Settings

HOST = "127.0.0.1"


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Another one is taken where it is in use.")] = 8000,
    data_dir: Annotated[str, typer.Option(help="Keep the data here; without it, it goes when the demo ends.")] = "",
    slack_webhook_url: Annotated[
        str, typer.Option(envvar="SLACK_WEBHOOK_URL", help="Send to this channel too, for real.")
    ] = "",
    exit_after_story: Annotated[
        bool, typer.Option("--exit-after-story", help="End once every message has arrived; exit 1 if one has not.")
    ] = False,
) -> None:
    """Watch a sample pipeline run, fail and recover, and see what Slack, Teams, Discord, mail and others get.

    It needs no account and nothing leaves this machine, unless SLACK_WEBHOOK_URL is set. Other settings are not read.

    Example: tocsin demo --port 8123
    """
    import tempfile

    from tocsin.cli.opening import EXPECTED, code_of

    try:
        if data_dir:
            code = run(port, data_dir, slack_webhook_url, exit_after_story)
        else:
            with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder:
                code = run(port, folder, slack_webhook_url, exit_after_story)
    except EXPECTED as error:
        fail(str(error), code_of(error))
    raise typer.Exit(code)


def run(port: int, data_dir: str, real_slack: str, exit_after_story: bool) -> int:
    """The exit code."""
    from tocsin.cli.logs import set_up_logging
    from tocsin.cli.running import run_process
    from tocsin.providers.slack import check_address

    if real_slack:
        check_address(real_slack)
    free = free_port(port)
    if free != port and port:
        print(f"Port {port} is in use; the demo takes {free}.")
    settings = settings_for(free, data_dir)
    set_up_logging(settings)
    show = Show(real_slack, exit_after_story)
    code = run_process(
        settings, api=True, works=True, extra=show.routes, meanwhile=show.tell,
        greeting=lambda link: welcome(settings.url, link, real_slack),
    )  # fmt: skip
    return code or int(exit_after_story and not show.passed)


def free_port(wanted: int) -> int:
    """`wanted` where nobody listens there, else one that the system picks."""
    from tocsin.web.server import listen

    try:
        listening = listen(HOST, wanted)
    except OSError:
        listening = listen(HOST, 0)
    with listening:
        found: int = listening.getsockname()[1]
    return found


def settings_for(port: int, data_dir: str) -> "Settings":
    """The defaults, so that a demo never touches the store that the environment names. What is meant for a fake's hosts
    comes here; an incoming webhook of Slack's is none of them, and a real one gets its messages."""
    from tocsin.cli.demo_page.channels import new_channels
    from tocsin.settings import read_settings

    here = f"http://{HOST}:{port}"
    hosts = [
        host for channel in new_channels().values() for host in channel.fake.hosts if not host.startswith("hooks.")
    ]
    return read_settings(
        {
            "TOCSIN_DATA_DIR": data_dir,
            "TOCSIN_HOST": HOST,
            "TOCSIN_PORT": str(port),
            "TOCSIN_ALLOW_TARGETS": f"{HOST}:{port}",
            "TOCSIN_CONNECT_TO": ",".join(f"{host}={here}" for host in hosts),
            "TOCSIN_LOG_LEVEL": "error",
        }
    )


class Show:
    """The demo inside a running Tocsin: its routes, and what happens meanwhile."""

    def __init__(self, real_slack: str, exit_after_story: bool) -> None:
        self.real_slack = real_slack
        self.exit_after_story = exit_after_story
        self.began_ms = 0
        self.passed = False
        self.receivers: Receivers | None = None

    def routes(self, app: "App") -> "tuple[Route, ...]":
        from tocsin.cli.demo_page.receivers import Receivers
        from tocsin.cli.demo_page.story import READER
        from tocsin.model.ids import DEFAULT_TENANT
        from tocsin.store import inbox, log

        self.began_ms = app.clock_ms()
        self.receivers = Receivers(
            app.clock_ms,
            lambda text: self.say(app, text),
            fail_once="run.failed",
            inbox=lambda: inbox.list_(app.db, DEFAULT_TENANT, READER, before=log.LAST, limit=50, only_unread=False),
        )
        return self.receivers.routes()

    def say(self, app: "App", text: str) -> None:
        """One line with the seconds since the start."""
        print(f"{(app.clock_ms() - self.began_ms) / 1000:5.1f} s  {safe(text)}", flush=True)

    async def tell(self, app: "App") -> None:
        """The story, then what to try next; ends only where it was asked to."""
        import asyncio

        from tocsin.cli.demo_page.story import Story

        assert self.receivers is not None, "the routes are made before the server starts"
        story = Story(app, self.receivers, lambda text: self.say(app, text), self.real_slack)
        try:
            await story.set_up()
            await story.tell()
            self.passed = story.passed
            print(f"\n{story.summary()}", flush=True)
        except typer.Exit:  # `ask` has said why
            print("\nThe story broke off.", flush=True)
        if self.exit_after_story:
            return
        print(what_next(story), flush=True)
        await asyncio.Event().wait()


def welcome(url: str, setup_link: str, real_slack: str) -> str:
    also = "SLACK_WEBHOOK_URL is set: that channel gets the messages too.\n" if real_slack else ""
    account = f"Its dashboard, with an account:\n  {setup_link}\n" if setup_link else f"Its dashboard:\n  {url}\n"
    return (
        f"Tocsin runs here, with fakes of Slack, Teams, Discord, SendGrid, PagerDuty and a webhook receiver.\n{also}\n"
        f"What people get:\n  {url}/demo\n{account}\n"
    )


def what_next(story: "Story") -> str:
    tocsin = command()
    curl = (
        f"curl {story.url}/v1/events -H 'Authorization: Bearer {story.token}' \\\n"
        '    -d \'{"type": "run.failed", "pipeline": "mine", "data": {"error": "disk full"}}\''
    )
    return f"""
Try next, in another terminal:

  {curl}

  export TOCSIN_URL={story.url} TOCSIN_TOKEN={story.token}
  {tocsin} deliveries list
  {tocsin} why {story.missed_event}   # why nobody heard of the few rows dropped at last

Ctrl-C ends the demo."""


def command() -> str:
    """`tocsin` as this process was called, so that the lines can be copied."""
    import sys

    return sys.argv[0] if sys.argv[0].endswith("/tocsin") else "tocsin"
