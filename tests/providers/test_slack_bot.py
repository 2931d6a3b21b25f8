"""Slack's Web API: one message per run, its thread, the three methods' words, and no more than Slack allows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from slack_sdk.models.blocks import Block

from tests.fakes.all_fakes import ask
from tests.providers.examples import EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, TOKEN, provider_of, reply, sending
from tocsin.fakes.slack import FakeSlack
from tocsin.model.endpoint import Target
from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.thread import Thread
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, NoReply, Outcome, Rejected, Retry, Sending
from tocsin.providers import slack_bot
from tocsin.providers.slack_bot import SlackBotSettings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["slack"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(json.loads((SHARED / "slack-message-blocks.generated.schema.json").read_text()))
METHODS = {
    name: json.loads((SHARED / "slack-methods" / f"{name}.json").read_text())
    for name in ("chat.postMessage", "chat.update", "reactions.add")
}
TOTAL_CHARS = 12_000

BOT = provider_of("slack_bot")
LIVE = BOT.live
assert LIVE is not None
REFS = {"channel": "C0123ABCD", "ts": "1732154400.000100"}
STAGES = (RunStep("load", "succeeded", 12_000), RunStep("train", "succeeded", 480_000), RunStep("evaluate", "running"))


def given(
    message: Message, *, plain: bool = False, quiet: bool = False, refs: dict[str, str] = REFS, **settings: Any
) -> Sending:
    return sending(BOT, message, plain=plain, thread=Thread(refs=refs), quiet=quiet, **settings)


def sent(request: Any) -> Any:
    assert isinstance(request, HttpRequest)
    return json.loads(request.body)


def content(request: HttpRequest) -> list[Any]:
    body = sent(request)
    return [*body.get("blocks", []), *(block for one in body.get("attachments", []) for block in one["blocks"])]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(one)


def staged(message: Message, **fields: Any) -> Message:
    return msgspec.structs.replace(message, steps=STAGES, **fields)


def every_request(message: Message, **settings: Any) -> dict[str, HttpRequest]:
    assert LIVE is not None
    found: dict[str, Any] = {}
    for plain in (False, True):
        one = given(message, plain=plain, **settings)
        found |= {f"root {plain}": BOT.render(one), f"edit {plain}": LIVE.edit(one), f"reply {plain}": LIVE.reply(one)}
    return found


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("interactivity", [False, True])
@pytest.mark.parametrize("steps", [(), STAGES, STAGES * 100])
def test_is_what_slack_takes(name: str, interactivity: bool, steps: tuple[RunStep, ...]) -> None:  # S0-05, S3-01
    message = msgspec.structs.replace(EVERY_MESSAGE[name], steps=steps)
    for what, request in every_request(message, interactivity=interactivity, mention_on_failure=["U012AB3CD"]).items():
        body = sent(request)
        method = request.url.rpartition("/")[2]
        assert set(body) <= set(METHODS[method]["args"]), what
        VALIDATOR.validate({key: body[key] for key in ("text", "blocks", "attachments") if key in body})
        blocks = content(request)
        judged = Block.parse_all(blocks)
        assert len(judged) == len(blocks)
        for block in judged:
            block.validate_json()
        assert len(body["text"]) <= LIMITS["message"]["chat_update_text_max"]
        assert body["text"] or body["blocks"]
        assert len(blocks) <= LIMITS["message"]["blocks_max"]
        assert (
            sum(len(one) for one in strings(blocks)) <= TOTAL_CHARS < LIMITS["message"]["blocks_total_chars_observed"]
        )
        buttons = [one for block in blocks if block["type"] == "actions" for one in block["elements"]]
        assert interactivity or not buttons
        assert len({one["action_id"] for one in buttons}) == len(buttons) <= 3
        for one in buttons:
            assert 1 <= len(one["text"]["text"]) <= LIMITS["button"]["text"]
            assert one["url"].startswith("http")
            assert len(one["url"]) <= LIMITS["button"]["url"]


def test_says_who_it_is_and_where_it_goes() -> None:  # S3-01
    request = BOT.render(given(MESSAGES["alert"], channel="#my-team-alerts"))
    assert isinstance(request, HttpRequest)
    assert request.url == "https://slack.com/api/chat.postMessage"
    assert dict(request.headers)["authorization"] == f"Bearer xoxb-1234-{TOKEN}"
    assert dict(request.headers)["content-type"] == "application/json; charset=utf-8"
    assert sent(request)["channel"] == "#my-team-alerts"
    gov = BOT.render(given(MESSAGES["alert"], gov=True))
    assert isinstance(gov, HttpRequest)
    assert gov.url == "https://slack-gov.com/api/chat.postMessage"
    assert TOKEN not in repr(given(MESSAGES["alert"]).target.settings)


def test_an_edit_rewrites_all_of_it() -> None:  # S0-06
    assert LIVE is not None
    rich, plain = LIVE.edit(given(MESSAGES["run-failed"])), LIVE.edit(given(MESSAGES["run-failed"], plain=True))
    for one in (rich, plain):
        assert isinstance(one, HttpRequest)
        assert one.url.endswith("/api/chat.update")
        body = sent(one)
        assert (body["channel"], body["ts"], body["parse"]) == (REFS["channel"], REFS["ts"], "none")
    assert sent(rich)["blocks"][0]["type"] == "header"
    assert (sent(plain)["blocks"], sent(plain)["attachments"]) == ([], [])  # else the old ones would stay


def test_an_edit_mentions_nobody_and_a_reply_does() -> None:  # S1-17, S1-18
    assert LIVE is not None
    failed = MESSAGES["run-failed"]
    who: dict[str, Any] = {"mention_on_failure": ["S0123ABC", "here"]}
    shown = "<!subteam^S0123ABC> <!here>"
    assert shown not in json.dumps(sent(LIVE.edit(given(failed, **who))))
    assert shown in json.dumps(sent(LIVE.reply(given(failed, **who))))
    assert shown in json.dumps(sent(LIVE.reply(given(failed, plain=True, **who))))
    assert shown not in json.dumps(sent(LIVE.reply(given(failed, quiet=True, **who))))
    assert shown in json.dumps(sent(BOT.render(given(failed, **who))))
    assert shown not in json.dumps(sent(BOT.render(given(failed, quiet=True, **who))))
    assert shown not in json.dumps(sent(LIVE.reply(given(MESSAGES["run-succeeded"], **who))))


def test_a_failure_is_told_in_the_thread_and_seen_in_the_channel() -> None:  # S0-06
    assert LIVE is not None
    body = sent(LIVE.reply(given(MESSAGES["run-failed"])))
    assert (body["channel"], body["thread_ts"], body["reply_broadcast"]) == (REFS["channel"], REFS["ts"], True)
    told = json.dumps(body["blocks"], ensure_ascii=False)
    assert "Traceback (most recent call last)" in told
    assert "|Open run>" in told
    assert "reply_broadcast" not in sent(LIVE.reply(given(MESSAGES["run-failed"], reply_broadcast=False)))
    assert "reply_broadcast" not in sent(LIVE.reply(given(MESSAGES["run-failed"], quiet=True)))


def test_a_stage_that_ended_is_a_line() -> None:  # S0-06
    assert LIVE is not None
    message = msgspec.structs.replace(
        MESSAGES["stage-update"],
        steps=(RunStep("train", "succeeded", 480_000), RunStep("check", "failed")),
        facts=(("Step", "train"), ("Duration", "8m 00s"), ("AUC", "0.912")),
    )
    blocks = sent(LIVE.reply(given(message, quiet=True)))["blocks"]
    first = "".join(one["text"] for one in blocks[0]["elements"][0]["elements"])
    assert first == "✅ train 8m 00s\n❌ check"
    assert [one["text"] for one in blocks[1]["fields"]] == ["*AUC*\n0.912"]
    assert len(blocks) == 2


def test_all_else_in_the_thread_is_one_sentence() -> None:
    assert LIVE is not None
    message = msgspec.structs.replace(MESSAGES["run-succeeded"], sentence="✅ It works again. Recovered.")
    assert [list(strings(one))[-1] for one in sent(LIVE.reply(given(message)))["blocks"]] == [
        "✅ It works again. Recovered."
    ]


def test_stages_are_listed_unless_that_is_switched_off() -> None:  # S0-06
    message = staged(MESSAGES["run-started"], run_status="running")
    for details in (True, False):
        told = json.dumps(sent(BOT.render(given(message, stage_details=details))), ensure_ascii=False)
        assert "▰▰▱ 2/3" in told
        assert ("✅ load 12 s" in told) == details


def test_buttons_only_where_somebody_answers_the_click() -> None:  # S1-18
    asked: dict[str, dict[str, Any]] = {
        "links": {},
        "buttons": {"interactivity": True},
        "none": {"include_action_buttons": False, "interactivity": True},
    }
    kinds = {
        name: sent(BOT.render(given(MESSAGES["run-failed"], **settings)))["blocks"] for name, settings in asked.items()
    }
    assert "|Open run>" in json.dumps(kinds["links"])
    (row,) = [one for one in kinds["buttons"] if one["type"] == "actions"]
    assert row["elements"][0] == {
        "type": "button",
        "text": {"type": "plain_text", "text": "Open run", "emoji": False},
        "url": "https://airflow.example/runs/8f3a21c",
        "action_id": "open_0",
        "style": "primary",
    }
    assert row["elements"][1]["url"] == "https://airflow.example/logs/8f3a21c?a=1&b=2"
    assert "airflow.example" not in json.dumps(kinds["none"])


def test_hostile_text_is_only_text() -> None:
    steps = (RunStep("<!channel> *x* @here", "failed"),)
    for request in every_request(
        msgspec.structs.replace(HOSTILE_MESSAGE, steps=steps), interactivity=True, mention_on_failure=False
    ).values():
        body = sent(request)
        parsed = [body["text"], *(one["fallback"] for one in body.get("attachments", []))]
        parsed += [one["text"] for block in content(request) for one in block.get("fields", [])]
        for one in parsed:
            assert "<!" not in one
            assert "<@" not in one
            assert "@everyone" not in one
            assert "\u202e" not in one
        for block in content(request):
            for button in block["elements"] if block["type"] == "actions" else ():
                assert button["url"].startswith("https://")
                assert "<!" not in button["text"]["text"]
                assert not set(button["url"]) & set("\r\n ")


@pytest.mark.parametrize(
    ("status", "emoji"),
    [("succeeded", "white_check_mark"), ("failed", "x"), ("warning", "warning"), ("cancelled", "no_entry_sign")],
)
def test_marks_how_the_run_ended(status: str, emoji: str) -> None:
    assert LIVE is not None
    assert LIVE.mark is not None
    request = LIVE.mark(given(msgspec.structs.replace(MESSAGES["run-started"], run_status=status)))
    assert isinstance(request, HttpRequest)
    assert request.url.endswith("/api/reactions.add")
    assert sent(request) == {"channel": REFS["channel"], "timestamp": REFS["ts"], "name": emoji}


def test_marks_nothing_while_it_runs() -> None:
    assert LIVE is not None
    assert LIVE.mark is not None
    for status in ("running", "paused", "unknown", ""):
        assert LIVE.mark(given(msgspec.structs.replace(MESSAGES["run-started"], run_status=status))) is None


def test_one_message_per_run_can_be_switched_off() -> None:
    assert LIVE is not None
    assert LIVE.is_on(SlackBotSettings())
    assert not LIVE.is_on(SlackBotSettings(one_message_per_run=False))


def test_shared_limits_name_no_token() -> None:  # S1-03
    assert BOT.limits is not None
    assert LIVE is not None
    assert LIVE.mark is not None
    one = given(MESSAGES["run-failed"])
    (post,) = BOT.limits(one, BOT.render(one))
    (below,) = BOT.limits(one, LIVE.reply(one))
    (edit,) = BOT.limits(one, LIVE.edit(one))
    mark = LIVE.mark(one)
    assert mark is not None
    (react,) = BOT.limits(one, mark)
    assert (post.count, post.per_s) == (1, 1.05)
    assert (edit.count, edit.per_s) == (react.count, react.per_s) == (50, 60.0)
    assert post == below
    assert len({post.key, edit.key, react.key}) == 3
    other = given(MESSAGES["run-failed"], channel="#other")
    assert BOT.limits(other, BOT.render(other))[0].key != post.key
    assert BOT.limits(other, LIVE.edit(other))[0].key == edit.key
    elsewhere = given(MESSAGES["run-failed"], bot_token="xoxb-another-workspace")
    assert BOT.limits(elsewhere, BOT.render(elsewhere))[0].key != post.key
    assert not any(TOKEN in limit.key for limit in (post, edit, react))


def test_a_run_as_people_see_it() -> None:  # S0-01, S0-06
    assert LIVE is not None
    assert LIVE.mark is not None
    slack = FakeSlack()
    running = staged(MESSAGES["run-started"], run_status="running")
    failed = staged(MESSAGES["run-failed"], run_status="failed")
    request = BOT.render(sending(BOT, running, quiet=True))
    assert isinstance(request, HttpRequest)
    posted = BOT.classify(ask(slack, request))
    assert isinstance(posted, Delivered)
    thread = Thread(refs=dict(posted.receipt))
    now = sending(BOT, failed, thread=thread, mention_on_failure="here")
    for one in (LIVE.edit(now), LIVE.reply(now), LIVE.mark(now), LIVE.mark(now)):
        assert isinstance(one, HttpRequest)
        assert isinstance(BOT.classify(ask(slack, one)), Delivered)
    root, seen = slack.messages
    assert root.text.startswith("❌ train-ranker failed in prod")
    assert [one.text.split()[0] for one in root.edits] == ["⏳"]
    assert root.replies == [seen]
    assert seen.broadcast
    assert "<!here>" in json.dumps(seen.blocks)
    assert root.reactions == ["x"]


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_the_fake_takes_every_request(name: str) -> None:
    slack = FakeSlack()
    first = BOT.render(sending(BOT, MESSAGES["run-started"]))
    assert isinstance(first, HttpRequest)
    posted = BOT.classify(ask(slack, first))
    assert isinstance(posted, Delivered)
    message = msgspec.structs.replace(EVERY_MESSAGE[name], steps=STAGES * 100)
    for request in every_request(message, refs=dict(posted.receipt), interactivity=True).values():
        assert isinstance(BOT.classify(ask(slack, request)), Delivered)


RETRIED = {
    "service_unavailable", "internal_error", "request_timeout", "team_added_to_org", "org_login_required",
    "external_channel_migrating", "update_failed", "accesslimited", "fatal_error", "unknown_method",
    "ratelimited", "rate_limited",
}  # fmt: skip
TOKEN_DEAD = {
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "app_access_restricted",
    "two_factor_setup_required", "enterprise_is_restricted", "ekm_access_denied", "method_deprecated",
    "deprecated_endpoint", "not_allowed_token_type", "is_bot",
}  # fmt: skip
CHANNEL_DEAD = {
    "channel_not_found", "not_in_channel", "is_archived", "missing_scope", "no_permission", "access_denied",
    "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
    "messages_tab_disabled", "message_limit_exceeded", "team_not_found",
}  # fmt: skip
LOST = {
    "message_not_found", "cant_update_message", "edit_window_closed", "is_inactive", "streaming_state_conflict",
    "block_mismatch", "cannot_reply_to_message", "restricted_action_thread_locked",
    "restricted_action_non_threadable_channel",
}  # fmt: skip
UNLISTED = {"invalid_auth", "internal_error", "msg_too_long", "invalid_arguments", "attachment_payload_limit_exceeded"}
WORDS = sorted({word for method in METHODS.values() for word in method["errors"]} | UNLISTED)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("status", [200, 400])
def test_every_word_of_the_three_methods(word: str, status: int) -> None:
    outcome = BOT.classify(reply(status, json.dumps({"ok": False, "error": word})))
    assert kind_of(outcome) == (
        "delivered" if word == "already_reacted"
        else "retry" if word in RETRIED
        else "credential" if word in TOKEN_DEAD
        else "endpoint" if word in CHANNEL_DEAD
        else "thread" if word in LOST
        else "message"
    )  # fmt: skip
    if isinstance(outcome, Retry):
        assert outcome.rate_limited == (word in ("ratelimited", "rate_limited"))
    if isinstance(outcome, Retry | Rejected):
        assert outcome.reason.startswith(word)


def kind_of(outcome: Outcome) -> str:
    if isinstance(outcome, Rejected):
        return outcome.scope
    return type(outcome).__name__.lower()


def test_the_tables_name_only_words_that_exist() -> None:
    known = set(WORDS)
    for table in (slack_bot.PASSING, slack_bot.CREDENTIAL_DEAD, slack_bot.ENDPOINT_DEAD, slack_bot.THREAD_LOST):
        assert table <= known, table - known


def test_a_documented_success_is_a_receipt() -> None:
    for name in ("chat.postMessage", "chat.update"):
        body = METHODS[name]["response"]["examples"][0]
        found = BOT.classify(reply(200, body))
        assert isinstance(found, Delivered)
        assert found.receipt["channel"] == "C123ABC456"
        assert found.receipt["ts"] == json.loads(body)["ts"]
    assert BOT.classify(reply(200, METHODS["reactions.add"]["response"]["examples"][0])) == Delivered()


def test_a_success_that_was_too_long_to_read_is_a_receipt_all_the_same() -> None:
    body = b'{"ok":true,"channel":"C123ABC456","ts":"1503435956.000247","message":{"text":"' + b"x" * 100
    assert BOT.classify(HttpReply(200, {}, body, truncated=True)) == Delivered(
        {"channel": "C123ABC456", "ts": "1503435956.000247"}
    )
    assert isinstance(BOT.classify(HttpReply(200, {}, body)), Retry)  # a reply that broke off


def test_what_slack_explains_is_shown() -> None:  # S1-20
    body = {
        "ok": False,
        "error": "invalid_blocks",
        "response_metadata": {"messages": ["[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text]"]},
    }
    assert BOT.classify(reply(200, json.dumps(body))) == Rejected(
        "invalid_blocks: [ERROR] must be less than 151 characters [json-pointer:/blocks/0/text]"
    )
    missing = {"ok": False, "error": "missing_scope", "needed": "chat:write", "provided": "identify"}
    assert BOT.classify(reply(200, json.dumps(missing))) == Rejected("missing_scope: needs chat:write", "endpoint")
    uninvited = BOT.classify(reply(200, '{"ok":false,"error":"not_in_channel"}'))
    assert isinstance(uninvited, Rejected)
    assert "invite the bot" in uninvited.reason


def test_a_reaction_that_may_not_be_set_closes_nothing() -> None:
    missing = {"ok": False, "error": "missing_scope", "needed": "reactions:write"}
    assert BOT.classify(reply(200, json.dumps(missing))) == Rejected("missing_scope: needs reactions:write", "message")


@pytest.mark.parametrize(
    "body",
    [
        {"ok": False, "error": "x" * 100_000},
        {"ok": False, "error": ["a"], "response_metadata": {"messages": [{"a": "\u202e"}] * 900}},
        {"ok": False, "error": {"a": 1}, "response_metadata": []},
        {"ok": False, "error": "a\r\nb", "needed": 5},
        {"ok": "true", "error": None},
        {"ok": True, "channel": 5, "ts": {}},
        {"ok": False},
    ],
)
def test_nonsense_has_a_meaning(body: Any) -> None:
    outcome = BOT.classify(reply(200, json.dumps(body)))
    if isinstance(outcome, Delivered):
        assert outcome.receipt == {}
    elif isinstance(outcome, Retry | Rejected):
        assert 0 < len(outcome.reason) <= 300
        assert outcome.reason.isprintable()


def test_limits_that_are_hit_are_waited_out() -> None:  # S1-03
    limited = reply(429, '{"ok":false,"error":"ratelimited"}', retry_after="17")
    assert BOT.classify(limited) == Retry("ratelimited", 17.0, rate_limited=True)
    assert BOT.classify(reply(200, '{"ok":false,"error":"rate_limited"}')) == Retry("rate_limited", rate_limited=True)
    assert BOT.classify(reply(503, '{"ok":false,"error":"some_new_word"}')) == Retry(
        'HTTP 503: {"ok":false,"error":"some_new_word"}'
    )
    assert BOT.classify(NoReply("timeout", maybe_received=True)) == Retry("timeout")


@pytest.mark.parametrize("body", ["", "ok", "<html>sign in</html>", "[]", '{"ok":false}', "{"])
def test_200_without_ok_is_no_success(body: str) -> None:
    assert isinstance(BOT.classify(reply(200, body)), Retry)


def test_settings_that_will_not_do_are_refused_by_name() -> None:  # S1-18, S3-01
    assert BOT.check_settings is not None
    good = SlackBotSettings(bot_token=f"xoxb-1234-{TOKEN}", channel="#alerts")
    BOT.check_settings(good)
    for field, bad in {
        "settings.bot_token": [
            SlackBotSettings(channel="#alerts"),
            SlackBotSettings(bot_token=f"xoxp-1234-{TOKEN}", channel="#alerts"),
            SlackBotSettings(bot_token=f"xoxb-1234-{TOKEN}\r\nx: y", channel="#alerts"),
        ],
        "settings.channel": [SlackBotSettings(bot_token=f"xoxb-1234-{TOKEN}")],
    }.items():
        for settings in bad:
            with pytest.raises(Invalid) as refused:
                BOT.check_settings(settings)
            assert refused.value.field == field
            assert TOKEN not in refused.value.detail
    assert f"^{slack_bot.TOKEN.pattern}$" == PATTERNS["patterns"]["slack_bot_token"]
    for token in PATTERNS["examples"]["slack_bot_token"]:
        BOT.check_settings(SlackBotSettings(bot_token=token, channel="C0123ABCD"))


@pytest.mark.parametrize("channel", ["", "C0123ABCD", "D0123ABCD", "#alerts", "alerts", "#équipe-データ", "a_b.c-1"])
def test_channels(channel: str) -> None:
    assert msgspec.convert({"channel": channel}, SlackBotSettings).channel == channel


@pytest.mark.parametrize(
    "settings",
    [
        {"channel": "#Alerts please"},
        {"channel": "#" + "a" * 81},
        {"channel": "#alerts\n"},
        {"channel": "<!channel>"},
        {"channel": "U0123ABCD"},
        {"bot_token": "x" * 5000},
        {"mention_on_failure": "everyone, please"},
        {"theme_color": "00ff00"},
        {"gov": "yes"},
    ],
)
def test_settings_it_does_not_know_are_refused(settings: dict[str, Any]) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(settings, SlackBotSettings)
    assert next(iter(settings)) in str(refused.value)


def test_the_record() -> None:  # S1-03, S1-04, S3-01
    assert BOT.check_address is None
    assert BOT.operator == (("bot_token",), ("channel",))
    assert BOT.hint(SlackBotSettings(channel="#alerts")) == "#alerts"
    assert (BOT.rate_per_s, BOT.timeout_s, BOT.max_age_s) == (None, 10.0, 21_600)
    assert "***" in repr(Target("", SlackBotSettings(bot_token=TOKEN)))
