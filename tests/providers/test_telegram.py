"""Telegram's own rules: UTF-16 units, markup, the official schema, one message per run, and every error's words."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tests.compose.samples import AT_MS
from tests.fakes.all_fakes import ask
from tests.providers.all_requests import every_request
from tests.providers.examples import (
    BASE,
    EVERY_MESSAGE,
    EXAMPLES,
    HOSTILE_MESSAGE,
    MESSAGES,
    TOKEN,
    provider_of,
    reply,
    sending,
    sized,
)
from tocsin.fakes.telegram import FakeTelegram
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.thread import Thread
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, NoReply, Outcome, Rejected, Request, Retry
from tocsin.provider_kit.settings_form import secret_fields
from tocsin.providers.telegram import TelegramSettings, cut_units, inert, moved_to, tail_units, units

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["telegram"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
API = json.loads((SHARED / "telegram-bot-api.json").read_text())
TELEGRAM = provider_of("telegram")
CHAT = -1001234567890
SIMPLE = {"Integer": "integer", "String": "string", "Boolean": "boolean", "True": "boolean", "Float": "number"}


def one_type(name: str) -> Any:
    if name in SIMPLE:
        return {"type": SIMPLE[name]}
    if name.startswith("Array of "):
        return {"type": "array", "items": one_type(name.removeprefix("Array of "))}
    return {"$ref": f"#/$defs/{name}"}


def json_schema(described: Any) -> Any:
    """A method's arguments or a type's fields, as the documentation lists them; no others."""
    if "fields" not in described:
        return {"anyOf": [one_type(name) for name in described.get("subtypes", [])]} if "subtypes" in described else {}
    fields = described["fields"]
    return {
        "type": "object",
        "properties": {one["name"]: {"anyOf": [one_type(name) for name in one["types"]]} for one in fields},
        "required": [one["name"] for one in fields if one["required"]],
        "additionalProperties": False,
    }


DEFS = {name: json_schema(one) for name, one in API["types"].items()}
VALIDATORS = {
    name: jsonschema.Draft202012Validator(json_schema(API["methods"][name]) | {"$defs": DEFS})
    for name in ("sendMessage", "editMessageText")
}


class Reader(HTMLParser):
    """The text as people see it. Telegram's HTML has the same escapes as any other."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(sent: Any) -> str:
    if "parse_mode" not in sent:
        return str(sent["text"])
    reader = Reader()
    reader.feed(sent["text"])
    reader.close()
    assert set(reader.tags) <= {"b", "i", "code", "pre"}
    return reader.text


def utf16(text: str) -> int:
    return sum(2 if ord(char) > 0xFFFF else 1 for char in text)


def payload(message: Message, **given: Any) -> Any:
    return json.loads(TELEGRAM.render(sending(TELEGRAM, message, **given)).body)


def http(request: Request) -> HttpRequest:
    assert isinstance(request, HttpRequest)
    return request


def steps(*told: tuple[str, str]) -> tuple[RunStep, ...]:
    return tuple(RunStep(name, status, 12_000) for name, status in told)


RUNNING = msgspec.structs.replace(
    MESSAGES["run-started"],
    kind="run.progress",
    steps=steps(("load", "succeeded"), ("train <x>", "succeeded"), ("evaluate", "running")),
)
MORE = {
    "two units": sized(3000, 10, "𝕏"),
    "slashes": sized(3000, 10, "/a "),
    "names": sized(3000, 10, "@ana "),
    "everything": msgspec.structs.replace(
        sized(3000, 10, "𝕏"),
        kind="run.progress",
        actions=tuple(Action("𝕏" * 80, f"http://localhost:{n}/?{'&' * 1900}") for n in range(4)),
        steps=tuple(RunStep("𝕏" * 60, "running", 10**15) for _ in range(99)),
    ),
}
NAMES = " ".join(f"@{'a' * 31}{n}" for n in range(10))


