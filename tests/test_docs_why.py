"""docs/why.md and docs/config.md: every output on them is what the commands say."""

import asyncio
import os
import re
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from tests.harness import Clock, Hook, Reply, Running
from tocsin.cli.main import app
from tocsin.model.ids import Prefix

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
PAGES = ("docs/why.md", "docs/config.md", "docs/tutorial-on-call.md")
TWO_OCLOCK_MS = 1_795_269_600_000  # 2026-11-21 14:00 UTC, a Saturday
LIMITED = Reply(429, "", {"retry-after": "600"})
BLOCK = re.compile(r"<!-- why: (?P<name>[\w-]+) -->\n```\n(?P<body>.*?)```\n", re.DOTALL)
FILE = re.compile(r"<!-- file: (?P<name>[\w.-]+) -->\n```yaml\n(?P<body>.*?)```\n", re.DOTALL)
ID = re.compile(r"\b(evt|run|whk|rul|dlv|sil)_[0-9a-f]{16}\b")
REASONS = re.compile(r"<!-- reasons -->\n(.*?)<!-- end -->", re.DOTALL)


@pytest.fixture
def clock() -> Clock:
    found = Clock()
    found.now_ms = TWO_OCLOCK_MS
    return found


class Story:
    """What happened before a command is run. Ids are shorter than usual, so that lines are."""

    def __init__(self, tocsin: Running) -> None:
        self.tocsin = tocsin
        self.made = 0
        tocsin.app.new_id = tocsin.app.intake.new_id = self.new_id
        self.hook: Hook = tocsin.receiver.slack()

    def new_id(self, prefix: Prefix) -> str:
        self.made += 1
        return f"{prefix}_{self.tocsin.clock.now_ms:012x}{self.made:04x}"

    async def ops(self, **webhook: Any) -> dict[str, Any]:
        return await self.tocsin.webhook(self.hook, name="ops", **webhook)

    async def rule(self, **fields: Any) -> None:
        await self.tocsin.rule(await self.ops(), name="on-call", **fields)

    async def failed(self, id_: str, run_id: str = "r1", **event: Any) -> None:
        standard = {"type": "run.failed", "pipeline": "etl/orders"}
        await self.tocsin.send(**standard | {"id": id_, "run_id": run_id} | event)
        await self.tocsin.settle()


async def on_call(story: Story) -> None:
    """A silence has hidden the end of a run."""
    await silence(story, "orders-0211", quiet=True)


async def nothing(story: Story) -> None:
    """Nothing came in."""


async def label(story: Story) -> None:
    webhook = await story.ops()
    await story.tocsin.rule(webhook, name="training", event_types=["training.*"])
    await story.tocsin.rule(webhook, name="on-call", event_types=["run.failed"], labels={"env": "prod"})
    await story.failed("orders-0212", labels={"env": "staging"})


async def condition(story: Story) -> None:
    await story.rule(condition="data.rows < 1000")
    await story.failed("orders-0213", data={"row_count": 12})


async def silence(story: Story, id_: str = "orders-0214", *, quiet: bool = False) -> None:
    await story.rule(event_types=["run.failed"])
    ana = await story.tocsin.as_("developer", user="ana")
    given = {"matchers": [{"field": "pipeline", "value": "etl/*"}], "duration_s": 7200, "reason": "deploy"}
    (await ana.post("/v1/silences", given)).ok(201)
    if quiet:
        await story.failed("started", type="run.started")
        await story.tocsin.move(751)
    await story.failed(id_, data={"error": "connection refused"})


async def changes(story: Story) -> None:
    webhook = await story.ops()
    await story.tocsin.rule(webhook, name="on-call", pipelines=["etl/orders"], changes={})
    await story.tocsin.rule(
        webhook, name="often", pipelines=["etl/items"], window={"kind": "failures", "count": 3, "within_s": 3600}
    )
    await story.failed("orders-0210")
    story.hook.expect(1)
    await story.tocsin.move(900)
    await story.failed("orders-0215", "r2")
    await story.failed("items-0215", "r9", pipeline="etl/items")


async def provisional(story: Story) -> None:
    await story.rule(event_types=["*.failed"])
    await story.failed("started", type="run.started")
    await story.failed("load-failed", type="stage.failed", stage="load")


async def waits(story: Story) -> None:
    await story.rule(group={"by": ["pipeline"], "wait_s": 300})
    await story.failed("orders-0216")


async def folded(story: Story) -> None:
    await waits(story)
    await story.failed("orders-0217", "r2")
    await story.tocsin.wait_out()
    story.hook.expect(1)


async def flag(story: Story) -> None:
    tuning = story.tocsin.app.tuning
    tuning["slack"] = replace(tuning["slack"], off="NOTIFICATIONS_SLACK_ENABLED is off")
    await story.ops(enabled_events=["run.*"])
    await story.failed("orders-0218")


