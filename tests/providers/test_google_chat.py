"""Google Chat's own rules: bytes, official schema, threads, error words, and that nobody's text is more than text."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import msgspec
import pytest

from tests.fakes.all_fakes import ask
from tests.providers.examples import (
    BASE,
    EVERY_MESSAGE,
    EXAMPLES,
    HOSTILE_MESSAGE,
    INCIDENT_KEY,
    MESSAGES,
    RUN_KEY,
    provider_of,
    reply,
    sending,
    sized,
)
from tocsin.fakes import Answer
from tocsin.fakes.google_chat import FakeGoogleChat
from tocsin.model.endpoint import Target
from tocsin.model.errors import Invalid
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.wire import Delivered, HttpRequest, Outcome, Rejected, Retry, Sending
from tocsin.providers.google_chat import GoogleChatSettings, inert

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["google_chat"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
DISCOVERY = json.loads((SHARED / "google-chat-v1-discovery.json").read_text())
CHAT = provider_of("google_chat")


def json_schema(found: Any) -> Any:
    """Google's Discovery format as JSON Schema: references by name, and no fields but those it lists."""
    if "$ref" in found:
        return {"$ref": f"#/$defs/{found['$ref']}"}
    schema = {name: found[name] for name in ("type", "enum", "pattern") if name in found}
    if "items" in found:
        schema["items"] = json_schema(found["items"])
    if "properties" in found:
        writable = {name: one for name, one in found["properties"].items() if not one.get("readOnly")}
        schema["properties"] = {name: json_schema(one) for name, one in writable.items()}
        schema["additionalProperties"] = False
    return {} if schema.get("type") == "any" else schema


VALIDATOR = jsonschema.Draft202012Validator(
    {"$ref": "#/$defs/Message", "$defs": {name: json_schema(one) for name, one in DISCOVERY["schemas"].items()}}
)
CREATE = DISCOVERY["resources"]["spaces"]["resources"]["messages"]["methods"]["create"]["parameters"]


def request(message: Message, **given: Any) -> HttpRequest:
    found = CHAT.render(sending(CHAT, message, **given))
    assert isinstance(found, HttpRequest)
    return found


def payload(message: Message, **given: Any) -> Any:
    return json.loads(request(message, **given).body)


def widgets(sent: Any) -> list[Any]:
    return [one for section in sent["cardsV2"][0]["card"]["sections"] for one in section["widgets"]]


def htmls(sent: Any) -> Iterator[str]:
    """Every text that Google Chat reads as HTML."""
    for one in widgets(sent):
        for kind in ("textParagraph", "decoratedText"):
            if kind in one:
                yield one[kind]["text"]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


MORE = {
    "four bytes": sized(3000, 10, "𝕏"),
    "escapes everywhere": sized(3000, 10, "<𝕏>"),
    "quotes and lines": sized(3000, 10, '"\n'),
    "long addresses": msgspec.structs.replace(
        sized(3000, 10, "𝕏"),
        actions=tuple(Action("𝕏" * 80, f"http://{n}.example/?" + "&" * 1980) for n in range(4)),
        steps=tuple(RunStep("𝕏" * 60, "running", 1) for _ in range(99)),
    ),
}


@pytest.mark.parametrize("message", (EVERY_MESSAGE | MORE).values(), ids=EVERY_MESSAGE | MORE)
@pytest.mark.parametrize("mention", [False, " ".join(["users/" + "1" * 30] * 10)])
def test_is_what_google_chat_takes(message: Message, mention: bool | str) -> None:  # S0-05
    for plain in (False, True):
        asked = request(message, plain=plain, mention_on_failure=mention)
        sent = json.loads(asked.body)
        VALIDATOR.validate(sent)
        assert len(asked.body) <= LIMITS["message_bytes"]
        assert set(parse_qs(urlsplit(asked.url).query)) <= {"key", "token", *CREATE}
        assert len(sent["thread"]["threadKey"]) <= LIMITS["thread_key"]
        fake = FakeGoogleChat()
        assert isinstance(CHAT.classify(ask(fake, asked)), Delivered)
        assert not any("\u202e" in one or "\x1b" in one or "\r" in one for one in strings(sent))
        if plain:
            assert set(sent) == {"text", "thread"}
        else:
            assert 1 <= len(widgets(sent)) <= LIMITS["card_widgets"]
            assert sent["cardsV2"][0]["card"]["header"]["title"]


