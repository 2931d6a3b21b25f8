"""The fake Slack: as strict as the real one, in its own words, with a channel that one can look at."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compose.samples import AT_MS
from tocsin.fakes import Answer, Asked
from tocsin.fakes.slack import CHANNEL, Channel, FakeSlack

METHODS = Path(__file__).parents[2].parent / "shared" / "schemas" / "slack-methods"
ERRORS = {
    name: set(json.loads((METHODS / f"{name}.json").read_text())["errors"])
    for name in ("chat.postMessage", "chat.update", "reactions.add")
}
TOKEN = "xoxb-1234-abcdefghijkl"
HOOK = "/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx"
TRIGGER = "/triggers/T00000000/1234/abcdef"
JSON = "application/json; charset=utf-8"


def call(slack: FakeSlack, method: str, at_ms: int = AT_MS, token: str = TOKEN, **sent: Any) -> dict[str, Any]:
    headers = {"content-type": JSON, "authorization": f"Bearer {token}"}
    body = json.dumps(sent).encode()
    answer = slack.answer(Asked("POST", "slack.com", f"/api/{method}", headers, body, at_ms))
    found: dict[str, Any] = json.loads(answer.body)
    assert answer.status == (429 if found.get("error") == "ratelimited" else 200)
    if "error" in found and method in ERRORS:
        assert found["error"] in ERRORS[method] | {"invalid_auth", "invalid_json", "invalid_attachments"}
    return found


def post(slack: FakeSlack, at_ms: int = AT_MS, **sent: Any) -> dict[str, Any]:
    return call(slack, "chat.postMessage", at_ms, **({"channel": "#alerts", "text": "Hello"} | sent))


def hook(slack: FakeSlack, sent: Any, path: str = HOOK, at_ms: int = AT_MS) -> Answer:
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    return slack.answer(Asked("POST", "hooks.slack.com", path, {"content-type": JSON}, body, at_ms))


def header(chars: int) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": "x" * chars}}


def section(chars: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * chars}}


def button(**fields: Any) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://a.example"} | fields


def actions(*buttons: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(buttons)}


def rich_text(words: str) -> dict[str, Any]:
    piece = {"type": "text", "text": words}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [piece]}]}


def test_a_message_with_its_edits_thread_and_reactions() -> None:
    slack = FakeSlack()
    root = post(slack, text="running", blocks=[header(3)])
    assert root["channel"] == CHANNEL
    again = {"channel": CHANNEL, "ts": root["ts"]}
    assert call(slack, "chat.update", AT_MS + 5, **again, text="failed", blocks=[])["ok"]
    assert post(slack, channel=CHANNEL, text="why", thread_ts=root["ts"])["ok"]
    assert post(slack, channel=CHANNEL, text="seen", thread_ts=root["ts"], reply_broadcast=True)["ok"]
    react = {"channel": CHANNEL, "timestamp": root["ts"], "name": "x"}
    assert call(slack, "reactions.add", **react) == {"ok": True}
    assert call(slack, "reactions.add", **react)["error"] == "already_reacted"

    assert [one.text for one in slack.messages] == ["failed", "seen"]
    message = slack.messages[0]
    assert [one.text for one in message.replies] == ["why", "seen"]
    assert [(one.text, one.blocks) for one in message.edits] == [("running", [header(3)])]
    assert (message.blocks, message.edited_ms, message.reactions) == ([], [AT_MS + 5], ["x"])
    assert len({one.ts for one in (*slack.messages, *message.replies)}) == 3


def test_an_edit_leaves_what_it_does_not_name() -> None:
    slack = FakeSlack()
    root = post(slack, blocks=[header(3)])
    call(slack, "chat.update", channel=CHANNEL, ts=root["ts"], text="new")
    assert slack.messages[0].blocks == [header(3)]


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        ({"blocks": [header(150)]}, ""),
        ({"blocks": [header(151)]}, "invalid_blocks"),
        ({"blocks": [header(0)]}, "invalid_blocks"),
        ({"blocks": [section(3000)]}, ""),
        ({"blocks": [section(3001)]}, "invalid_blocks"),
        ({"blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "fields": [section(2000)["text"]] * 6}]}, ""),
        ({"blocks": [{"type": "section", "fields": [section(1)["text"]] * 11}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "fields": [section(2001)["text"]]}]}, "invalid_blocks"),
        ({"blocks": [{"type": "context", "elements": [section(1)["text"]] * 11}]}, "invalid_blocks"),
        ({"blocks": [section(1)] * 50}, ""),
        ({"blocks": [section(1)] * 51}, "invalid_blocks"),
        ({"blocks": [section(3000)] * 5}, "msg_blocks_too_long"),
        ({"blocks": [{"type": "surprise"}]}, "invalid_blocks"),
        ({"blocks": ["x"]}, "invalid_blocks"),
        ({"blocks": "x"}, "invalid_blocks_format"),
        ({"blocks": [rich_text("")]}, "invalid_blocks"),
        ({"blocks": [rich_text("x")]}, ""),
        ({"blocks": [actions(button(action_id="a"), button(action_id="b", style="danger"))]}, ""),
        ({"blocks": [actions(button(action_id="a"), button(action_id="a"))]}, "invalid_blocks"),
        ({"blocks": [actions(button(style="loud"))]}, "invalid_blocks"),
        ({"blocks": [actions(button(url="https://" + "a" * 3000))]}, "invalid_blocks"),
        ({"attachments": [{"blocks": [section(1)] * 20}]}, ""),
        ({"attachments": [{"blocks": [section(1)] * 21}]}, "invalid_attachments"),
        ({"attachments": [{}] * 101}, "too_many_attachments"),
        ({"text": ""}, "no_text"),
        ({"text": "x" * 50_000}, ""),
        ({"channel": "#nowhere"}, "channel_not_found"),
        ({"channel": "C0NOWHERE"}, "channel_not_found"),
        ({"channel": ""}, "channel_not_found"),
        ({"token": "xoxp-1"}, "invalid_auth"),
        ({"token": ""}, "not_authed"),
    ],
)  # fmt: skip
def test_is_as_strict_as_slack(sent: dict[str, Any], word: str) -> None:
    slack = FakeSlack()
    answer = post(slack, **sent)
    assert answer.get("error", "") == word
    assert answer["ok"] == (len(slack.messages) == 1) == (not word)
    assert all(len(one.text) <= 40_000 for one in slack.messages)
    if set(sent) <= {"blocks", "attachments", "text"} and word != "too_many_attachments":
        status = hook(FakeSlack(), {"text": "Hello"} | sent).status
        assert status == (400 if word else 200)


def test_says_which_part_is_wrong() -> None:
    found = post(FakeSlack(), blocks=[section(1), header(151)])
    assert found["response_metadata"]["messages"] == [
        "[ERROR] must be less than 151 characters [json-pointer:/blocks/1/text/text]"
    ]


def test_what_a_channel_or_a_token_may_refuse() -> None:
    slack = FakeSlack()
    root = post(slack)
    edit = {"channel": CHANNEL, "ts": root["ts"], "text": "x"}
    assert call(slack, "chat.update", **(edit | {"text": "x" * 4001}))["error"] == "msg_too_long"
    assert call(slack, "chat.update", **(edit | {"ts": "1.0"}))["error"] == "message_not_found"
    assert call(slack, "chat.update", **(edit | {"channel": "#alerts"}))["error"] == "channel_not_found"
    assert call(slack, "reactions.add", channel=CHANNEL, name="x")["error"] == "no_item_specified"
    react = {"channel": CHANNEL, "timestamp": root["ts"], "name": ":x:"}
    assert call(slack, "reactions.add", **react)["error"] == "invalid_name"
    assert call(slack, "files.upload")["error"] == "unknown_method"
    slack.channels[CHANNEL].is_archived = True
    assert post(slack)["error"] == "is_archived"
    assert call(slack, "chat.update", **edit)["error"] == "is_inactive"
    assert hook(slack, {"text": "x"}) == Answer(410, b"channel_is_archived")
    slack.channels["C0OTHER"] = Channel("C0OTHER", "other", has_bot=False)
    assert post(slack, channel="other")["error"] == "not_in_channel"
    slack.revoked.add(TOKEN)
    assert post(slack)["error"] == "token_revoked"


def test_keeps_slacks_rates_where_asked() -> None:  # S1-03
    slack = FakeSlack(limits=True)
    root = post(slack)
    assert root["ok"]
    assert post(slack, AT_MS + 999)["error"] == "ratelimited"
    assert post(slack, AT_MS + 1000)["ok"]
    assert hook(slack, {"text": "x"}).status == 200
    assert hook(slack, {"text": "x"}) == Answer(429, b"rate_limited", {"retry-after": "1"})
    edit = {"channel": CHANNEL, "ts": root["ts"], "text": "x"}
    assert all(call(slack, "chat.update", AT_MS + index, **edit)["ok"] for index in range(50))
    assert call(slack, "chat.update", AT_MS + 59_999, **edit)["error"] == "ratelimited"
    assert call(slack, "chat.update", AT_MS + 60_000, **edit)["ok"]


def test_webhooks_answer_with_a_word() -> None:
    slack = FakeSlack()
    assert hook(slack, {"text": "Hello", "thread_ts": "1.0"}).body == b"ok"
    assert [(one.text, one.thread_ts) for one in slack.messages] == [("Hello", "1.0")]
    assert hook(slack, b"{").body == b"invalid_payload"
    assert hook(slack, b"[]").body == b"invalid_payload"
    assert hook(slack, {"text": " "}).body == b"no_text"
    assert hook(slack, {"text": "x"}, "/services/nope") == Answer(404, b"no_service")
    slack.gone.add(HOOK)
    assert hook(slack, {"text": "x"}) == Answer(404, b"no_service")


def test_triggers_take_what_the_workflow_declares() -> None:
    slack = FakeSlack()
    assert hook(slack, {"a": "1"}, TRIGGER).body == b'{"ok":true}'
    slack.triggers[TRIGGER] = frozenset({"title", "url"})
    assert hook(slack, {"title": "x", "url": "y"}, TRIGGER).status == 200
    for bad in ({"title": "x"}, {"title": "x", "url": "y", "more": "z"}, {"title": "x", "url": ""}, {"title": 1}, b"x"):
        assert hook(slack, bad, TRIGGER).status == 400
    assert slack.started == [{"a": "1"}, {"title": "x", "url": "y"}]
    slack.gone.add(TRIGGER)
    assert hook(slack, {}, TRIGGER).status == 404


def test_the_next_answers_can_be_scripted() -> None:
    slack = FakeSlack()
    slack.next.append(Answer(503, b"upstream"))
    assert hook(slack, {"text": "x"}) == Answer(503, b"upstream")
    assert hook(slack, {"text": "x"}).body == b"ok"
    assert len(slack.messages) == 1
