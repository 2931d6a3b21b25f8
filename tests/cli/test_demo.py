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
from tocsin.cli.demo import settings_for
from tocsin.cli.demo_page import channels, rendering
from tocsin.cli.demo_page.receivers import MAIL_POLICY, POLICY, STATIC, Receivers, read, type_and_stage
from tocsin.fakes.slack import FakeSlack
from tocsin.outbound.http import parse_connect_to

TOCSIN = Path(sys.executable).with_name("tocsin")
STORY_S = 60.0
AT_MS = 1_795_226_400_000

TAGS = {
    "article", "details", "summary", "b", "time", "span", "dl", "dt", "dd", "pre", "div", "code", "ol", "li", "p",
    "iframe", "header", "section", "label", "input", "strong", "hr",
    "h3", "i", "s", "blockquote", "a", "svg", "rect", "path", "ul", "br",
}  # fmt: skip
ATTRIBUTES = {
    "class", "datetime", "open", "id", "aria-hidden", "src", "title", "sandbox", "href", "target", "rel", "xmlns",
    "viewbox", "width", "height", "rx", "fill", "d", "type",
}  # fmt: skip
VOID = {"br", "hr", "input"}


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


@pytest.fixture(scope="module")
def playing() -> Iterator[Demo]:
    """One more, whose story goes on while the first one's is looked at: it takes some twenty seconds."""
    running = Demo()
    yield running
    running.process.kill()
    running.process.communicate()


@pytest.mark.usefixtures("playing")
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
    news = running.until(lambda news: "attempt 2" in str(news["items"]) and "<iframe" in str(news["items"]))
    headers, mail = running.get("/demo/mail/0")
    assert headers["content-security-policy"] == MAIL_POLICY
    assert b"No space left on device" in mail
    keys = [item["key"] for item in news["items"]]
    assert len(keys) == len(set(keys))  # what is edited takes its own place
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert time.monotonic() - began < 40
    assert "all delivered. Every fake enforces its provider's limits; none refused a request." in out
    for said in (
        "Slack +19 deliveries", "Teams +2 deliveries", r"Discord +\d+ deliveries", "mail +2 deliveries",
        "PagerDuty +2 deliveries", "inbox +3 deliveries",
        "webhook +20 deliveries, 1 tried again with the same bytes, every signature verified",
    ):  # fmt: skip
        assert re.search(rf"^  {said}", out, re.MULTILINE), said
    assert "run.failed: signature verified, answered 503" in out
    assert "run.failed: signature verified, answered 200, attempt 2: same id, same bytes" in out
    assert "PagerDuty trigger: shop/orders failed" in out
    assert "PagerDuty resolve: shop/orders failed" in out
    assert "Slack     thread: ✅ shop/orders" in out
    assert "Slack     ❌ shop/orders failed" in out
    assert "Slack     ✅ shop/orders succeeded" in out
    assert re.search(r"Slack     thread: ✅ shop/orders succeeded .* Recovered\.", out)
    assert "refused" not in out.replace("none refused", "")
    assert list(tmp_path.iterdir()) == []  # its data directory went with it


def test_the_page_shows_each_channel_as_people_see_it(playing: Demo) -> None:  # S0-01, S0-02, S0-03, S0-05
    """One message for a run in Slack, as it is after its edits, with its thread beneath: it failed, and recovered."""

    def is_told_everywhere(news: dict[str, Any]) -> bool:
        told = {item["column"] for item in news["items"] if "shop/orders succeeded" in item["html"]}
        rest = "resolved" in str(news) and "Recovered" in str(news)
        return rest and told >= {"slack_bot", "teams", "discord", "email", "in_app", "webhook"}

    news = playing.until(is_told_everywhere)
    found: dict[str, list[str]] = {}
    for item in news["items"]:
        found.setdefault(item["column"], []).append(item["html"])
        check_html(item["html"])
    assert set(found) == {"slack_bot", "teams", "discord", "email", "pagerduty", "in_app", "webhook"}
    (run,) = [one for one in found["slack_bot"] if "in its thread" in one]
    assert "✅ shop/orders succeeded in prod</h3>" in run
    assert "edited" in run
    below = run.split("in its thread")[1]
    assert "❌ shop/orders failed in prod" in below
    assert "No space left on device" in below
    assert [len(found[name]) for name in ("teams", "discord", "email", "pagerduty")] == [2, 1, 2, 1]
    assert "resolved" in found["pagerduty"][0]
    assert sum("✓ signature verified" in one for one in found["webhook"]) == 21
    assert not any("signature wrong" in one or "refused" in one for one in str(found).splitlines())


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
        out = running.process.stdout.read()  # `communicate` would not see what came along with that line
        code, _, _ = running.end()
    assert code == 0
    assert f"What people get:\n  http://127.0.0.1:{running.port}/demo\n" in out
    assert f"Its dashboard, with an account:\n  http://127.0.0.1:{running.port}/setup?token=" in out