def test_the_schema_and_the_fake_would_notice() -> None:
    for wrong in ({"txt": "a"}, {"text": 1}, {"cardsV2": [{"card": {"header": {"titel": "a"}}}]}):
        assert not VALIDATOR.is_valid(wrong)
    asked = request(BASE)
    bodies: list[dict[str, Any]] = [
        {"text": "ä" * 16_000},
        {"text": ""},
        {"txt": "a"},
        {"cardsV2": [{"card": {"sections": [{"widgets": []}]}}]},
        {"cardsV2": [{"card": {"sections": [{"widgets": [{"textParagraph": {"text": ""}}]}]}}]},
        {"cardsV2": [{"card": {"sections": [{"widgets": [{"textParagraph": {"text": "a"}}] * 101}]}}]},
    ]
    for body in bodies:
        given = HttpRequest("POST", asked.url, json.dumps(body, ensure_ascii=False).encode(), asked.headers)
        outcome = CHAT.classify(ask(FakeGoogleChat(), given))
        assert isinstance(outcome, Rejected), body
        assert outcome.scope == "message"


def test_a_failure_carries_its_details_and_its_links() -> None:  # S0-02
    sent = payload(BASE)
    card = sent["cardsV2"][0]["card"]
    assert card["header"]["title"] == "❌ train-ranker failed in prod"
    assert "run 8f3a21c" in card["header"]["subtitle"]
    texts = list(htmls(sent))
    assert "CUDA out of memory" in texts[0]
    assert {"topLabel": "Duration", "text": "12m 31s", "wrapText": True} in [
        one["decoratedText"] for one in widgets(sent) if "decoratedText" in one
    ]
    assert "line 88, in &lt;module&gt;<br>\u00a0 \u00a0 main()" in texts[-1]
    (buttons,) = (one["buttonList"]["buttons"] for one in widgets(sent) if "buttonList" in one)
    assert [(one["text"], one["onClick"]["openLink"]["url"]) for one in buttons] == [
        ("Open run", "https://airflow.example/runs/8f3a21c"),
        ("Logs", "https://airflow.example/logs/8f3a21c?a=1&b=2"),
    ]
    assert sent["fallbackText"].startswith('❌ train-ranker failed in prod after 12m 31s — step "evaluate"')
    assert "text" not in sent


def test_the_end_of_an_error_waits_behind_show_more() -> None:
    (section,) = (one for one in payload(BASE)["cardsV2"][0]["card"]["sections"] if one.get("collapsible"))
    assert section["uncollapsibleWidgetsCount"] == 2
    assert "Traceback" in section["widgets"][2]["textParagraph"]["text"]
    assert len(section["widgets"]) == 3


def test_progress_is_shown_while_it_runs() -> None:
    steps = (RunStep("load", "succeeded", 12_000), RunStep("train <x>", "running"), RunStep("evaluate", "waiting"))
    running = msgspec.structs.replace(MESSAGES["run-started"], steps=steps)
    assert "▰▱▱ 1/3 · train &lt;x&gt;" in list(htmls(payload(running)))


def test_http_links_are_no_buttons_since_google_would_open_https() -> None:
    sent = payload(MESSAGES["training-complete"])
    assert not any("buttonList" in one for one in widgets(sent))
    assert '<a href="http://localhost:8050/experiments/1234">View Results</a>' in list(htmls(sent))


def test_formatting_and_links_can_be_left_out() -> None:  # S1-18
    for sent in (payload(BASE, use_rich_formatting=False), payload(BASE, plain=True)):
        assert "cardsV2" not in sent
        assert sent["text"].startswith("❌ train-ranker failed in prod after 12m 31s")
        assert "Open run: https://airflow.example/runs/8f3a21c" in sent["text"]
    for plain in (False, True):
        assert "airflow.example" not in json.dumps(payload(BASE, plain=plain, include_action_buttons=False))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("asked", "shown"),
    [(True, "<users/all>"), ("all", "<users/all>"), ("users/12345678 all", "<users/12345678> <users/all>")],
)
def test_mentions_on_failure_and_on_nothing_else(asked: bool | str, shown: str, plain: bool) -> None:  # S1-17, S1-18
    for name, message in MESSAGES.items():
        sent = json.dumps(payload(message, mention_on_failure=asked, plain=plain))
        assert (shown in sent) == (message.tone in ("bad", "rollback")), name
    assert "<users" not in json.dumps(payload(BASE, plain=plain))
    assert "<users" not in json.dumps(payload(BASE, plain=plain, mention_on_failure=asked, quiet=True))