@pytest.mark.parametrize("message", (EVERY_MESSAGE | MORE).values(), ids=EVERY_MESSAGE | MORE)
def test_is_what_telegram_takes(message: Message) -> None:  # S0-05
    requests = [http(one) for one in every_request(TELEGRAM, message).values()]
    for plain in (False, True):
        requests.append(http(TELEGRAM.render(sending(TELEGRAM, message, plain=plain, mention_on_failure=NAMES))))
    for one in requests:
        sent = json.loads(one.body)
        method = one.url.rpartition("/")[2]
        VALIDATORS[method].validate(sent)
        text = seen(sent)
        assert text.strip()
        assert utf16(text) <= LIMITS["text_after_entities"]
        assert not re.search("[\u202a-\u202e\x00-\x08\x0b-\x1f\x7f]", text)
        for button in (each for row in sent.get("reply_markup", {}).get("inline_keyboard", []) for each in row):
            assert 1 <= len(button["text"]) <= 40
            assert "." in button["url"].split("/")[2]
        fake = FakeTelegram()
        if method == "editMessageText":
            ask(fake, http(TELEGRAM.render(sending(TELEGRAM, RUNNING))))
        assert isinstance(TELEGRAM.classify(ask(fake, one)), Delivered)


def test_the_schema_and_the_fake_would_notice() -> None:
    asked = http(TELEGRAM.render(sending(TELEGRAM, BASE)))
    fake = FakeTelegram()
    for text, words in (
        ("<b>a", "can't parse entities"),
        ("<h1>a</h1>", "can't parse entities"),
        ("a < b", "can't parse entities"),
        ("", "message text is empty"),
        ("<b></b>", "message text is empty"),
        ("𝕏" * 2049, "message is too long"),
    ):
        body = json.dumps({"chat_id": CHAT, "text": text, "parse_mode": "HTML"}).encode()
        outcome = TELEGRAM.classify(ask(fake, HttpRequest("POST", asked.url, body)))
        assert isinstance(outcome, Rejected)
        assert outcome.scope == "message"
        assert words in outcome.reason
    body = json.dumps({"chat_id": CHAT, "text": "&amp;" * 4096, "parse_mode": "HTML"}).encode()
    assert isinstance(TELEGRAM.classify(ask(fake, HttpRequest("POST", asked.url, body))), Delivered)
    keyboard = {"inline_keyboard": [[{"text": "a", "url": "http://localhost:8050/"}]]}
    body = json.dumps({"chat_id": CHAT, "text": "a", "reply_markup": keyboard}).encode()
    outcome = TELEGRAM.classify(ask(fake, HttpRequest("POST", asked.url, body)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.endswith("Wrong HTTP URL")
    for wrong in ({"chat_id": 1}, {"chat_id": 1, "text": "a", "x": 1}, {"chat_id": 1, "text": 1}):
        assert not VALIDATORS["sendMessage"].is_valid(wrong)


def test_a_failure_carries_its_details_and_its_links() -> None:  # S0-02
    sent = payload(BASE)
    assert sent["text"].startswith(
        "<b>❌ train-ranker failed in prod</b>\n<code>torch.cuda.OutOfMemoryError: CUDA out of memory."
    )
    assert "<b>Duration</b> 12m 31s\n" in sent["text"] + "\n"
    assert "line 88, in &lt;module&gt;\n    main()" in sent["text"]
    assert "run 8f3a21c" in sent["text"]
    assert sent["reply_markup"]["inline_keyboard"] == [[
        {"text": "Open run", "url": "https://airflow.example/runs/8f3a21c", "style": "primary"},
        {"text": "Logs", "url": "https://airflow.example/logs/8f3a21c?a=1&b=2"},
    ]]  # fmt: skip
    assert sent["link_preview_options"] == {"is_disabled": True}


def test_a_link_that_can_be_no_button_is_written_out() -> None:
    sent = payload(MESSAGES["training-complete"])
    assert "reply_markup" not in sent
    assert "View Results: <code>http://localhost:8050/experiments/1234</code>" in sent["text"]
    odd = ("https://[::1]/a", "https://a.example:99999/", "https://a.example:0/", "https://ex%C3%A4mple.example/a")
    for url in odd:
        given = payload(msgspec.structs.replace(BASE, actions=(Action("Open", url),)))
        assert "reply_markup" not in given, url
        assert f"Open: <code>{url}</code>" in given["text"]


def test_progress_and_stages() -> None:
    text = payload(RUNNING)["text"]
    assert "▰▰▱ 2/3 · <b>evaluate</b>\n✅ load 12 s\n✅ train &lt;x&gt; 12 s\n⏳ evaluate 12 s" in text
    ended = msgspec.structs.replace(BASE, steps=steps(("load", "succeeded"), ("train", "failed")))
    assert "✅ load 12 s\n❌ train 12 s" in payload(ended)["text"]
    assert "▰" not in payload(ended)["text"]
    many = msgspec.structs.replace(BASE, steps=steps(*((f"s{n}", "succeeded") for n in range(40))))
    assert "… and 25 before\n✅ s25 12 s" in payload(many)["text"]


def test_an_answer_lists_the_stages_that_ended_where_there_are_several() -> None:
    stage = MESSAGES["stage-update"]
    both = msgspec.structs.replace(stage, steps=steps(("load", "succeeded"), ("train", "succeeded")))
    assert "✅ load 12 s\n✅ train 12 s" in payload(both)["text"]
    assert "✅ train 12 s" not in payload(msgspec.structs.replace(stage, steps=both.steps[1:]))["text"]


def test_formatting_and_links_can_be_left_out() -> None:  # S1-18
    for sent in (payload(BASE, use_rich_formatting=False), payload(BASE, plain=True)):
        assert set(sent) == {"chat_id", "text", "link_preview_options"}
        assert sent["text"].startswith("❌ train-ranker failed in prod after 12m 31s")
        assert "Logs: https://airflow.example/logs/8f3a21c?a=1&b=2" in sent["text"]
    for plain in (False, True):
        assert "airflow.example" not in json.dumps(payload(BASE, plain=plain, include_action_buttons=False))


@pytest.mark.parametrize("plain", [False, True])
def test_mentions_on_failure_and_on_nothing_else(plain: bool) -> None:  # S1-17, S1-18
    for name, message in MESSAGES.items():
        sent = payload(message, mention_on_failure="@ana_k @bobby", plain=plain)
        assert sent["text"].startswith("@ana_k @bobby\n") == (message.tone in ("bad", "rollback")), name
    assert "@" not in payload(BASE, plain=plain)["text"]
    assert "@" not in payload(BASE, plain=plain, mention_on_failure="@ana_k", quiet=True)["text"]


def test_nothing_rings_that_goes_on_as_it_should() -> None:
    for name, message in MESSAGES.items():
        is_silent = payload(message).get("disable_notification", False)
        assert is_silent == (name in ("run-started", "stage-update", "hpo-trial")), name
        assert payload(message, silent=True)["disable_notification"]
        assert payload(message, quiet=True)["disable_notification"]


def test_topics() -> None:
    assert payload(BASE, message_thread_id=7)["message_thread_id"] == 7
    assert "message_thread_id" not in payload(BASE)


def test_hostile_text_is_only_text() -> None:
    names = msgspec.structs.replace(
        HOSTILE_MESSAGE, title="@ana_k /ban@bot", text="@ana_k\n/start", facts=(("@ana_k", "/stop @bobby"),)
    )
    for message in (HOSTILE_MESSAGE, names):
        for plain in (False, True):
            fake = FakeTelegram()
            ask(fake, http(TELEGRAM.render(sending(TELEGRAM, message, plain=plain))))
            (shown,) = fake.messages
            assert shown.mentions == []
            assert "javascript:" not in json.dumps(shown.buttons)
            assert "\nX-Injected" not in shown.text
            if not plain:
                prose = re.sub(r"<(code|pre)>.*?</\1>", "", shown.sent, flags=re.DOTALL)
                assert not re.search(r"(?<![\w/<>])/\w", re.sub("<[^>]*>", "", prose))
    assert "&lt;!channel&gt; @\u200beveryone" in payload(HOSTILE_MESSAGE)["text"]


@pytest.mark.parametrize(
    ("words", "safe"),
    [
        ("@ana: /start", "@\u200bana: /\u200bstart"),
        ("mail ana@a.example, see https://a.example/x and a/b", None),
        ("3 / 4 @ 5", None),
    ],
)
def test_only_names_and_commands_are_broken_up(words: str, safe: str | None) -> None:
    assert inert(words) == (safe or words)


@pytest.mark.parametrize("char", ["a", "é", "𝕏", "👨‍👩‍👧‍👦", "🇩🇪", "e\u0301"])
def test_units_are_counted_and_nothing_is_cut_in_two(char: str) -> None:
    words = char * 500
    for limit in (*range(200, 230), utf16(words), utf16(words) - 1):
        for kept, rest in ((cut_units(words, limit), "head"), (tail_units(words, limit), "tail")):
            assert units(kept) == utf16(kept) <= limit
            assert utf16(kept) >= limit - 2 * utf16(char) - 1
            bare = kept.removesuffix("…") if rest == "head" else kept.removeprefix("…")
            assert bare == char * (len(bare) // len(char))
    assert cut_units(words, utf16(words)) == words


def test_one_message_per_run() -> None:
    fake, live = FakeTelegram(), TELEGRAM.live
    assert live is not None
    posted = TELEGRAM.classify(ask(fake, http(TELEGRAM.render(sending(TELEGRAM, RUNNING, quiet=True)))))
    assert posted == Delivered({"chat_id": str(CHAT), "message_id": "1"})
    assert isinstance(posted, Delivered)
    thread = Thread(refs=dict(posted.receipt))

    given = sending(TELEGRAM, BASE, thread=thread, quiet=True, mention_on_failure="@ana_k")
    assert TELEGRAM.classify(ask(fake, http(live.edit(given)))) == posted
    assert TELEGRAM.classify(ask(fake, http(live.edit(given)))) == Delivered()  # not modified
    loud = sending(TELEGRAM, BASE, thread=thread, mention_on_failure="@ana_k")
    assert isinstance(TELEGRAM.classify(ask(fake, http(live.reply(loud)))), Delivered)

    root, answer = fake.messages
    assert root.text.startswith("❌ train-ranker failed in prod")
    assert len(root.edits) == 1
    assert (root.is_silent, root.mentions) == (True, [])
    assert (answer.reply_to, answer.is_silent, answer.mentions) == (1, False, ["ana_k"])

    fake.delete(root)
    gone = TELEGRAM.classify(ask(fake, http(live.edit(given))))
    assert gone == Rejected("Bad Request: message to edit not found", "thread")
    assert isinstance(TELEGRAM.classify(ask(fake, http(live.reply(loud)))), Delivered)
    assert fake.messages[-1].reply_to is None


def test_an_edit_in_another_chat_than_today_s_edits_nothing() -> None:
    fake, live = FakeTelegram(), TELEGRAM.live
    assert live is not None
    ask(fake, http(TELEGRAM.render(sending(TELEGRAM, BASE))))
    given = sending(TELEGRAM, RUNNING, thread=Thread(refs={"chat_id": "-5", "message_id": "1"}))
    outcome = TELEGRAM.classify(ask(fake, http(live.edit(given))))
    assert outcome == Rejected("Bad Request: message identifier is not specified", "thread")
    assert fake.messages[0].edits == []
    assert "reply_parameters" not in json.loads(live.reply(given).body)
    named = sending(TELEGRAM, RUNNING, thread=Thread(refs={"chat_id": "-5", "message_id": "1"}), chat_id="@mychan")
    assert json.loads(live.edit(named).body)["message_id"] == 1


def test_a_run_may_have_many_messages() -> None:
    assert TELEGRAM.live is not None
    assert TELEGRAM.live.is_on(EXAMPLES["telegram"].settings)
    assert not TELEGRAM.live.is_on(sending(TELEGRAM, BASE, one_message_per_run=False).target.settings)


def refusal(code: int, description: str, **parameters: int) -> HttpReply:
    said = {"ok": False, "error_code": code, "description": description, "parameters": parameters}
    return reply(code, json.dumps(said))


THREAD = (
    "message to edit not found",
    "message can't be edited",
    "MESSAGE_ID_INVALID",
    "message to be replied not found",
)
DEAD = (
    "chat not found", "have no rights to send a message", "not enough rights to send text messages to the chat",
    "need administrator rights in the channel chat", "CHAT_WRITE_FORBIDDEN", "PEER_ID_INVALID", "TOPIC_CLOSED",
    "message thread not found", "group chat was deactivated", "group chat was upgraded to a supergroup chat",
)  # fmt: skip
FORBIDDEN = (
    "bot was blocked by the user", "bot was kicked from the supergroup chat", "user is deactivated",
    "the group chat was deleted", "bot is not a member of the channel chat",
    "bot can't initiate conversation with a user", "bots can't send messages to bots",
)  # fmt: skip
MESSAGE = (
    "can't parse entities: Unsupported start tag", "message is too long", "message text is empty",
    "inline keyboard button URL 'http://a' is invalid: Wrong HTTP URL",
)  # fmt: skip

TABLE: list[tuple[HttpReply, Outcome]] = [
    *[(refusal(400, f"Bad Request: {one}"), Rejected(f"Bad Request: {one}", "thread")) for one in THREAD],
    *[(refusal(400, f"Bad Request: {one}"), Rejected(f"Bad Request: {one}", "endpoint")) for one in DEAD],
    *[(refusal(403, f"Forbidden: {one}"), Rejected(f"Forbidden: {one}", "endpoint")) for one in FORBIDDEN],
    *[(refusal(400, f"Bad Request: {one}"), Rejected(f"Bad Request: {one}", "message")) for one in MESSAGE],
    (refusal(401, "Unauthorized"), Rejected("Unauthorized: is the token right?", "credential")),
    (refusal(404, "Not Found"), Rejected("Not Found: is the token right?", "endpoint")),
    (refusal(400, "Bad Request: message is not modified: specified new message content"), Delivered()),
    (
        refusal(429, "Too Many Requests: retry after 30", retry_after=30),
        Retry("Too Many Requests: retry after 30", 30.0, rate_limited=True),
    ),
    (refusal(429, "Too Many Requests", retry_after=10**9), Retry("Too Many Requests", 86_400.0, rate_limited=True)),
    (
        refusal(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-1009876543210),
        Retry("the group became a supergroup: its chat_id is now -1009876543210", settings={"chat_id": -1009876543210}),
    ),
    (
        reply(200, '{"ok":true,"result":{"message_id":7,"chat":{"id":-1009876543210,"type":"supergroup"},"date":1}}'),
        Delivered({"chat_id": "-1009876543210", "message_id": "7"}),
    ),
    (reply(200, '{"ok":true,"result":true}'), Delivered()),
    (reply(200, "<html>sign in</html>"), Retry("answered, but not ok: HTTP 200: <html>sign in</html>")),
    (reply(502, "<html>Bad Gateway</html>"), Retry("HTTP 502: <html>Bad Gateway</html>")),
]


@pytest.mark.parametrize(("given", "outcome"), TABLE)
def test_the_table_of_errors(given: HttpReply, outcome: Outcome) -> None:
    assert TELEGRAM.classify(given) == outcome


def test_json_counts_for_more_than_the_header() -> None:  # S1-03
    told = json.dumps({"ok": False, "error_code": 429, "description": "x", "parameters": {"retry_after": 5}})
    assert TELEGRAM.classify(reply(429, told, retry_after="60")) == Retry("x", 5.0, rate_limited=True)


def test_a_group_that_moved_says_where_to() -> None:
    fake = FakeTelegram()
    fake.moved[CHAT] = -1009876543210
    got = ask(fake, http(TELEGRAM.render(sending(TELEGRAM, BASE))))
    assert moved_to(got) == "-1009876543210"
    assert isinstance(TELEGRAM.classify(got), Retry)
    assert isinstance(
        TELEGRAM.classify(ask(fake, http(TELEGRAM.render(sending(TELEGRAM, BASE, chat_id=moved_to(got)))))), Delivered
    )
    for other in (reply(200, '{"ok":true}'), refusal(400, "chat not found"), reply(400, "x"), NoReply("timeout")):
        assert moved_to(other) is None


def test_the_fake_refuses_as_telegram_does() -> None:
    fake, asked = FakeTelegram(), http(TELEGRAM.render(sending(TELEGRAM, BASE)))
    fake.broken[CHAT] = "Forbidden: bot was kicked from the supergroup chat"
    assert TELEGRAM.classify(ask(fake, asked)) == Rejected(fake.broken.pop(CHAT), "endpoint")
    for _ in range(20):
        assert isinstance(TELEGRAM.classify(ask(fake, asked)), Delivered)
    assert TELEGRAM.classify(ask(fake, asked, AT_MS + 20_000)) == Retry(
        "Too Many Requests: retry after 40", 40.0, rate_limited=True
    )
    assert isinstance(TELEGRAM.classify(ask(fake, asked, AT_MS + 60_000)), Delivered)
    named = http(TELEGRAM.render(sending(TELEGRAM, BASE, chat_id="@mychan")))
    assert TELEGRAM.classify(ask(fake, named)) == Rejected("Bad Request: chat not found", "endpoint")
    fake.names["@mychan"] = -77
    assert TELEGRAM.classify(ask(fake, named)) == Delivered({"chat_id": "-77", "message_id": "1"})
    fake.tokens = set()
    assert TELEGRAM.classify(ask(fake, asked)) == Rejected("Unauthorized: is the token right?", "credential")


def test_limits_are_the_bot_s_and_the_chat_s() -> None:  # S1-03
    assert TELEGRAM.limits is not None

    def keys(**settings: Any) -> list[tuple[str, int, float]]:
        given = sending(TELEGRAM, BASE, **settings)
        assert TELEGRAM.limits is not None
        return [(one.key, one.count, one.per_s) for one in TELEGRAM.limits(given, TELEGRAM.render(given))]

    group, private, named = keys(), keys(chat_id=42), keys(chat_id="@mychan")
    assert [one[1:] for one in group] == [(30, 1.0), (1, 1.0), (20, 60.0)]
    assert [one[1:] for one in private] == [(30, 1.0), (1, 1.0)]
    assert len(named) == 3
    assert group[0] == private[0]
    assert len({one[0] for one in group + private + named}) == 6  # the bot's, three chats', two groups'
    assert not any(TOKEN in one[0] for one in group)
    assert keys(chat_id=str(CHAT)) == group
    assert TELEGRAM.rate_per_s == 1.0


TOKEN_FITS = EXAMPLES["telegram"].settings.bot_token


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"chat_id": 1}, "bot_token"),
        ({"bot_token": TOKEN_FITS}, "chat_id"),
        ({"bot_token": "s3cr3t", "chat_id": 1}, "bot_token"),
        ({"bot_token": f"{TOKEN_FITS}/../x", "chat_id": 1}, "bot_token"),
        ({"bot_token": f"{TOKEN_FITS}\n", "chat_id": 1}, "bot_token"),
        ({"bot_token": TOKEN_FITS, "chat_id": "mychan"}, "chat_id"),
        ({"bot_token": TOKEN_FITS, "chat_id": "@a b"}, "chat_id"),
        ({"bot_token": TOKEN_FITS, "chat_id": 10**17}, "chat_id"),
        ({"bot_token": TOKEN_FITS, "chat_id": 1.5}, "chat_id"),
        ({"bot_token": TOKEN_FITS, "chat_id": 1, "message_thread_id": 0}, "message_thread_id"),
        ({"bot_token": TOKEN_FITS, "chat_id": 1, "mention_on_failure": "everyone"}, "mention_on_failure"),
        ({"bot_token": TOKEN_FITS, "chat_id": 1, "mention_on_failure": "@ana_k\n"}, "mention_on_failure"),
        ({"bot_token": TOKEN_FITS, "chat_id": 1, "theme_color": "00ff00"}, "theme_color"),
    ],
)
def test_settings_it_cannot_use_are_refused(settings: dict[str, Any], field: str) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError, match=field) as refused:
        msgspec.convert(settings, TelegramSettings)
    assert "s3cr3t" not in str(refused.value)


def test_settings_it_can_use() -> None:
    (token,) = PATTERNS["examples"]["telegram_token"]
    for chat in PATTERNS["examples"]["telegram_chat"]:
        msgspec.convert({"bot_token": token, "chat_id": chat}, TelegramSettings)
    assert secret_fields(TelegramSettings) == {"bot_token"}
    assert TOKEN not in repr(EXAMPLES["telegram"].settings)
    assert TELEGRAM.hint(EXAMPLES["telegram"].settings) == "-1001234567890"
    assert TELEGRAM.hint(sending(TELEGRAM, BASE, message_thread_id=7).target.settings) == "-1001234567890, topic 7"
