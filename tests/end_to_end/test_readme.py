"""README, typed as it is printed: the three commands to a Slack message, and the requests after them, with a Slack on
loopback in place of the real one."""

import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.end_to_end.process import ROOT, TOCSIN, steady_port
from tocsin.fakes import Asked
from tocsin.fakes.slack import FakeSlack

README = (ROOT / "README.md").read_text("utf-8")
SECTION = README.partition("## A real Slack message in three commands\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
AN_ADDRESS = f"T00000001/B00000001/{'x' * 24}"
WITHIN_S = 60.0


@pytest.fixture
def slack() -> Iterator[tuple[FakeSlack, int]]:
    """Slack on loopback, and its port."""
    fake = FakeSlack()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked("POST", self.headers["host"], self.path, headers, body, time.time_ns() // 1_000_000)
            answer = fake.answer(asked)
            self.send_response(answer.status)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield fake, server.server_port
        server.shutdown()


def typed(block: str, port: int) -> str:
    """With an address of a channel, and another port than 8000, which may be in use here."""
    return block.replace("T…/B…/…", AN_ADDRESS).replace("127.0.0.1:8000", f"127.0.0.1:{port}")


def told(fake: FakeSlack, *, count: int) -> list[str]:
    until = time.monotonic() + WITHIN_S
    while len(fake.messages) < count:
        assert time.monotonic() < until, f"Slack has {[one.text for one in fake.messages]}"
        time.sleep(0.05)
    return [one.text for one in fake.messages]


def curl(words: list[str], token: str) -> None:
    """What curl would ask, where `$TOCSIN_TOKEN` is this one."""
    _, url, flag, header, data, body = words
    assert (flag, data) == ("-H", "-d")
    name, _, value = header.replace("$TOCSIN_TOKEN", token).partition(": ")
    request = urllib.request.Request(url, json.dumps(json.loads(body)).encode(), {name: value})
    with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
        assert answer.status in (201, 202)


def test_three_commands_bring_a_message_to_slack(slack: tuple[FakeSlack, int], tmp_path: Path) -> None:  # S0-08
    fake, slack_port = slack
    (tmp_path / ".venv").symlink_to(TOCSIN.parent.parent)
    port = steady_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "SLACK_"))}
    environment = clean | {
        "TOCSIN_PORT": str(port),
        "TOCSIN_URL": f"http://127.0.0.1:{port}",
        "TOCSIN_CONNECT_TO": f"hooks.slack.com=http://127.0.0.1:{slack_port}",
    }
    serve, send, requests = (typed(block, port) for block in BLOCKS)
    serving = subprocess.Popen(
        ["bash", "-ec", serve], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        link = next(line for line in serving.stdout if "/setup?token=" in line)
        assert f"http://127.0.0.1:{port}/setup?token=" in link
        done = subprocess.run(
            ["bash", "-ec", send + 'printf "%s" "$TOCSIN_TOKEN" > token'],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=WITHIN_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (first,) = told(fake, count=1)
        assert first.startswith("❌ etl/orders failed in prod")
        assert "disk full" in first
        token = (tmp_path / "token").read_text()
        for command in requests.replace("\n\n", "\0").split("\0"):
            curl(shlex.split(command), token)
        assert "✅ etl/orders succeeded" in told(fake, count=2)[1]
        assert (tmp_path / "tocsin-data").is_dir()
    finally:
        os.killpg(serving.pid, signal.SIGTERM)
        serving.wait(WITHIN_S)
