"""The tutorials: their commands, in their order, and what comes of them. docs/tutorial-on-call.md's tests of rules are
run by test_docs_why.py, too."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from html import unescape
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.harness import Clock, Running, Start
from tests.test_docs import blocks
from tests.test_example_receivers import free_port
from tocsin.cli.main import app
from tocsin.fakes.pagerduty import FakePagerDuty
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
HOOK = "T0000000Z/B0000000Z/" + "Z" * 24
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


async def run(tocsin: Running, command: str, **environment: str) -> str:
    """What it says."""
    words = shlex.split(command)
    if words[0] == "curl":
        path, body = words[1].partition(":8000")[2], json.loads(words[words.index("-d") + 1])
        if "bot_token" in body.get("settings", {}):
            body["settings"]["bot_token"] = TOKEN
        return str((await tocsin.client.post(path, body)).ok(201)["id"])
    environment |= {"TOCSIN_URL": tocsin.client.base, "TOCSIN_TOKEN": tocsin.client.token}
    done = await asyncio.to_thread(CliRunner().invoke, app, words[1:], env=environment)
    assert done.exit_code == 0, done.output
    return str(done.stdout)


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
                await run(tocsin, command)
                if command.startswith("tocsin "):
                    await tocsin.move(STEP_S)
            continue
        made += text[at : found.start("shown")] + seen(slack)
        at = found.end("shown")
    made += text[at:]
    assert sum(not one.broadcast for one in slack.messages) == 2
    if request.config.getoption("--update-golden"):
        PAGE.write_text(made, "utf-8")
    else:
        assert made == text, f"{PAGE.name} shows something else: run `make golden`"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_the_pager_is_at_whoever_is_on_call(
    tocsin: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's file applied to a server; at three on Saturday morning the shift is still that of Friday."""
    text = (ROOT / "docs/tutorial-on-call.md").read_text("utf-8")
    ((name, body),) = list(blocks(text, "file"))
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(body, "utf-8")
    pager, slack = FakePagerDuty(), FakeSlack()
    tocsin.receiver.play(pager)
    tocsin.receiver.play(slack)
    keys = {"ANA_KEY": "a" * 32, "BO_KEY": "b" * 32, "TEAM_URL": f"https://hooks.slack.com/services/{HOOK}"}
    for command in ("tocsin config plan on-call.yaml", "tocsin config apply on-call.yaml"):
        assert command in text
        await run(tocsin, command, **keys)
    await tocsin.send(type="run.failed", pipeline="shop/orders", run_id="r1", severity="critical")
    await tocsin.send(type="run.failed", pipeline="reports/daily", run_id="r1")
    await tocsin.settle()
    assert [alert.routing_key for alert in pager.alerts] == [keys["ANA_KEY"]]
    assert slack.messages == []

    await tocsin.move(7 * 3600)  # nine in the morning, and the pager has changed hands
    assert len(slack.messages) == 1
    await tocsin.send(type="run.succeeded", pipeline="shop/orders", run_id="r2")
    await tocsin.send(type="run.failed", pipeline="shop/items", run_id="r1", severity="critical")
    await tocsin.settle()
    assert [(alert.routing_key, alert.status) for alert in pager.alerts] == [
        (keys["ANA_KEY"], "resolved"),
        (keys["BO_KEY"], "triggered"),
    ]


async def test_the_first_message(start: Start, tmp_path: Path) -> None:
    """docs/tutorial.md from its printer on."""
    text = (ROOT / "docs/tutorial.md").read_text("utf-8")
    printer = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert printer is not None
    port = free_port()
    tocsin = await start(TOCSIN_ALLOW_TARGETS=f"127.0.0.1:{port}")
    (curl,) = re.findall(r"```sh\n(curl .*?)```", text, re.DOTALL)
    (send,) = re.findall(r"^(tocsin send .*)$", text, re.MULTILINE)
    (job,) = re.findall(r"^(tocsin run .*)$", text, re.MULTILINE)
    code = f"import sys; sys.stdout.reconfigure(line_buffering=True)\n{printer[1].replace('9000', str(port))}"
    shown = tmp_path / "shown"
    with shown.open("w") as out, subprocess.Popen([sys.executable, "-c", code], stdout=out, stderr=out) as process:
        try:
            await answers(port)
            await run(tocsin, curl.replace(":9000", f":{port}"))
            sent = await run(tocsin, f"{send} -o json")
            await tocsin.settle()
            assert await run_as_a_process(tocsin, job) == 3
            await tocsin.settle()
            assert "was told" in await run(tocsin, f"tocsin why {json.loads(sent)[0]['id']}")
        finally:
            process.terminate()
    printed = [json.loads(line) for line in shown.read_text("utf-8").splitlines() if line.startswith("{")]
    kinds = [(one["kind"], one["pipeline"]) for one in printed]
    assert kinds[0] == ("run.failed", "etl/orders")
    assert {("run.started", "nightly/backup"), ("run.failed", "nightly/backup")} <= set(kinds)


async def run_as_a_process(tocsin: Running, command: str) -> int:
    """The status that it ends with."""
    environment = os.environ | {"TOCSIN_URL": tocsin.client.base, "TOCSIN_TOKEN": tocsin.client.token}
    program = Path(sys.executable).with_name("tocsin")
    process = await asyncio.create_subprocess_exec(program, *shlex.split(command)[1:], env=environment)
    return await process.wait()


async def answers(port: int) -> None:
    """Waits until somebody listens there."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def test_it_has_four_stages() -> None:
    text = PAGE.read_text("utf-8")
    assert len(set(re.findall(r"-r 2026-11-21 -s (\w+)", text))) == 4
    assert len(list(blocks(text, "slack"))) == 6
