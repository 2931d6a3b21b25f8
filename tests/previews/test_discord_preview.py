"""A Discord message as a picture: what is said is seen, and nothing in it is more than text."""

import json
import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.compose.samples import HOSTILE
from tests.providers.examples import EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, provider_of, sending
from tocsin.model.message import Message
from tocsin.model.wire import HttpRequest
from tocsin.previews import discord

DISCORD = provider_of("discord")
TAGS = {"div", "span", "p", "dl", "dt", "dd", "pre", "strong", "a", "svg", "rect"}
ATTRIBUTES = {"class", "href", "rel", "aria-hidden", "width", "height", "fill"}


class Reader(HTMLParser):
    """What a browser would make of it: tags with their attributes, and the text. Unbalanced tags fail."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(message: Message, **settings: Any) -> str:
    request = DISCORD.render(sending(DISCORD, message, **settings))
    assert isinstance(request, HttpRequest)
    return discord.html(request.body)


def test_a_failure_is_seen_as_in_discord() -> None:
    markup = shown(MESSAGES["run-failed"], mention_on_failure="<@&165511591545143296>")
    read = Reader(markup)
    for words in (
        "@role …3296 ❌ train-ranker failed in prod after 12m 31s",
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        '  File "/app/train.py", line 88, in <module>\n',
        "Duration12m 31s",
        "prod · owner ana · run 8f3a21c · airflow • 2026-11-21 02:00 UTC",
    ):
        assert words in read.text
    links = [given["href"] for tag, given in read.tags if tag == "a"]
    assert links[:2] == ["https://airflow.example/runs/8f3a21c"] * 2
    assert links[2] == "https://airflow.example/logs/8f3a21c?a=1&b=2"
    assert ("rect", {"width": "4", "height": "100%", "fill": "#d72d30"}) in read.tags
    assert "```" not in read.text


def test_what_makes_no_sound_says_so() -> None:
    assert "no notification" in shown(MESSAGES["run-started"])
    assert "no notification" not in shown(MESSAGES["run-failed"])


def test_a_forum_post_has_its_title() -> None:
    markup = shown(MESSAGES["run-failed"], forum_threads=True, username="Bell & Co")
    assert "Forum post: ❌ train-ranker · 8f3a21c · 2026-11-21" in markup
    assert "Bell &amp; Co" in markup


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_nothing_in_it_runs_or_is_loaded(name: str, plain: bool) -> None:
    read = Reader(shown(EVERY_MESSAGE[name], plain=plain))
    assert {tag for tag, _ in read.tags} <= TAGS
    for tag, given in read.tags:
        assert set(given) <= ATTRIBUTES
        if tag == "a":
            assert re.match("https?://", str(given["href"]))
            assert given["rel"] == "noopener noreferrer"


def test_hostile_words_are_read_as_they_are_written() -> None:
    read = Reader(shown(HOSTILE_MESSAGE))
    words = "<!channel> @everyone <@U012AB3CD> [x](javascript:alert(1)) `*bold*` _i_ ~s~ :tada:"
    assert read.text.replace("\u200b", "").count(words) >= 5
    assert not [given for tag, given in read.tags if given.get("class") == "discord-named"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"embeds": 5, "content": [], "username": {}}',
        b'{"embeds": [5, {"fields": [7, {"name": 1}], "color": "red", "footer": 3, "title": {}}]}',
        b'{"embeds": [{"color": 99999999999}]}',
        json.dumps({"content": HOSTILE, "username": "<script>", "embeds": [{"url": "javascript:1", "title": "x"}]}),
        json.dumps({"username": "   ", "content": "\ud800"}),
    ],
)
def test_whatever_it_is_given_it_shows_something_harmless(body: str | bytes) -> None:
    markup = discord.html(body.encode() if isinstance(body, str) else body)
    assert {tag for tag, _ in Reader(markup).tags} <= TAGS
    assert "javascript:1" not in markup


@pytest.mark.parametrize("unit", ["[", "```", "**", "```a``b", "\\", "[a](https://", "<@", "<https://", "**a*"])
def test_text_made_to_be_slow_is_not(unit: str) -> None:
    body = json.dumps({"content": unit * 20_000}).encode()
    began = time.process_time()
    Reader(discord.html(body))
    assert time.process_time() - began < 2


def test_the_styles_are_whole() -> None:
    style = discord.STYLE
    assert style.count("{") == style.count("}")
    assert "DARK" not in style
    assert style.count("--ground:") == 3
    assert not re.search(r"url\(|@import|expression", style)
    used = set(re.findall(r'class="([a-z-]+)"', "".join(map(shown, EVERY_MESSAGE.values()))))
    used |= {"discord-time", "discord-named"}
    assert set(re.findall(r"\.(discord-[a-z-]+)", style)) == used
