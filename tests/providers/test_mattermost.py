"""Mattermost's own rules: limits, error ids, whom it wakes, and that nobody's text is more than text."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from tests.compose.samples import TRACEBACK
from tests.fakes.all_fakes import ask
from tests.providers.examples import EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, provider_of, reply, sending
from tocsin.fakes.mattermost import FakeMattermost
from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Retry
from tocsin.provider_kit.block_kit import COLOURS
from tocsin.provider_kit.mattermost_text import escape, neutral
from tocsin.providers.mattermost import ADDRESS, MattermostSettings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
POST_CHARS = json.loads((SHARED / "limits.json").read_text())["mattermost"]["text"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
DEFINITIONS = yaml.safe_load((SHARED / "mattermost" / "definitions.yaml").read_text())["components"]["schemas"]
MATTERMOST = provider_of("mattermost")
FAILED = MESSAGES["run-failed"]
CHANNEL = "alerts"


def payload(message: Message, **settings: Any) -> Any:
    request = MATTERMOST.render(sending(MATTERMOST, message, **settings))
    assert isinstance(request, HttpRequest)
    return json.loads(request.body)


def post(fake: FakeMattermost, message: Message, **settings: Any) -> Outcome:
    request = MATTERMOST.render(sending(MATTERMOST, message, **settings))
    assert isinstance(request, HttpRequest)
    return MATTERMOST.classify(ask(fake, request))


def official(name: str) -> Any:
    """The published definition, which names fields as the server's code does: `TitleLink` is `title_link` on the wire.
    Nothing else may be there."""
    found = DEFINITIONS[name]
    wire = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower(): value for key, value in found["properties"].items()}
    if "fields" in wire:
        wire["fields"] = {"type": "array", "items": official("SlackAttachmentField")}
    return {"type": "object", "properties": wire, "additionalProperties": False}


ATTACHMENT = jsonschema.Draft202012Validator(official("SlackAttachment"))


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_is_what_mattermost_takes(name: str) -> None:  # S1-01, S1-02
    sent = payload(EVERY_MESSAGE[name], mention_on_failure="here ana.b", username="Tocsin", channel=CHANNEL)
    assert set(sent) <= {"text", "attachments", "props", "channel", "username", "icon_url"}
    (attachment,) = sent["attachments"]
    assert not list(ATTACHMENT.iter_errors(attachment))
    assert attachment["fallback"]
    assert 1 <= len(attachment["title"]) <= 250
    assert len(attachment.get("text", "")) <= 4000
    assert len(attachment.get("footer", "")) <= 300
    assert len(attachment.get("fields", ())) <= 6
    for field in attachment.get("fields", ()):
        assert field["title"]
        assert field["value"]
    plain = payload(EVERY_MESSAGE[name], plain=True, mention_on_failure="here ana.b")
    assert set(plain) == {"text"}
    assert 1 <= len(plain["text"]) <= 4000 < POST_CHARS


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_the_channel_shows_one_post(name: str, plain: bool) -> None:
    fake = FakeMattermost()
    assert post(fake, EVERY_MESSAGE[name], plain=plain) == Delivered()
    assert len(fake.posts) == 1
    assert fake.posts[0].woken == []


def test_a_failure_carries_its_details_and_its_link() -> None:  # S0-02
    (attachment,) = payload(FAILED)["attachments"]
    assert attachment["title"] == "❌ train-ranker failed in prod"
    assert attachment["title_link"] == "https://airflow.example/runs/8f3a21c"
    assert attachment["text"].startswith(
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    )
    assert 'File "/app/train.py", line 88, in <module>' in attachment["text"]
    assert "[Logs](https://airflow.example/logs/8f3a21c?a=1&b=2)" in attachment["text"]
    assert {"title": "Duration", "value": "12m 31s", "short": True} in attachment["fields"]
    assert attachment["footer"] == "prod · owner ana · run 8f3a21c · airflow"


@pytest.mark.parametrize("name", MESSAGES)
def test_the_colour_is_that_of_the_state_unless_a_theme_is_wanted(name: str) -> None:  # S0-03, S1-18
    message = MESSAGES[name]
    assert payload(message)["attachments"][0]["color"] == COLOURS[message.tone]
    themed = payload(message, theme_color="00ff00")["attachments"][0]["color"]
    assert themed == (COLOURS[message.tone] if message.tone in ("bad", "rollback", "warning") else "#00ff00")


def test_formatting_can_be_switched_off() -> None:  # S1-02, S1-18
    for sent in (payload(FAILED, use_rich_formatting=False), payload(FAILED, plain=True)):
        assert sent["text"].startswith("❌ train-ranker failed in prod")
        assert "Open run: <https://airflow.example/runs/8f3a21c>" in sent["text"]


def test_links_can_be_left_out() -> None:  # S1-18
    for plain in (False, True):
        assert "airflow.example" not in json.dumps(payload(FAILED, include_action_buttons=False, plain=plain))


def test_a_title_without_a_link_is_markup_and_one_with_a_link_is_not() -> None:
    message = msgspec.structs.replace(FAILED, title="a_b *c* @all")
    linked = payload(message)["attachments"][0]
    assert linked["title"] == "❌ a_b *c* @\u200ball"
    bare = payload(message, include_action_buttons=False)["attachments"][0]
    assert bare["title"] == "❌ a\\_b \\*c\\* @\u200ball"
    assert "title_link" not in payload(MESSAGES["alert"])["attachments"][0]


def test_the_rest_of_a_long_error_opens_beside_the_channel() -> None:
    assert "props" not in payload(FAILED)
    long = msgspec.structs.replace(FAILED, detail=TRACEBACK * 8)
    sent = payload(long)
    assert sent["attachments"][0]["text"].count("Traceback") < 3
    assert sent["props"]["card"].count("Traceback") == 8
    assert len(payload(msgspec.structs.replace(FAILED, detail="x" * 90_000))["props"]["card"]) < 4300


def test_the_state_of_the_whole_run() -> None:  # S0-06
    steps = (RunStep("load", "succeeded", 12_000), RunStep("e*v", "running"))
    message = msgspec.structs.replace(MESSAGES["run-started"], steps=steps)
    assert "▰▱ 1/2 · **e\\*v**\n✅ load 12 s\n⏳ e\\*v" in payload(message)["attachments"][0]["text"]


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (False, ""),
        ("", ""),
        (True, "@here"),
        ("here", "@here"),
        ("@channel", "@channel"),
        ("ana.b ml-oncall @all", "@ana.b @ml-oncall @all"),
    ],
)
def test_mentions(asked: Any, shown: str) -> None:  # S1-17, S1-18
    for plain in (False, True):
        fake = FakeMattermost()
        for name in ("run-failed", "run-succeeded", "run-started", "run-exceeded"):
            post(fake, MESSAGES[name], mention_on_failure=asked, plain=plain)
        assert [one.woken for one in fake.posts] == [shown.replace("@", "").split(), [], [], []]
    assert payload(FAILED, mention_on_failure=asked)["text"] == shown
    assert payload(FAILED, mention_on_failure=asked, quiet=True)["text"] == ""


def test_nobody_s_text_is_more_than_text() -> None:
    sent = payload(HOSTILE_MESSAGE, include_action_buttons=False)
    shown = json.dumps(sent, ensure_ascii=False)
    assert not re.search(r"@\w", shown)
    assert not re.search(r"<[!@#]", shown)
    assert not re.search(r"<[^<|>]+\|[^|>]+>", sent["attachments"][0]["text"])
    assert "\u202e" not in shown
    (attachment,) = sent["attachments"]
    code = re.compile(r"```.*?```", re.DOTALL)
    assert len(code.findall(attachment["text"])) == 1
    for text in (
        attachment["title"],
        code.sub("", attachment["text"]),
        *(one["value"] for one in attachment["fields"]),
    ):
        bare = re.sub(r"\\[\\*_~`|\[\]()!$#>.=+-]", "", text)
        assert not re.search(r"[*_~`|\[\]<]", bare), text
    links = payload(HOSTILE_MESSAGE)["attachments"][0]["text"].split("\n\n")[-2]
    assert re.findall(r"\]\((\w+):", links) == ["https", "https"]
    assert "%3C!channel%3E" in links


@pytest.mark.parametrize(
    ("words", "escaped"),
    [
        ("a_b*c~d`e|f", r"a\_b\*c\~d\`e\|f"),
        ("<!channel> <@U1> <https://a.example|b>", "&lt;\\!channel> &lt;@\u200bU1> &lt;https:\u200b//a.example\\|b>"),
        ("[x](y) ![p](q)", r"\[x\]\(y\) \!\[p\]\(q\)"),
        (":tada: 12:30", ":\u200btada: 12:30"),
        ("# a\n- b\n> c\n1. d", "\\# a\n\\- b\n\\> c\n1\\. d"),
        ("0.912 is > 0.9 - #1", "0.912 is > 0.9 - #1"),
        ("&amp; &lt; a & b", "&amp;amp; &amp;lt; a & b"),
        ("@all ana@mm.example @ x", "@\u200ball ana@\u200bmm.example @ x"),
    ],
)
def test_escapes(words: str, escaped: str) -> None:
    assert escape(words) == escaped


def test_plain_words_mention_nobody() -> None:
    assert neutral("@here <!here> a@b") == "@\u200bhere <\u200b!here> a@\u200bb"


def error(status: int, error_id: str) -> HttpReply:
    body = {"id": error_id, "message": "words", "detailed_error": "", "request_id": "qe3", "status_code": status}
    return reply(status, json.dumps(body))


@pytest.mark.parametrize(
    ("status", "error_id", "scope"),
    [
        (400, "web.incoming_webhook.invalid.app_error", "endpoint"),
        (501, "web.incoming_webhook.disabled.app_error", "endpoint"),
        (404, "web.incoming_webhook.channel.app_error", "endpoint"),
        (403, "web.incoming_webhook.channel_locked.app_error", "endpoint"),
        (403, "web.incoming_webhook.permissions.app_error", "endpoint"),
        (403, "web.incoming_webhook.user.app_error", "endpoint"),
        (400, "web.incoming_webhook.user.app_error", "endpoint"),
        (403, "api.post.create_post.town_square_read_only", "endpoint"),
        (400, "web.incoming_webhook.text.app_error", "message"),
        (400, "api.webhook.incoming.error", "message"),
        (400, "something.new.app_error", "message"),
    ],
)
def test_the_table_of_errors(status: int, error_id: str, scope: str) -> None:
    outcome = MATTERMOST.classify(error(status, error_id))
    assert isinstance(outcome, Rejected)
    assert outcome.scope == scope
    assert error_id in outcome.reason


def test_a_store_that_fails_is_no_channel_that_is_gone() -> None:
    assert isinstance(MATTERMOST.classify(error(500, "web.incoming_webhook.channel.app_error")), Retry)


@pytest.mark.parametrize("body", ["", "OK", "<html>sign in</html>", "{}"])
def test_200_without_ok_is_no_success(body: str) -> None:
    assert isinstance(MATTERMOST.classify(reply(200, body)), Retry)


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [({"retry_after": "7"}, 7.0), ({"x_ratelimit_reset": "3"}, 3.0), ({"x_ratelimit_reset": "soon"}, None), ({}, None)],
)
def test_waits_as_long_as_the_server_says(headers: dict[str, str], after_s: float | None) -> None:  # S1-03
    outcome = MATTERMOST.classify(reply(429, "limit exceeded", **headers))
    assert isinstance(outcome, Retry)
    assert (outcome.after_s, outcome.rate_limited) == (after_s, True)


def test_what_the_server_refuses() -> None:
    fake = FakeMattermost()
    fake.gone.add("s3cr3ta1a1a1a1a1a1a1a1a1a1")
    words = "web.incoming_webhook.invalid.app_error: Invalid webhook."
    assert post(fake, FAILED) == Rejected(words, "endpoint")
    fake = FakeMattermost()
    fake.locked = True
    assert post(fake, FAILED) == Delivered()
    fake.channels.append(CHANNEL)
    locked = post(fake, FAILED, channel=CHANNEL)
    assert isinstance(locked, Rejected)
    assert locked.reason.startswith("web.incoming_webhook.channel_locked.app_error")
    fake.hooks_off = True
    off = post(fake, FAILED)
    assert isinstance(off, Rejected)
    assert off.scope == "endpoint"


def test_another_channel_name_and_picture() -> None:
    fake = FakeMattermost()
    fake.channels.append(CHANNEL)
    sent = payload(FAILED, channel=CHANNEL, username="Tocsin ☎", icon_url="https://a.example/a.png")
    assert (sent["channel"], sent["username"], sent["icon_url"]) == (CHANNEL, "Tocsin ☎", "https://a.example/a.png")
    assert post(fake, FAILED, channel=CHANNEL, username="Tocsin") == Delivered()
    assert (fake.posts[0].channel, fake.posts[0].username) == (CHANNEL, "Tocsin")
    assert not {"channel", "username", "icon_url"} & set(payload(FAILED))


def test_addresses() -> None:  # S1-14
    assert f"^{ADDRESS.pattern}$" == PATTERNS["patterns"]["mattermost_hook"]
    check = MATTERMOST.check_address
    assert check is not None
    good = PATTERNS["examples"]["mattermost_hook"][0]
    for address in (*PATTERNS["examples"]["mattermost_hook"], good + "/"):
        assert check(address) == address
    for address in (
        good + "\n",
        good + "?x=1",
        good.replace("//", "//u:p@"),
        good[:-1],
        good.upper(),
        good.replace("/hooks", "/hook"),
        good.replace("https", "ftp"),
        good.replace("mm.", "m\u202em."),
        "https://" + "a" * 3000 + "/hooks/a1a1a1a1a1a1a1a1a1a1a1a1a1",
    ):
        with pytest.raises(Invalid) as refused:
            check(address)
        assert "a1a1a1a1a1a1" not in refused.value.detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mention_on_failure", "<!here>"),
        ("mention_on_failure", "ana, bo"),
        ("theme_color", "green"),
        ("channel", "Town Square"),
        ("channel", "a\n"),
        ("username", "x" * 65),
        ("icon_url", "http://a.example/a.png"),
        ("forum_threads", "true"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field: str, value: str) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({field: value}, MattermostSettings)


def test_pace_and_patience() -> None:  # S1-03, S1-04
    assert (MATTERMOST.rate_per_s, MATTERMOST.timeout_s, MATTERMOST.max_age_s) == (5.0, 10.0, 21_600)
    assert MATTERMOST.live is None