def test_a_run_is_one_thread_and_a_retry_posts_nothing_new() -> None:
    fake, first = FakeGoogleChat(), sending(CHAT, MESSAGES["run-started"])
    for given in (first, first, Sending("dlv_2", 1, first.target, BASE, run_key=RUN_KEY)):
        asked = CHAT.render(given)
        assert isinstance(asked, HttpRequest)
        assert isinstance(CHAT.classify(ask(fake, asked)), Delivered)
    assert len(fake.messages) == 2
    assert fake.thread_of("AAAAk6lGXyM", RUN_KEY) == fake.messages
    alone = payload(BASE, thread_per_run=False)
    assert "thread" not in alone


def test_the_address_is_kept_and_three_things_are_added() -> None:
    address = EXAMPLES["google_chat"].address
    assert request(BASE).url == (
        f"{address}&requestId=dlv_0198c5f2&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
    )
    assert payload(BASE)["thread"] == {"threadKey": RUN_KEY}
    assert request(BASE, thread_per_run=False).url == f"{address}&requestId=dlv_0198c5f2"


def at(address: str, run_key: str = "", incident_key: str = "") -> HttpRequest:
    target = Target(address, GoogleChatSettings())
    found = CHAT.render(Sending("dlv_1", 1, target, BASE, run_key=run_key, incident_key=incident_key))
    assert isinstance(found, HttpRequest)
    return found


def test_what_belongs_to_no_run_is_threaded_by_its_trouble() -> None:
    address = EXAMPLES["google_chat"].address
    assert json.loads(at(address, incident_key=INCIDENT_KEY).body)["thread"] == {"threadKey": INCIDENT_KEY}
    bare = at(address)
    assert "thread" not in json.loads(bare.body)
    assert "messageReplyOption" not in bare.url


def test_a_thread_that_the_address_names_is_the_one() -> None:
    address = f"{EXAMPLES['google_chat'].address}&threadKey=ops"
    found = at(address, run_key=RUN_KEY)
    assert "thread" not in json.loads(found.body)
    assert found.url.endswith("&threadKey=ops&requestId=dlv_1&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD")
    asked = at(f"{address}&messageReplyOption=REPLY_MESSAGE_OR_FAIL")
    assert asked.url.count("messageReplyOption") == 1


def test_hostile_text_is_only_text() -> None:
    mention = msgspec.structs.replace(
        HOSTILE_MESSAGE, title="<users/all> x", sentence="<users/all> <https://e.example|ok>"
    )
    for message in (HOSTILE_MESSAGE, mention):
        sent = payload(message)
        for one in htmls(sent):
            markup = re.sub(r'</?b>|<br>|<font color="#[0-9A-F]{6}">|</font>|<a href="https?://[^"<>]*">|</a>', "", one)
            assert not re.search("[<>]", markup)
            assert not re.search("&(?!amp;|lt;|gt;|quot;)", markup)
        for one in (sent["fallbackText"], payload(message, plain=True)["text"]):
            assert not re.search("<[^\u200b\\s]", one)
        header = sent["cardsV2"][0]["card"]["header"]
        assert not re.search("<[^\u200b\\s]", header["title"] + header["subtitle"])
        assert "javascript:" not in " ".join(re.findall(r'href="[^"]*"|"url": "[^"]*"', json.dumps(sent)))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("*bold* and _i_ and ~s~", "∗bold* and ˍi_ and ∼s~"),
        ("`code`", "ˋcode`"),
        ("train_ranker_v2 took ~3 s", "train_ranker_v2 took ~3 s"),
        ("a*b*c 2 * 3 * 4", "a*b*c 2 * 3 * 4"),
        ("<users/all>", "<\u200busers/all>"),
        ("3 < 4", "3 < 4"),
    ],
)
def test_only_what_would_be_formatting_is_changed(words: str, shown: str) -> None:
    assert inert(words) == shown


def refusal(code: int, status: str, message: str = "No.", **more: Any) -> str:
    return json.dumps({"error": {"code": code, "message": message, "status": status, **more}})


KEY_INVALID = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]

