"""Slack's own rules: limits, official schema, error words, and that nobody's text is more than text."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from slack_sdk.models.blocks import Block

from tests.providers.examples import EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, provider_of, reply, sending
from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.wire import Delivered, Outcome, Rejected, Retry
from tocsin.provider_kit.block_kit import COLOURS, escape
from tocsin.providers.slack import ADDRESS, SlackSettings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["slack"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(json.loads((SHARED / "slack-message-blocks.generated.schema.json").read_text()))
SLACK = provider_of("slack")
TOTAL_CHARS = 12_000


def payload(message: Message, *, plain: bool = False, **settings: Any) -> Any:
    return json.loads(SLACK.render(sending(SLACK, message, plain=plain, **settings)).body)


def all_blocks(sent: Any) -> list[Any]:
    return [*sent.get("blocks", []), *(block for one in sent.get("attachments", []) for block in one["blocks"])]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


def objects(value: Any, kind: str) -> Iterator[Any]:
    """Every object of a type, however deep."""
    if isinstance(value, dict):
        if value.get("type") == kind:
            yield value
        for one in value.values():
            yield from objects(one, kind)
    elif isinstance(value, list):
        for one in value:
            yield from objects(one, kind)


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("mention", [False, True])
def test_is_what_slack_takes(name: str, mention: bool) -> None:  # S0-05, S1-02
    sent = payload(EVERY_MESSAGE[name], mention_on_failure=mention, thread_ts="1732154400.000100")
    VALIDATOR.validate(sent)
    assert not list(VALIDATOR.iter_errors(sent))
    blocks = all_blocks(sent)
    judged = Block.parse_all(blocks)
    assert len(judged) == len(blocks)
    for block in judged:
        block.validate_json()

    assert sent["text"] or not EVERY_MESSAGE[name].sentence
    assert len(sent["text"]) <= LIMITS["message"]["text_recommended"]
    assert len(blocks) <= LIMITS["message"]["blocks_max"]
    assert len(sent["attachments"]) == 1
    assert sum(len(one) for one in strings(blocks)) <= TOTAL_CHARS < LIMITS["message"]["blocks_total_chars_observed"]
    for block in blocks:
        if block["type"] == "header":
            assert 1 <= len(block["text"]["text"]) <= LIMITS["header"]["text"]
        if block["type"] == "section" and "text" in block:
            assert LIMITS["section"]["text_min"] <= len(block["text"]["text"]) <= LIMITS["section"]["text_max"]
        if block["type"] == "section" and "fields" in block:
            assert 1 <= len(block["fields"]) <= LIMITS["section"]["fields_max"]
            assert all(1 <= len(one["text"]) <= LIMITS["section"]["field_text_max"] for one in block["fields"])
        if block["type"] == "context":
            assert 1 <= len(block["elements"]) <= LIMITS["context"]["elements_max"]
    assert all(one["text"] for one in objects(sent, "text"))


@pytest.mark.parametrize("name", MESSAGES)
def test_the_colour_is_that_of_the_state(name: str) -> None:  # S0-03
    message = MESSAGES[name]
    assert payload(message)["attachments"][0]["color"] == COLOURS[message.tone]
    assert re.fullmatch("#[0-9A-F]{6}", COLOURS[message.tone])


def test_a_failure_carries_its_details_and_its_link() -> None:  # S0-02
    shown = json.dumps(payload(MESSAGES["run-failed"]), ensure_ascii=False)
    for part in ("train-ranker", "8f3a21c", "12m 31s", "evaluate", "CUDA out of memory", "in prod"):
        assert part in shown
    assert "<https://airflow.example/runs/8f3a21c|Open run>" in shown
    assert "<https://airflow.example/logs/8f3a21c?a=1&amp;b=2|Logs>" in shown


def test_pairs_and_footer_as_in_its_example() -> None:  # S1-02
    blocks = all_blocks(payload(MESSAGES["training-complete"]))
    fields = next(block["fields"] for block in blocks if "fields" in block)
    assert {"type": "mrkdwn", "text": "*Accuracy*\n96.8%", "verbatim": True} in fields
    footer = blocks[-1]["elements"][0]["text"]
    assert "Experiment #1234" in footer


def test_what_matters_is_not_folded_away() -> None:  # S0-05
    """Slack folds long attachments, and shows none in notifications."""
    blocks = payload(MESSAGES["run-failed"])["blocks"]
    first = json.dumps(blocks, ensure_ascii=False)
    for part in ("❌ train-ranker failed in prod", "CUDA out of memory", "*Duration*", "|Open run>"):
        assert part in first
    assert "actions" not in [block["type"] for block in blocks]


def test_progress_and_stages_are_shown() -> None:  # S0-06
    steps = (RunStep("load", "succeeded", 12_000), RunStep("tr*in", "running"))
    message = msgspec.structs.replace(MESSAGES["run-started"], steps=steps, run_status="running")
    told = ["".join(one["text"] for one in objects(block, "text")) for block in objects(payload(message), "rich_text")]
    assert "▰▱ 1/2 · tr*in" in told
    assert "✅ load 12 s · ⏳ tr*in" in told
    assert "▰▱ 1/2 · tr*in" in payload(message, plain=True)["text"]
    ended = msgspec.structs.replace(message, run_status="failed")
    assert "▰" not in json.dumps(payload(ended), ensure_ascii=False)


@pytest.mark.parametrize("count", [1, 10, 12, 13, 5000])
def test_many_stages_fit(count: int) -> None:
    steps = tuple(RunStep("s" * 500, "failed", 10**15) for _ in range(count - 1)) + (RunStep("", "running"),)
    for name in ("run-started", "absurd"):
        message = msgspec.structs.replace(EVERY_MESSAGE[name], steps=steps, run_status="running")
        blocks = all_blocks(payload(message))
        assert sum(len(one) for one in strings(blocks)) <= TOTAL_CHARS
        told = json.dumps(blocks, ensure_ascii=False)
        assert (f"… {count - 12} more" in told) == (count > 12)
        assert f"0/{count}" in told


def test_formatting_can_be_switched_off() -> None:  # S1-02, S1-18
    for sent in (
        payload(MESSAGES["run-failed"], use_rich_formatting=False),
        payload(MESSAGES["run-failed"], plain=True),
    ):
        assert set(sent) == {"text", "mrkdwn", "unfurl_links", "unfurl_media"}
        assert sent["text"].startswith('❌ train-ranker failed in prod after 12m 31s — step "evaluate": torch.cuda')
        assert "Open run: https://airflow.example/runs/8f3a21c" in sent["text"]


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_plain_words_fit_as_well(name: str) -> None:
    sent = payload(EVERY_MESSAGE[name], plain=True, mention_on_failure="<@U012AB3CD>")
    VALIDATOR.validate(sent)
    assert sent["text"]
    assert len(sent["text"]) <= LIMITS["message"]["text_recommended"]


def test_links_can_be_left_out() -> None:  # S1-18
    for plain in (False, True):
        sent = payload(MESSAGES["run-failed"], include_action_buttons=False, plain=plain)
        assert "airflow.example" not in json.dumps(sent)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (True, "<!here>"),
        ("<!channel>", "<!channel>"),
        ("here", "<!here>"),
        ("channel U012AB3CD", "<!channel> <@U012AB3CD>"),
        (["U012AB3CD", "S0123ABC", "<@U012AB3CD>"], "<@U012AB3CD> <!subteam^S0123ABC>"),
        ("<@U012AB3CD> <!subteam^S0123ABC>", "<@U012AB3CD> <!subteam^S0123ABC>"),
    ],
)
def test_mentions_on_failure_and_on_nothing_else(asked: Any, shown: str, plain: bool) -> None:  # S1-17, S1-18
    for name, message in MESSAGES.items():
        sent = json.dumps(payload(message, mention_on_failure=asked, plain=plain))
        assert (shown in sent) == (message.tone in ("bad", "rollback")), name
        assert shown not in json.dumps(payload(message, plain=plain))


@pytest.mark.parametrize(
    "settings",
    [
        {"mention_on_failure": "everyone, please"},
        {"mention_on_failure": "<!here> rm -rf"},
        {"mention_on_failure": "<@U012AB3CD>\n"},
        {"mention_on_failure": 1},
        {"mention_on_failure": ["here", "javascript:alert(1)"]},
        {"mention_on_failure": ["U012AB3CD"] * 11},
        {"mention_on_failure": "C012AB3CD"},
        {"thread_ts": "yesterday"},
        {"theme_color": "00ff00"},
        {"use_rich_formatting": "yes"},
    ],
)
def test_settings_it_does_not_know_are_refused(settings: dict[str, Any]) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, SlackSettings)


def test_hostile_text_is_only_text() -> None:
    rich, plain = payload(HOSTILE_MESSAGE), payload(HOSTILE_MESSAGE, plain=True)
    for sent in (rich, plain):
        for one in strings(sent):
            assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", one)
        shown = json.dumps(sent, ensure_ascii=False)
        assert "javascript:alert(1)|" not in shown
        assert "<javascript" not in shown
    # Where Slack parses, no mention, no link and no formatting of theirs is left.
    parsed = [
        plain["text"],
        rich["text"],
        rich["attachments"][0]["fallback"],
        *(one["text"] for one in objects(rich, "mrkdwn")),
    ]
    for one in parsed:
        markup = re.sub(
            r"<https://[^<>|]+\|[^<>|]*>|<!date\^\d+\^\{date_short_pretty\} \{time\}\|[\d :UTC-]+>", "", one
        )
        assert "<" not in markup
        assert ">" not in markup
        assert not re.search("@(channel|here|everyone)", markup)
        assert "\r" not in markup
    for field in (one for block in all_blocks(rich) for one in block.get("fields", [])):
        name, _, value = field["text"].partition("\n")
        assert re.fullmatch(r"\*[^*_~`]+\*", name)
        assert re.fullmatch(r"`[^`]+`|[^*_~`]+", value)
    # Plain text is not parsed; it does not even look like a mention.
    for one in objects(rich, "plain_text"):
        assert "<!" not in one["text"]
        assert not re.search("@(channel|here|everyone)", one["text"])


def test_a_preformatted_error_is_word_for_word() -> None:
    pre = next(objects(payload(MESSAGES["run-failed"]), "rich_text_preformatted"))
    assert pre["elements"][0]["text"].endswith("Tried to allocate 2.00 GiB")
    assert 'File "/app/train.py", line 88, in <module>' in pre["elements"][0]["text"]


@pytest.mark.parametrize("words", ["👨‍👩‍👧‍👦" * 50, "🇩🇪" * 200, "e\u0301" * 300, "👍🏽" * 200, "❤️" * 200])
def test_no_character_is_cut_in_two(words: str) -> None:
    unit = words[: len(words) // (50 if "👨" in words else 300 if "e" in words else 200)]
    header = payload(msgspec.structs.replace(MESSAGES["run-failed"], title=words))["blocks"][0]["text"]["text"]
    kept = header.removeprefix("❌ ")
    assert kept.endswith("…")
    assert 100 < len(header) <= 150
    assert kept.removesuffix("…") == unit * (len(kept) // len(unit))


def test_no_escape_is_cut_in_two() -> None:
    sent = payload(EVERY_MESSAGE["all escapes"])
    for one in objects(sent, "mrkdwn"):
        assert not re.search("&(?!amp;|lt;|gt;)", one["text"])
    assert not re.search("&(?!amp;|lt;|gt;)", sent["text"])
    assert escape("a & <b>") == "a &amp; &lt;b&gt;"


TABLE: list[tuple[int, str, Outcome]] = [
    *[
        (400, word, Rejected(word, "message"))
        for word in (
            "invalid_payload", "invalid_blocks", "invalid_attachments", "no_text", "too_many_attachments",
            "missing_text_or_fallback_or_attachments", "user_not_found",
        )
    ],
    (400, "invalid_token", Rejected("invalid_token", "endpoint")),
    *[
        (403, word, Rejected(word, "endpoint"))
        for word in ("invalid_token", "action_prohibited", "posting_to_general_channel_denied", "team_disabled")
    ],
    *[
        (404, word, Rejected(word, "endpoint"))
        for word in ("channel_not_found", "no_service", "no_service_id", "no_team", "no_active_hooks")
    ],
    (410, "channel_is_archived", Rejected("channel_is_archived", "endpoint")),
    (500, "rollup_error", Retry("rollup_error")),
    (429, "rate_limited", Retry("rate_limited", 7.0, rate_limited=True)),
]  # fmt: skip


@pytest.mark.parametrize(("status", "word", "outcome"), TABLE)
def test_the_table_of_errors(status: int, word: str, outcome: Outcome) -> None:
    headers = {"retry_after": "7"} if status == 429 else {}
    assert SLACK.classify(reply(status, word, **headers)) == outcome
    assert SLACK.classify(reply(status, f"{word}\n", **headers)) == outcome


def test_other_answers() -> None:
    assert SLACK.classify(reply(200, "ok")) == Delivered()
    assert isinstance(SLACK.classify(reply(500, "<html>Server Error</html>")), Retry)
    assert SLACK.classify(reply(404, "who knows")) == Rejected("HTTP 404: who knows", "endpoint")
    assert SLACK.classify(reply(400, "some_new_word")) == Rejected("HTTP 400: some_new_word", "message")


@pytest.mark.parametrize("body", ["", "OK!", '{"ok":true}', "<html>sign in</html>"])
def test_200_without_ok_is_no_success(body: str) -> None:
    assert isinstance(SLACK.classify(reply(200, body)), Retry)


def test_200_with_an_error_is_that_error() -> None:
    assert SLACK.classify(reply(200, "no_service")) == Rejected("no_service", "endpoint")
    assert SLACK.classify(reply(200, '{"ok":false,"error":"invalid_blocks"}')) == Rejected("invalid_blocks", "message")


def test_addresses() -> None:  # S1-14
    assert SLACK.check_address is not None
    assert f"^{ADDRESS.pattern}$" == PATTERNS["patterns"]["slack_webhook"]
    for good in PATTERNS["examples"]["slack_webhook"]:
        assert SLACK.check_address(good) == good
    good = PATTERNS["examples"]["slack_webhook"][0]
    bad = [
        good.replace("https", "http"),
        good.replace("slack.com", "slack.com.evil.example"),
        good + "\n",
        " " + good,
        good.replace("//", "//u:p@"),
        good + "?x=1",
        good.replace("/services", ":8443/services"),
        good.replace("hooks", "HOOKS"),
        *PATTERNS["examples"]["slack_workflow_trigger"],
    ]
    for address in bad:
        with pytest.raises(Invalid) as refused:
            SLACK.check_address(address)
        assert "XXXXXXXXXXXXXXX" not in refused.value.detail


def test_pace_and_patience() -> None:  # S1-03, S1-04
    assert (SLACK.rate_per_s, SLACK.timeout_s, SLACK.max_age_s) == (1.0, 10.0, 21_600)
