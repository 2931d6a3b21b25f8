"""docs/alerts.md: its commands, in its order, with a real receiver of examples/receivers at the other end."""

import asyncio
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.harness import Running, Start
from tests.test_example_receivers import SECRET, free_port, receiver
from tocsin.cli.main import app

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("store", ["sqlite"], indirect=True)]

PAGE = (Path(__file__).parents[1] / "docs/alerts.md").read_text("utf-8")
BLOCK = re.compile(r"<!-- alerts: (?P<name>[\w ]+) -->\n```sh\n(?P<body>.*?)```\n", re.DOTALL)
FILE = re.compile(r"<!-- file: (?P<name>[\w.-]+) -->\n```yaml\n(?P<body>.*?)```\n", re.DOTALL)
BLOCKS = {found["name"]: found["body"] for found in BLOCK.finditer(PAGE)}


class Reader:
    """Somebody who types what the page says. `known` are the shell's variables."""

    def __init__(self, tocsin: Running, port: int, token: str) -> None:
        self.tocsin = tocsin
        self.port = port
        self.known = {"TOCSIN_TOKEN": token}
        self.typed: list[str] = []

    async def types(self, block: str) -> list[Any]:
        """What each line of the block answers: curl's as JSON, Tocsin's as text."""
        self.typed.append(block)
        lines = [shlex.split(line) for line in commands(BLOCKS[block])]
        return [await (self.curl(words) if words[0] == "curl" else self.command(words)) for words in lines]

    def filled(self, word: str) -> str:
        word = word.replace("127.0.0.1:9000", f"127.0.0.1:{self.port}")
        return re.sub(r"\$([A-Z_]+)", lambda found: self.known[found[1]], word)

    async def curl(self, words: list[str]) -> Any:
        given = [self.filled(word) for word in words[1:]]
        url = next(word for word in given if word.startswith("http://127.0.0.1:8000/"))
        options = dict(itertools.pairwise(given))
        name, _, value = options["-H"].partition(": ")
        body = options.get("-d")
        method = options.get("-X", "POST" if body else "GET")
        client = self.tocsin.client.with_token("")
        data = body.encode() if body else None
        path = url.removeprefix("http://127.0.0.1:8000")
        answer = await client.request(method, path, data=data, headers={name: value})
        assert answer.status in (200, 201, 202), answer.body
        return answer.json

    async def command(self, words: list[str]) -> str:
        environment = self.known | {"TOCSIN_URL": self.tocsin.client.base}
        done = await asyncio.to_thread(
            CliRunner().invoke, app, [self.filled(word) for word in words[1:]], env=environment
        )
        assert done.exit_code == 0, done.stdout + done.stderr
        return str(done.stdout)


def commands(block: str) -> Iterator[str]:
    """Each with its continuation lines: those of a quoted body, and those after a backslash."""
    whole = ""
    for line in block.replace("\\\n", " ").splitlines():
        whole += line + "\n"
        try:
            shlex.split(whole)
        except ValueError:  # a quotation goes on
            continue
        yield whole
        whole = ""
    assert not whole


async def test_the_page_from_top_to_bottom(start: Start, tmp_path: Path) -> None:
    # S4-17
    port = free_port()
    tocsin = await start(TOCSIN_ALLOW_TARGETS=f"127.0.0.1:{port}")
    ana = Reader(tocsin, port, await tocsin.token("developer", user="ana"))

    (webhook,) = await ana.types("add the webhook")
    assert not webhook["is_active"]
    ana.known |= {"WEBHOOK": webhook["id"], "TOCSIN_WEBHOOK_SECRET": webhook["secret"]}
    assert BLOCKS["receive"] == "PORT=9000 python3 examples/receivers/python/receiver.py\n"

    with receiver("python", webhook["secret"], tmp_path / "log", port):
        (rule,) = await ana.types("add the rule")
        assert not rule["is_active"]
        ana.known["RULE"] = rule["id"]

        await tocsin.send(pipeline="etl/orders", labels={"env": "prod"})  # nobody hears of it: the rule is off
        sent, enabled = await ana.types("test the webhook")
        assert (sent["status"], sent["http_status_code"]) == ("delivered", 204)
        assert enabled["is_active"]
        wanted, previewed, switched = await ana.types("test the rule")
        assert wanted["matched"]
        assert "last 2 events: 0 → 1 notifications" in previewed
        assert switched["is_active"]

        _, why, listed = await ana.types("an event")
        assert why.startswith("ops ")
        assert "production failures" in why
        await tocsin.settle()
        (delivery,) = await tocsin.deliveries(event_type="run.failed")
        assert delivery["status"] == "delivered"
        assert delivery["id"] in listed

        # During the rotation the old secret is enough; afterwards it is not, and what died meanwhile is sent again.
        (rotated,) = await ana.types("rotate")
        await tocsin.send(id="during-prod", pipeline="etl/orders", labels={"env": "prod"})
        await tocsin.settle()
        assert await tocsin.statuses() == {"delivered": 3}
        assert rotated["secret"] != webhook["secret"]
    (await tocsin.client.patch(f"/v1/alert-rules/{rule['id']}", {"retry": {"max_attempts": 1}})).ok()
    await tocsin.send(id="away", pipeline="etl/orders", labels={"env": "prod"})
    await tocsin.wait_out()
    (dead,) = await tocsin.deliveries(status="dead")
    with receiver("python", rotated["secret"], tmp_path / "second", port):
        listed, counted, _ = await ana.types("replay")
        await tocsin.settle()
        assert dead["id"] in listed
        assert "1" in counted
        assert (await tocsin.deliveries(event_id="away"))[0]["status"] == "delivered"

    mia = Reader(tocsin, port, await tocsin.token("admin", user="mia"))
    (trail,) = await mia.types("audit")
    done = {entry["action"] for entry in trail["items"]}
    assert {"webhook.create", "webhook.test", "webhook.enable", "webhook.rotate_secret"} <= done
    assert webhook["secret"] not in str(trail)
    assert {*ana.typed, *mia.typed, "receive", "from a file"} == set(BLOCKS)


async def test_the_same_from_a_file(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # S4-17
    monkeypatch.chdir(tmp_path)
    for found in FILE.finditer(PAGE):
        Path(found["name"]).write_text(found["body"], "utf-8")
    port = free_port()
    tocsin = await start(TOCSIN_ALLOW_TARGETS=f"127.0.0.1:{port}")
    ana = Reader(tocsin, port, tocsin.client.token)
    ana.known |= {
        "OPS_URL": f"http://127.0.0.1:{port}/hooks/tocsin",
        "ON_CALL_URL": "https://hooks.slack.com/services/T0000000Z/B0000000Z/" + "Z" * 24,
        "TOCSIN_WEBHOOK_SECRET": SECRET,
    }
    with receiver("python", SECRET, tmp_path / "log", port):
        tested, planned, applied = await ana.types("from a file")
        assert "failures in production are told" in tested
        assert "+ endpoint ops" in planned
        assert "4 made." in applied
        await tocsin.send(pipeline="etl/orders", labels={"env": "prod"})
        await tocsin.send(pipeline="etl/orders", labels={"env": "staging"})
        await tocsin.settle()
        (delivery,) = await tocsin.deliveries()
        assert (delivery["status"], delivery["http_status_code"]) == ("delivered", 204)