TABLE: list[tuple[int, str, Outcome]] = [
    (400, refusal(400, "INVALID_ARGUMENT"), Rejected("INVALID_ARGUMENT: No.", "message")),
    (400, refusal(400, "INVALID_ARGUMENT", details=KEY_INVALID), Rejected("INVALID_ARGUMENT: No.", "endpoint")),
    (401, refusal(401, "UNAUTHENTICATED"), Rejected("UNAUTHENTICATED: No.", "credential")),
    (403, refusal(403, "PERMISSION_DENIED"), Rejected("PERMISSION_DENIED: No.", "endpoint")),
    (404, refusal(404, "NOT_FOUND"), Rejected("NOT_FOUND: No.", "endpoint")),
    (409, refusal(409, "ALREADY_EXISTS"), Delivered()),
    (429, refusal(429, "RESOURCE_EXHAUSTED"), Retry("RESOURCE_EXHAUSTED: No.", rate_limited=True)),
    (500, refusal(500, "INTERNAL"), Retry("INTERNAL: No.")),
    (503, refusal(503, "UNAVAILABLE"), Retry("UNAVAILABLE: No.")),
    (400, refusal(400, "UNAVAILABLE"), Retry("UNAVAILABLE: No.")),
    (200, '{"name":"spaces/A/messages/B"}', Delivered({"name": "spaces/A/messages/B"})),
    (200, "<html>sign in</html>", Retry("answered, but not with a message: HTTP 200: <html>sign in</html>")),
]


@pytest.mark.parametrize(("status", "body", "outcome"), TABLE)
def test_the_table_of_errors(status: int, body: str, outcome: Outcome) -> None:
    assert CHAT.classify(reply(status, body)) == outcome


def test_a_delay_that_is_named_is_kept() -> None:  # S1-03
    outcome = CHAT.classify(reply(429, refusal(429, "RESOURCE_EXHAUSTED"), retry_after="9"))
    assert outcome == Retry("RESOURCE_EXHAUSTED: No.", 9.0, rate_limited=True)


def test_the_fake_refuses_as_google_does() -> None:
    fake, asked = FakeGoogleChat(), request(BASE)
    for at_ms in range(60):
        each = HttpRequest("POST", asked.url.replace("dlv_0198c5f2", f"dlv_{at_ms}"), asked.body, asked.headers)
        assert isinstance(CHAT.classify(ask(fake, each, at_ms)), Delivered)
    outcome = CHAT.classify(ask(fake, asked, 100))
    assert isinstance(outcome, Retry)
    assert outcome.rate_limited
    assert isinstance(CHAT.classify(ask(fake, asked, 60_001)), Delivered)
    fake.gone.add("AAAAk6lGXyM")
    outcome = CHAT.classify(ask(fake, asked))
    assert outcome == Rejected("NOT_FOUND: Space not found.", "endpoint")
    fake.tokens["AAAAk6lGXyM"] = "another"
    assert CHAT.classify(ask(fake, asked)) == Rejected(
        "PERMISSION_DENIED: The API is called without a valid token.", "endpoint"
    )
    fake.next.append(Answer(503, b""))
    assert isinstance(CHAT.classify(ask(fake, asked)), Retry)


@pytest.mark.parametrize(
    "settings",
    [
        {"mention_on_failure": "everyone"},
        {"mention_on_failure": "users/12345678>\n<users/all"},
        {"mention_on_failure": "all\n"},
        {"mention_on_failure": 1},
        {"thread_per_run": "yes"},
        {"theme_color": "00ff00"},
    ],
)
def test_settings_it_does_not_know_are_refused(settings: dict[str, Any]) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError, match=next(iter(settings))):
        msgspec.convert(settings, GoogleChatSettings)


def test_addresses() -> None:  # S1-14
    assert CHAT.check_address is not None
    (good,) = PATTERNS["examples"]["google_chat"]
    for one in (good, f"{good}&threadKey=ops", good.replace("key=AIza&token=abc%3D", "token=abc%3D&key=AIza")):
        assert re.fullmatch(PATTERNS["patterns"]["google_chat"], one)
        assert CHAT.check_address(one) == one
    bad = [
        good.replace("https", "http"),
        good.replace("googleapis.com", "googleapis.com.evil.example"),
        good.replace("//", "//u:p@"),
        good.replace(".com", ".com:8443"),
        good.replace("chat", "CHAT"),
        good.replace("key=AIza&", ""),
        good.replace("&token=abc%3D", ""),
        good.replace("token=", "xtoken="),
        f"{good}\n",
        f" {good}",
        f"{good}#x",
        f"{good}&requestId=1",
        f"{good}&messageId=client-1",
        good + "a" * 3000,
        good.replace("/v1/spaces/AAAAk6lGXyM", "/v1/spaces/AAAAk6lGXyM/members/../.."),
    ]
    for address in bad:
        with pytest.raises(Invalid) as refused:
            CHAT.check_address(address)
        assert address not in refused.value.detail


def test_pace_and_patience() -> None:  # S1-03, S1-04
    assert (CHAT.rate_per_s, CHAT.timeout_s, CHAT.max_age_s) == (1.0, 10.0, 21_600)