async def disabled(story: Story) -> None:
    await story.rule(retry={"max_attempts": 1})
    story.hook.always(500)
    for number in range(10):
        await story.failed(f"e{number}", f"r{number}")
        await story.tocsin.wait_out()
    story.hook.expect(10)
    await story.failed("orders-0219", "r99")


async def limited(story: Story) -> None:
    await story.rule()
    story.hook.always(LIMITED)
    await story.failed("first")
    await story.tocsin.move(1)
    story.hook.expect(1)
    await story.failed("orders-0220", "r2")


async def dead(story: Story) -> None:
    await story.rule(retry={"max_attempts": 3})
    story.hook.always(503)
    await story.failed("orders-0221")
    await story.tocsin.wait_out()
    story.hook.expect(3)


async def preview(story: Story) -> None:
    await story.rule(event_types=["run.failed", "run.succeeded"])
    for number, type_ in enumerate(("run.failed", "run.failed", "run.failed", "run.succeeded")):
        await story.failed(f"orders-{number}", f"r{number}", type=type_)
        await story.tocsin.move(60)
    story.hook.expect(4)


async def config(story: Story) -> None:
    """An empty server."""


async def config_plan(story: Story) -> None:
    await story.tocsin.rule(
        await story.tocsin.webhook(story.hook, name="on-call"), name="failures", event_types=["run.failed"]
    )
    for number in range(31):
        await story.tocsin.send(id=f"e{number}", type="run.failed", pipeline=f"etl/{number % 9}", run_id=str(number))
    await story.tocsin.wait_out()
    story.hook.expect(31)


STORIES: dict[str, Callable[[Story], Awaitable[None]]] = {
    "on-call": on_call, "nothing": nothing, "label": label, "condition": condition, "silence": silence,
    "changes": changes, "provisional": provisional, "waits": waits, "folded": folded, "flag": flag,
    "disabled": disabled, "limited": limited, "dead": dead, "preview": preview, "rules-test": nothing,
    "config": config, "config-plan": config_plan, "rota": nothing,
}  # fmt: skip
"""What each block of the pages tells of."""


def blocks() -> dict[str, tuple[str, str]]:
    """By name: the page and what stands in the block."""
    return {
        found["name"]: (page, found["body"])
        for page in PAGES
        for found in BLOCK.finditer((ROOT / page).read_text("utf-8"))
    }


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the pages show, in the folder where the commands are run."""
    for page in PAGES:
        for found in FILE.finditer((ROOT / page).read_text("utf-8")):
            (tmp_path / found["name"]).write_text(found["body"], "utf-8")
    monkeypatch.chdir(tmp_path)


async def said(tocsin: Running, line: str) -> str:
    """What a command shows on a terminal: tables where there are any."""
    words = shlex.split(line)[1:]
    if words[0] != "config":
        words += ["-o", "table"]
    environment = {
        "TOCSIN_URL": tocsin.client.base,
        "TOCSIN_TOKEN": tocsin.client.token,
        "ON_CALL_URL": "https://hooks.slack.com/services/T0000000Z/B0000000Z/" + "Z" * 24,
        "WAREHOUSE_KEY": "k3y",
    }
    done = await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)
    text = str(done.stdout + done.stderr)
    known = list(dict.fromkeys(found[0] for found in ID.finditer(text)))
    return ID.sub(lambda found: f"{found[1]}_01a1fe682300000{known.index(found[0]) + 1}", text)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", STORIES)
async def test_every_output_is_what_the_commands_say(
    tocsin: Running, name: str, request: pytest.FixtureRequest
) -> None:
    page, shown = blocks()[name]
    await STORIES[name](Story(tocsin))
    made = []
    for line in shown.splitlines():
        if line.startswith("$ "):
            made.append(f"{line}\n{await said(tocsin, line[2:])}")
    now = "\n".join(made)
    if request.config.getoption("--update-golden"):
        text = (ROOT / page).read_text("utf-8")
        begin = f"<!-- why: {name} -->\n```\n"
        (ROOT / page).write_text(text.replace(begin + shown, begin + now), "utf-8")
    else:
        assert now == shown, f"{page} shows something else for {name}: run `make golden`"


def test_every_block_has_a_story() -> None:
    assert set(blocks()) == set(STORIES)


def test_every_reason_named_is_one_that_is_given() -> None:
    """What the table explains stands in the sources word for word."""
    table = REASONS.search((ROOT / "docs/why.md").read_text("utf-8"))
    assert table is not None
    sources = "".join(
        Path(folder, name).read_text("utf-8")
        for folder, _, names in os.walk(ROOT / "src/tocsin")
        for name in names
        if name.endswith((".py", ".sql"))
    )
    rows = [line for line in table[1].splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    for row in rows:
        for reason in re.findall(r"`([^`]+)`", row.split("|")[1]):
            assert reason in sources, f"nothing says “{reason}”"
