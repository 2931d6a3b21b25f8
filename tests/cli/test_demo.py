"""`tocsin demo`: the story as a real process, its fake Slack, and its page, which shows whatever comes."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from tests.postgres import free_port
from tocsin.cli.demo import fake_slack_host, settings_for
from tocsin.cli.demo_page import rendering
from tocsin.cli.demo_page.receivers import POLICY, SLACK_PATH, STATIC, Inbox, read, type_and_stage
from tocsin.outbound.http import parse_connect_to
from tocsin.providers import slack

TOCSIN = Path(sys.executable).with_name("tocsin")
ADDRESS = "https://hooks.slack.com/services/T0000DEMO/B0000DEMO/" + "demo" * 6
STORY_S = 60.0
AT_MS = 1_795_226_400_000

TAGS = {"article", "details", "summary", "b", "time", "span", "dl", "dt", "dd", "pre", "div", "code", "ol", "li"}
ATTRIBUTES = {"class", "datetime", "open", "id", "aria-hidden"}


# The story.


class Demo:
    """A running `tocsin demo`."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.port = free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "SLACK_"))}
        self.process = subprocess.Popen(
            [TOCSIN, "demo", "--port", str(self.port), *words],
            env=clean | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def get(self, path: str) -> tuple[dict[str, str], bytes]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return {name.lower(): value for name, value in answer.headers.items()}, answer.read()

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The page's news, as soon as this holds of them."""
        end = time.monotonic() + STORY_S
        while True:
            try:
                news: dict[str, Any] = json.loads(self.get("/demo/news")[1])
                if holds(news):
                    return news
            except OSError:
                pass
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=STORY_S)
        return self.process.returncode, out, err


@pytest.fixture
def demo() -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*words: str, **environment: str) -> Demo:
        started.append(Demo(*words, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def test_the_story_is_told_and_every_message_arrives(  # S0-01, S0-02, S0-03, S0-05
    demo: Callable[..., Demo], tmp_path: Path
) -> None:
    """A wrong setting in the environment does not matter: the demo reads none of it."""
    began = time.monotonic()
    running = demo("--exit-after-story", TOCSIN_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x", TMPDIR=str(tmp_path))
    running.until(lambda news: bool(news["latest"]))
    headers, page = running.get("/demo")
    assert headers["content-security-policy"] == POLICY
    assert b"style=" not in page
    assert page.count(b"<script") == page.count(b"<script src=") == 1
    for name, media in STATIC.items():
        headers, content = running.get(f"/demo/{name}")
        assert headers["content-type"].startswith(media)
        assert content == read(name)
    news = running.until(lambda news: "attempt 2" in str(news["items"]))
    shown = [item["html"] for item in news["items"]]
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert time.monotonic() - began < 25
    assert "The story is over: 18 messages delivered in 19 attempts (5 to Slack, 13 to the webhook)" in out
    assert "run.failed: signature verified, answered 503" in out
    assert "run.failed: signature verified, answered 200, attempt 2: same id, same bytes" in out
    assert "No space left on device" in out
    assert sum("✓ signature verified" in one for one in shown) >= 7
    assert not any("signature wrong" in one for one in shown)
    assert any("<h3>❌ shop/orders failed in prod</h3>" in one and "<pre>Traceback" in one for one in shown)
    assert list(tmp_path.iterdir()) == []  # its data directory went with it


def test_a_port_in_use_is_said_and_another_taken_and_ctrl_c_ends_it(demo: Callable[..., Demo]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        running = demo("--port", str(taken))  # the later option counts
        assert running.process.stdout is not None
        said = running.process.stdout.readline()
        found = re.fullmatch(rf"Port {taken} is in use; the demo takes (\d+)\.\n", said)
        assert found is not None, said
        running.port = int(found[1])
        running.until(lambda news: bool(news["latest"]))
        running.process.send_signal(2)
        code, out, _ = running.end()
    assert code == 0
    assert f"Open  http://127.0.0.1:{running.port}/demo" in out


@pytest.mark.parametrize("real", ["", ADDRESS, ADDRESS.replace("slack.com", "slack-gov.com")])
def test_what_is_for_a_real_channel_is_not_sent_to_the_fake(real: str) -> None:
    """With SLACK_WEBHOOK_URL messages go to both."""
    fake = fake_slack_host(real)
    assert f"//{fake}/" not in real
    diverted = parse_connect_to(settings_for(8000, "x", fake).connect_to)
    assert set(diverted) == {fake}
    slack.check_address(f"https://{fake}{SLACK_PATH}")


# The fake Slack.


def asked(path: str, body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    return Request({"type": "http", "method": "POST", "path": path, "headers": []}, receive)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        (SLACK_PATH, b'{"text": "<b>words</b>"}', 200, "ok"),
        (SLACK_PATH, b'{"text": "x", "blocks": [{"type": "nonsense"}]}', 400, "invalid_blocks"),
        (SLACK_PATH, b"[" * 100_000, 400, "invalid_payload"),
        (SLACK_PATH, b'{"text": "\xff"}', 400, "invalid_payload"),
        ("/services/T1/B1/x", b'{"text": "words"}', 404, "no_service"),
    ],
)
async def test_slack_answers_as_slack_does(path: str, body: bytes, status: int, word: str) -> None:
    said: list[str] = []
    inbox = Inbox(lambda: AT_MS, said.append)
    answer = await inbox.slack(asked(path, body))
    assert (answer.status_code, bytes(answer.body).decode()) == (status, word)
    assert inbox.slack_taken == (status == 200)
    shown = [one.html for one in inbox.shown]
    if status == 200:
        assert "&lt;b&gt;words&lt;/b&gt;" in shown[0]
        assert said == ["Slack     <b>words</b>"]
    else:
        assert all(word in one for one in (*shown, *said))


# The page.


class Checker(HTMLParser):
    """Raises AssertionError for a tag or an attribute that rendering does not make, and for what is left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        assert {name for name, _ in attrs} <= ATTRIBUTES, tag
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")


def check_html(html: str) -> str:
    """The text that is shown."""
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return checker.text


HOSTILE = [
    '"><script>alert(1)</script>',
    "<javascript:alert(1)|click>",
    '<https://a.example/" onmouseover="alert(1)|x>',
    "<!--", "</pre></article>", "&lt;img src=x onerror=alert(1)&gt;", "<!date^99999999999^x|y>", "<!date^x|<b>>",
    "*<https://a.example|*_`x`_*>*", "<@U0<script>>", "\x00\x1b[31m", "``<i>``",
]  # fmt: skip
ANY = st.one_of(st.text(max_size=40), st.sampled_from(HOSTILE), st.text("<>&|!^*_~`\n\"'/ahtps:", max_size=40))


@given(text=ANY, name=st.sampled_from(["type", "title", "stage"]), headers=st.dictionaries(ANY, ANY, max_size=3))
def test_no_webhook_breaks_out_of_the_page(text: str, name: str, headers: dict[str, str]) -> None:
    for body in (json.dumps({name: text, "data": {text: [text]}}).encode(), text.encode("utf-8", "replace")):
        html = rendering.webhook_arrival(
            body=body, headers=headers, at_ms=AT_MS, attempt=2, verified=False, status=503, same_bytes=False
        )
        assert "signature wrong" in check_html(html)
        type_and_stage(body)
