"""docs/tutorial-pipeline.md: its commands, in its order, and what Slack shows after each of them."""

import asyncio
import json
import re
import shlex
from html import unescape
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.harness import Clock, Running
from tests.test_docs import blocks
from tocsin.cli.main import app
from tocsin.fakes.slack import FakeSlack, Message
from tocsin.previews import slack as drawing

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/tutorial-pipeline.md"
TWO_OCLOCK_MS = 1_795_226_400_000
"""2026-11-21 02:00 UTC"""
STEP_S = 20
PART = re.compile(r"```sh\n(?P<commands>.*?)```|<!-- slack -->\n```\n(?P<shown>.*?)```", re.DOTALL)
MARKS = {"white_check_mark": "✅", "x": "❌"}
TOKEN = "xoxb-1234567890-tocsin-fake-workspace"


@pytest.fixture
def clock() -> Clock:
    found = Clock()
    found.now_ms = TWO_OCLOCK_MS
    return found


def lines_of(message: Message) -> list[str]:
    """What a message shows, a line for each part; the preview's picture of it, without the picture."""
    body = {"text": message.text, "blocks": message.blocks, "attachments": message.attachments}
    html = drawing.html(msgspec.json.encode(body)).partition("<span>APP</span></p>")[2]
    html = re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    parts = re.split(r"</?(?:p|h3|li|div|ul|article|hr)\b[^>]*>", html.replace("</b><br>", "</b>: "))
    texts = (unescape(re.sub(r"<[^>]+>", "", part)).strip() for part in parts)
    return [text for text in texts if text]


def seen(slack: FakeSlack) -> str:
    """The newest run's message, its reactions, and its thread."""
    roots = [one for one in slack.messages if not one.broadcast]
    newest = roots[-1]
    lines = lines_of(newest)
    lines += [f"[{' '.join(MARKS[name] for name in newest.reactions)}]"] if newest.reactions else []
    lines += [f"↳ {one.text}{' (in the channel, too)' if one.broadcast else ''}" for one in newest.replies]
    return "".join(f"{line}\n" for line in lines)


async def run(tocsin: Running, slack: FakeSlack, command: str) -> None:
    if command.startswith("curl "):
        words = shlex.split(command)
        path, body = words[1].partition(":8000")[2], json.loads(words[words.index("-d") + 1])
        body["settings"]["bot_token"] = TOKEN
        (await tocsin.client.post(path, body)).ok(201)
        return
    environment = {"TOCSIN_URL": tocsin.client.base, "TOCSIN_TOKEN": tocsin.client.token}
    done = await asyncio.to_thread(CliRunner().invoke, app, shlex.split(command)[1:], env=environment)
    assert done.exit_code == 0, done.output
    await tocsin.move(STEP_S)


async def test_the_pipeline_looks_in_slack_as_the_page_shows(tocsin: Running, request: pytest.FixtureRequest) -> None:
    # S0-01, S0-06
    slack = FakeSlack(limits=True)
    tocsin.receiver.play(slack)
    text = PAGE.read_text("utf-8")
    made, at = "", 0
    for found in PART.finditer(text):
        if found["commands"]:
            commands = re.sub(r"\n  ", " ", found["commands"]).splitlines()
            for command in commands:
                await run(tocsin, slack, command)
            continue
        made += text[at : found.start("shown")] + seen(slack)
        at = found.end("shown")
    made += text[at:]
    assert sum(not one.broadcast for one in slack.messages) == 2
    if request.config.getoption("--update-golden"):
        PAGE.write_text(made, "utf-8")
    else:
        assert made == text, f"{PAGE.name} shows something else: run `make golden`"


def test_it_has_four_stages() -> None:
    text = PAGE.read_text("utf-8")
    assert len(set(re.findall(r"-r 2026-11-21 -s (\w+)", text))) == 4
    assert len(list(blocks(text, "slack"))) == 6