def test_what_is_for_a_real_channel_is_not_sent_to_a_fake() -> None:
    """SLACK_WEBHOOK_URL is an incoming webhook's; Slack's fake is spoken to as a bot."""
    diverted = parse_connect_to(settings_for(8000, "x").connect_to)
    assert {"slack.com", "discord.com", "api.sendgrid.com", "events.pagerduty.com"} <= set(diverted)
    assert not {"hooks.slack.com", "hooks.slack-gov.com"} & set(diverted)
    assert set(diverted.values()) == {"http://127.0.0.1:8000"}


# The fakes behind the demo's own door.


def asked(host: str, path: str, body: bytes, **headers: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    given = {"host": host, "content-type": "application/json"} | headers
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw, "query_string": b""}
    return Request(scope, receive)


SLACK_SAYS: list[tuple[bytes, bytes]] = [
    (b'{"channel": "#alerts", "text": "<b>words</b>"}', b'"ok":true'),
    (b'{"channel": "#alerts", "text": "x", "blocks": [{"type": "nonsense"}]}', b'"error":"invalid_blocks"'),
    (b'{"channel": "#nowhere", "text": "x"}', b'"error":"channel_not_found"'),
    (b"[" * 100_000, b'"error":"invalid_json"'),
    (b'{"text": "\xff"}', b'"error":"invalid_json"'),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("body", "says"), SLACK_SAYS, ids=range(len(SLACK_SAYS)))
async def test_what_a_fake_refuses_is_seen(body: bytes, says: bytes) -> None:
    said: list[str] = []
    receivers = Receivers(lambda: AT_MS, said.append)
    token = {"authorization": "Bearer xoxb-" + "demo" * 6}
    answer = await receivers.provider(asked("slack.com", "/api/chat.postMessage", body, **token))
    assert says in bytes(answer.body)
    (shown,) = [one.html for one in receivers.shown.values()]
    taken = b"true" in says
    assert receivers.taken["slack_bot"] == taken
    assert bool(receivers.refused) == (not taken)
    check_html(shown)
    if taken:
        assert "&lt;b&gt;words&lt;/b&gt;" in shown
        assert said == ["Slack     <b>words</b>"]
    else:
        word = says.decode().split('"')[3]
        assert all(word in one for one in (shown, *said, *receivers.refused))


@pytest.mark.anyio
async def test_a_host_that_nobody_plays_is_answered_by_nobody() -> None:
    receivers = Receivers(lambda: AT_MS, print)
    answer = await receivers.provider(asked("evil.example", "/api/chat.postMessage", b"{}"))
    assert answer.status_code == 404
    assert receivers.shown == {}


@pytest.mark.anyio
async def test_an_edited_message_takes_its_own_place() -> None:
    receivers = Receivers(lambda: AT_MS, lambda text: None)
    slack = receivers.channels["slack_bot"].fake
    assert isinstance(slack, FakeSlack)
    token = {"authorization": "Bearer xoxb-" + "demo" * 6}
    for method, text in (("chat.postMessage", "started"), ("chat.update", "succeeded")):
        message = {"channel": slack.messages[0].ts and "C0TOCSIN01" if slack.messages else "#alerts", "text": text}
        if slack.messages:
            message["ts"] = slack.messages[0].ts
        await receivers.provider(asked("slack.com", f"/api/{method}", json.dumps(message).encode(), **token))
    (shown,) = receivers.shown.values()
    assert shown.number == 2
    assert "succeeded" in shown.html
    assert "started" not in shown.html
    assert "edited once" in shown.html


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
        links = [value or "" for name, value in attrs if name in ("href", "src")]
        assert all(link.startswith(("https://", "http://", "/demo/mail/")) for link in links)
        if tag not in VOID:
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


@given(text=ANY)
def test_no_message_breaks_out_of_the_page(text: str) -> None:
    """Whatever a channel's fake holds."""
    fakes = channels.new_channels()
    said: list[str] = []
    receivers = Receivers(lambda: AT_MS, said.append)
    receivers.show(
        "in_app", channels.inbox([{"id": "i", "title": text, "text": text, "tone": text, "created_ms": AT_MS}])
    )
    receivers.show("x", [channels.Seen("y", channels.refused(text), (text,))], fakes["teams"].label)
    for one in receivers.shown.values():
        check_html(one.html)
