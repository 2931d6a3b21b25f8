"""Discord's own rules: limits, official schema, errors, whom it wakes, and that nobody's text is more than text."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tests.compose.samples import AT_MS, HOSTILE
from tests.fakes.all_fakes import ask
from tests.providers.examples import EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, live_of, provider_of, reply, sending
from tocsin.fakes.discord import FakeDiscord
from tocsin.model.errors import Invalid
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.thread import Thread
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Retry
from tocsin.provider_kit.block_kit import COLOURS
from tocsin.provider_kit.discord_embed import escape, is_taken, thread_name
from tocsin.providers.discord import ADDRESS, DiscordSettings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["discord"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
OPENAPI = json.loads((SHARED / "discord-openapi.json").read_text())
DISCORD = provider_of("discord")
LIVE = live_of(DISCORD)

USER, ROLE = "80351110224678912", "165511591545143296"
FAILED, STARTED = MESSAGES["run-failed"], MESSAGES["run-started"]
ROOT = Thread(refs={"id": "1441000000000000001", "channel_id": "917429632418316298", "thread_id": ""})
STEPS = (RunStep("load", "succeeded", 12_000), RunStep("train", "succeeded", 480_000), RunStep("evaluate", "running"))
RUNNING = msgspec.structs.replace(STARTED, steps=STEPS)


def validator(name: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}
    return jsonschema.Draft202012Validator(schema)


POSTS, EDITS = validator("IncomingWebhookRequestPartial"), validator("IncomingWebhookUpdateRequestPartial")


def made(request: Any) -> HttpRequest:
    assert isinstance(request, HttpRequest)
    return request


def payload(message: Message, **settings: Any) -> Any:
    return json.loads(made(DISCORD.render(sending(DISCORD, message, **settings))).body)


def edited(message: Message, **settings: Any) -> Any:
    return json.loads(made(LIVE.edit(sending(DISCORD, message, thread=ROOT, **settings))).body)


def embed_chars(embed: Any) -> int:
    texts = [embed["title"], embed.get("description", ""), embed.get("footer", {}).get("text", "")]
    return len("".join(texts)) + sum(len(one["name"] + one["value"]) for one in embed.get("fields", ()))


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_is_what_discord_takes(name: str, plain: bool) -> None:  # S1-01, S1-02
    settings: dict[str, Any] = {
        "mention_on_failure": f"here <@{USER}> <@&{ROLE}>",
        "forum_threads": True,
        "username": "Tocsin",
    }
    sent = payload(EVERY_MESSAGE[name], plain=plain, **settings)
    assert not list(POSTS.iter_errors(sent))
    assert not list(EDITS.iter_errors(edited(EVERY_MESSAGE[name], plain=plain)))
    limits = LIMITS["embed"]
    assert len(sent.get("content", "")) <= LIMITS["content"]
    assert sent.get("content", "x").strip()
    assert 1 <= len(sent["thread_name"]) <= LIMITS["thread_name"]
    assert ("embeds" in sent) is not plain
    for embed in sent.get("embeds", ()):
        assert 1 <= len(embed["title"]) <= limits["title"]
        assert 1 <= len(embed.get("description", "x")) <= limits["description"]
        assert len(embed.get("url", "")) <= limits["url"]
        assert len(embed.get("fields", ())) <= 7
        for field in embed.get("fields", ()):
            assert 1 <= len(field["name"].strip()) <= limits["field_name"]
            assert 1 <= len(field["value"].strip()) <= limits["field_value"]
        assert 1 <= len(embed.get("footer", {"text": "x"})["text"]) <= limits["footer"]
        assert embed_chars(embed) <= limits["sum_all_embeds"]


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_the_channel_shows_it(name: str, plain: bool) -> None:
    fake = FakeDiscord()
    outcome = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, EVERY_MESSAGE[name], plain=plain)))))
    assert isinstance(outcome, Delivered)
    thread = Thread(refs=dict(outcome.receipt))
    assert LIVE.is_on(DiscordSettings())
    edit = sending(DISCORD, EVERY_MESSAGE[name], plain=plain, thread=thread)
    assert isinstance(DISCORD.classify(ask(fake, made(LIVE.edit(edit)))), Delivered)
    assert len(fake.messages) == len(fake.messages[0].edits) == 1
    assert fake.messages[0].woken == []


def test_asks_for_the_message_and_keeps_the_address() -> None:
    target = sending(DISCORD, FAILED).target
    assert made(DISCORD.render(sending(DISCORD, FAILED))).url == f"{target.address}?wait=true"
    edit = made(LIVE.edit(sending(DISCORD, FAILED, thread=ROOT)))
    assert edit.url == f"{target.address}/messages/{ROOT.refs['id']}"
    assert edit.method == "PATCH"
    slash = msgspec.structs.replace(
        sending(DISCORD, FAILED, thread=ROOT), target=type(target)(target.address + "/", target.settings)
    )
    assert made(DISCORD.render(slash)).url == f"{target.address}/?wait=true"
    assert made(LIVE.edit(slash)).url == f"{target.address}/messages/{ROOT.refs['id']}"


def test_a_failure_carries_its_details_and_its_link() -> None:  # S0-02
    sent = payload(FAILED)
    assert sent["content"].startswith('❌ train-ranker failed in prod after 12m 31s — step "evaluate": torch.cuda')
    (embed,) = sent["embeds"]
    assert embed["title"] == "❌ train-ranker failed in prod"
    assert embed["url"] == "https://airflow.example/runs/8f3a21c"
    assert embed["timestamp"] == "2026-11-21T02:00:00.000Z"
    assert embed["description"].startswith(
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    )
    assert 'File "/app/train.py", line 88, in <module>' in embed["description"]
    assert "[Logs](https://airflow.example/logs/8f3a21c?a=1&b=2)" in embed["fields"][-1]["value"]
    assert {"name": "Duration", "value": "12m 31s", "inline": True} in embed["fields"]


@pytest.mark.parametrize("name", MESSAGES)
def test_the_colour_is_that_of_the_state_unless_a_theme_is_wanted(name: str) -> None:  # S0-03, S1-18
    message = MESSAGES[name]
    plain = int(COLOURS[message.tone][1:], 16)
    assert payload(message)["embeds"][0]["color"] == plain
    themed = payload(message, theme_color="00ff00")["embeds"][0]["color"]
    assert themed == (plain if message.tone in ("bad", "rollback", "warning") else 0x00FF00)
    assert payload(message, theme_color="#00FF00")["embeds"][0]["color"] == themed


def test_formatting_can_be_switched_off() -> None:  # S1-02, S1-18
    for sent in (payload(FAILED, use_rich_formatting=False), payload(FAILED, plain=True)):
        assert set(sent) == {"allowed_mentions", "content"}
        assert "Open run: <https://airflow.example/runs/8f3a21c>" in sent["content"]
    assert edited(FAILED, plain=True)["embeds"] == []


def test_links_can_be_left_out() -> None:  # S1-18
    for plain in (False, True):
        assert "airflow.example" not in json.dumps(payload(FAILED, include_action_buttons=False, plain=plain))


def test_a_link_that_does_something_is_not_behind_the_title() -> None:
    assert "url" not in payload(MESSAGES["alert"])["embeds"][0]
    assert payload(MESSAGES["alert"])["embeds"][0]["fields"][-1]["value"] == "[Silence](https://am.example/silence)"


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://a.example/x?y=1#z", True),
        ("http://a-b.c.example:8080", True),
        ("http://localhost:8050/x", False),
        ("http://airflow/", False),
        ("http://10.0.0.5:8080/", False),
        ("https://u:p@a.example/", False),
        ("https://a.example/" + "x" * 2040, False),
    ],
)
def test_a_link_that_discord_refuses_is_shown_as_words(url: str, taken: bool) -> None:
    """One such link in an embed's title would have the whole message refused."""
    assert is_taken(url) is taken
    message = msgspec.structs.replace(FAILED, actions=(Action("Open", url, "primary"),))
    fake = FakeDiscord()
    assert isinstance(DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, message))))), Delivered)
    embed = fake.messages[0].embeds[0]
    assert (embed.get("url") == url) is taken
    if len(url) < 100:
        assert embed["fields"][-1]["value"] == (f"[Open]({url})" if taken else f"Open: <{url}>")


@pytest.mark.parametrize(
    ("asked", "shown", "allowed"),
    [
        (False, "", {"parse": []}),
        ("", "", {"parse": []}),
        (True, "@here", {"parse": ["everyone"]}),
        ("here", "@here", {"parse": ["everyone"]}),
        ("@everyone", "@everyone", {"parse": ["everyone"]}),
        (f"<@{USER}>", f"<@{USER}>", {"parse": [], "users": [USER]}),
        (f"<@&{ROLE}> <@!{USER}>", f"<@&{ROLE}> <@!{USER}>", {"parse": [], "users": [USER], "roles": [ROLE]}),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_mentions(asked: Any, shown: str, allowed: Any, plain: bool) -> None:  # S1-17, S1-18
    sent = payload(FAILED, mention_on_failure=asked, plain=plain)
    assert sent["allowed_mentions"] == allowed
    assert sent["content"].startswith(shown or "❌")
    for name in ("run-succeeded", "run-started", "run-exceeded", "stage-update"):
        calm = payload(MESSAGES[name], mention_on_failure=asked, plain=plain)
        assert calm["allowed_mentions"] == {"parse": []}
        assert not shown or shown not in calm.get("content", "")


def test_an_edit_and_a_quiet_reply_wake_nobody() -> None:  # S1-17
    fake = FakeDiscord()
    settings: dict[str, Any] = {"mention_on_failure": f"here <@{USER}>"}
    first = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, STARTED, **settings)))))
    assert isinstance(first, Delivered)
    thread = Thread(refs=dict(first.receipt))
    ask(fake, made(LIVE.edit(sending(DISCORD, FAILED, thread=thread, **settings))))
    ask(fake, made(LIVE.reply(sending(DISCORD, FAILED, thread=thread, quiet=True, **settings))))
    ask(fake, made(LIVE.reply(sending(DISCORD, FAILED, thread=thread, **settings))))
    assert [one.woken for one in fake.messages] == [[], [], ["here", USER]]
    assert [one.silent for one in fake.messages] == [True, False, False]
    assert fake.messages[0].embeds[0]["title"] == "❌ train-ranker failed in prod"


def test_an_edit_keeps_the_words_of_a_failure_and_drops_them_when_it_is_over() -> None:
    assert "content" not in edited(FAILED)
    assert edited(MESSAGES["run-succeeded"])["content"] is None
    assert edited(FAILED)["allowed_mentions"] == {"parse": []}
    assert "flags" not in edited(STARTED)


def test_what_goes_on_makes_no_sound() -> None:
    silent = {name for name in MESSAGES if payload(MESSAGES[name]).get("flags") == 4096}
    assert silent == {"run-started", "stage-update", "hpo-trial"}


def test_the_state_of_the_whole_run() -> None:  # S0-06
    text = edited(RUNNING)["embeds"][0]["description"]
    assert text == "▰▰▱ 2/3 · **evaluate**\n✅ load 12 s\n✅ train 8m 00s\n⏳ evaluate"
    over = msgspec.structs.replace(RUNNING, run_status="failed")
    assert "▰" not in edited(over)["embeds"][0]["description"]
    many = msgspec.structs.replace(RUNNING, steps=tuple(RunStep("*" * 500, "succeeded") for _ in range(500)))
    shown = edited(many)["embeds"][0]["description"]
    assert "… 492 before" in shown
    assert len(shown) < 1000


@pytest.mark.parametrize("name", ["absurd", "code", "all escapes", "families"])
def test_everything_at_its_longest_is_still_one_embed(name: str) -> None:
    steps = tuple(RunStep("*x" * 500, "running", 1) for _ in range(99))
    embed = edited(msgspec.structs.replace(EVERY_MESSAGE[name], run_status="running", steps=steps))["embeds"][0]
    assert 2500 < embed_chars(embed) <= LIMITS["embed"]["sum_all_embeds"]
    assert len(embed["description"]) <= LIMITS["embed"]["description"]


def test_a_forum_gets_a_post_for_each_run() -> None:  # S0-06
    fake = FakeDiscord(forum=True)
    outcome = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, STARTED, forum_threads=True)))))
    assert isinstance(outcome, Delivered)
    assert outcome.receipt["thread_id"] == outcome.receipt["id"] == outcome.receipt["channel_id"]
    assert list(fake.threads.values()) == ["train-ranker · 8f3a21c · 2026-11-21"]
    thread = Thread(refs=dict(outcome.receipt))
    for make in (LIVE.edit, LIVE.reply):
        request = made(make(sending(DISCORD, FAILED, thread=thread, forum_threads=True)))
        assert isinstance(DISCORD.classify(ask(fake, request)), Delivered)
        assert b"thread_name" not in request.body
    assert [one.thread_id for one in fake.messages] == [outcome.receipt["id"]] * 2
    assert len(fake.messages[0].edits) == 1


def test_a_forum_post_shows_a_state_only_when_it_is_final() -> None:
    assert thread_name(FAILED) == "❌ train-ranker · 8f3a21c · 2026-11-21"
    assert thread_name(MESSAGES["alert"]) == "🚨 Disk is full on db-1 · 2026-11-21"
    long = thread_name(msgspec.structs.replace(FAILED, pipeline="👨‍👩‍👧‍👦" * 99))
    assert len(long) <= 100
    assert long.endswith("👦… · 8f3a21c · 2026-11-21")


def test_nobody_s_text_is_more_than_text() -> None:
    sent = payload(HOSTILE_MESSAGE, mention_on_failure=False)
    shown = json.dumps(sent, ensure_ascii=False)
    assert sent["allowed_mentions"] == {"parse": []}
    assert "@everyone" not in shown
    assert "\u202e" not in shown
    assert "\x1b" not in shown
    text = sent["embeds"][0]["title"]
    assert re.sub(r"\\[^0-9A-Za-z\s]", "", text).translate({ord("\u200b"): None}).isprintable()
    assert not re.search(r"[*_~`|\[\]()<>]", re.sub(r"\\[^0-9A-Za-z\s]", "", text))
    links = sent["embeds"][0]["fields"][-1]["value"]
    assert re.findall(r"\]\((\w+):", links) == ["https", "https"]
    assert "(https://a.example/%7Cx%3Ey%3C!channel%3E%60%22?a=1&b=2)" in links
    assert sent["embeds"][0]["description"].count("```") == 2


@pytest.mark.parametrize(
    ("words", "escaped"),
    [
        ("a_b*c~d`e|f", r"a\_b\*c\~d\`e\|f"),
        ("<@1> <#2> <t:3:R> <:a:4>", r"\<@1\> \<#2\> \<t\:3:R\> \<\:a:4\>"),
        ("[x](https://a.example)", r"\[x\]\(https\://a.example\)"),
        (":tada: 12:30 a: b", r"\:tada: 12:30 a: b"),
        ("# a\n- b\n> c\n1. d\n-# e", "\\# a\n\\- b\n\\> c\n1\\. d\n\\-# e"),
        ("0.912 #1 a-b", "0.912 #1 a-b"),
        ("back\\slash", "back\\\\slash"),
        ("@here @Everyone ana@here.example", "@\u200bhere @\u200bEveryone ana@\u200bhere.example"),
    ],
)
def test_escapes(words: str, escaped: str) -> None:
    assert escape(words) == escaped


def test_no_escape_is_cut_in_two() -> None:
    for name in ("code", "all escapes", "hostile"):
        sent = payload(EVERY_MESSAGE[name])
        for field in [{"value": sent["content"]}, *sent["embeds"][0]["fields"][:-1]]:
            bare = re.sub(r"\\[^0-9A-Za-z\s]", "", field["value"])
            assert "\\" not in bare, field


def error(code: int, message: str = "words", **more: Any) -> str:
    return json.dumps({"message": message, "code": code, **more})


TABLE: list[tuple[int, int, str]] = [
    *[(404, code, "endpoint") for code in (10015, 10004)],
    (401, 50027, "endpoint"),
    *[(403, code, "endpoint") for code in (50013, 50001)],
    *[(400, code, "endpoint") for code in (220001, 220003, 40067)],
    *[(400, code, "message") for code in (50035, 50006, 50109, 240000, 20031, 220002)],
    (413, 40005, "message"),
    (404, 10003, "thread"),
    (404, 10008, "thread"),
    (429, 30046, "thread"),
    (400, 30046, "thread"),
    (403, 160005, "thread"),
    (400, 50083, "thread"),
]


@pytest.mark.parametrize(("status", "code", "scope"), TABLE)
def test_the_table_of_errors(status: int, code: int, scope: str) -> None:
    outcome = DISCORD.classify(reply(status, error(code)))
    assert isinstance(outcome, Rejected)
    assert outcome.scope == scope
    assert str(code) in outcome.reason


@pytest.mark.parametrize(("status", "code"), [(429, 20028), (403, 40333), (400, 40062), (403, 130000), (500, 0)])
def test_what_passes_is_tried_again(status: int, code: int) -> None:
    outcome = DISCORD.classify(reply(status, error(code)))
    assert isinstance(outcome, Retry)
    assert outcome.rate_limited == (status == 429)


def test_a_wrong_kind_of_channel_says_what_to_do() -> None:
    fake = FakeDiscord(forum=True)
    outcome = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, FAILED)))))
    assert isinstance(outcome, Rejected)
    assert "switch on forum_threads" in outcome.reason
    fake.forum = False
    outcome = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, FAILED, forum_threads=True)))))
    assert isinstance(outcome, Rejected)
    assert "switch off forum_threads" in outcome.reason


def test_an_invalid_form_says_which_field() -> None:
    tree = {"embeds": {"0": {"title": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "…"}]}}}}
    outcome = DISCORD.classify(reply(400, error(50035, "Invalid Form Body", errors=tree)))
    assert isinstance(outcome, Rejected)
    assert "title" in outcome.reason


@pytest.mark.parametrize(
    ("body", "headers", "after_s"),
    [
        ('{"message": "x", "retry_after": 64.57, "global": false}', {"retry_after": "65"}, 64.57),
        ('{"message": "x", "retry_after": 0.02}', {}, 1.0),
        ("<html>error code: 1015</html>", {"retry_after": "120"}, 120.0),
        ("", {"x_ratelimit_reset_after": "2.5"}, 2.5),
        ("", {}, None),
        ('{"retry_after": 1e99}', {}, 86_400.0),
    ],
)
def test_waits_as_exactly_as_it_is_told(body: str, headers: dict[str, str], after_s: float | None) -> None:  # S1-03
    outcome = DISCORD.classify(reply(429, body, **headers))
    assert isinstance(outcome, Retry)
    assert (outcome.after_s, outcome.rate_limited) == (after_s, True)


def test_a_global_limit_is_told_as_one() -> None:
    outcome = DISCORD.classify(reply(429, '{"message": "slow", "retry_after": 3, "global": true}'))
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("limited for all webhooks")


def test_an_empty_bucket_pauses_before_it_overflows() -> None:  # S1-03
    fake = FakeDiscord(limits=True)
    request = made(DISCORD.render(sending(DISCORD, FAILED)))
    outcomes = [DISCORD.classify(ask(fake, request, AT_MS + index * 100)) for index in range(6)]
    assert [one.pause_s for one in outcomes[:5] if isinstance(one, Delivered)] == [None] * 4 + [1.6]
    assert isinstance(outcomes[5], Retry)
    assert outcomes[5].after_s == 1.5
    assert isinstance(DISCORD.classify(ask(fake, request, AT_MS + 3000)), Delivered)


def test_what_it_hands_back() -> None:
    body = {"id": "1441000000000000001", "channel_id": "917429632418316298", "type": 0}
    assert DISCORD.classify(reply(200, json.dumps(body))) == Delivered({**ROOT.refs})
    assert DISCORD.classify(reply(204)) == Delivered()
    assert DISCORD.classify(HttpReply(200, {}, b'{"content": "long', True)) == Delivered()
    forged = {"id": "1/../../x", "channel_id": "917429632418316298"}
    assert isinstance(DISCORD.classify(reply(200, json.dumps(forged))), Retry)


@pytest.mark.parametrize(
    "body", [b"[" * 9000, b'{"id":' * 9000, b'{"message":"\xff"}', b'{"code":"x"}', b'{"id":5}', b'{"code":1e400}']
)
def test_an_answer_that_makes_no_sense_has_a_meaning(body: bytes) -> None:
    assert isinstance(DISCORD.classify(reply(200, body)), Retry)
    assert isinstance(DISCORD.classify(reply(400, body)), Rejected)


def test_a_message_or_a_post_that_was_deleted_is_made_anew() -> None:
    fake = FakeDiscord(forum=True)
    first = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, STARTED, forum_threads=True)))))
    assert isinstance(first, Delivered)
    thread = Thread(refs=dict(first.receipt))
    fake.remove(first.receipt["id"])
    outcomes: list[Outcome] = [
        DISCORD.classify(ask(fake, made(make(sending(DISCORD, FAILED, thread=thread, forum_threads=True)))))
        for make in (LIVE.edit, LIVE.reply)
    ]
    assert [one.scope for one in outcomes if isinstance(one, Rejected)] == ["thread", "thread"]
    lost = DISCORD.classify(ask(FakeDiscord(), made(LIVE.edit(sending(DISCORD, FAILED, thread=ROOT)))))
    assert lost == Rejected("10008: Unknown Message", "thread")


def test_a_webhook_that_is_gone() -> None:
    fake = FakeDiscord()
    fake.gone.add("417429632418316298")
    outcome = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, FAILED)))))
    assert outcome == Rejected("10015: Unknown Webhook", "endpoint")
    fake = FakeDiscord()
    fake.tokens["417429632418316298"] = "another"
    outcome = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, FAILED)))))
    assert outcome == Rejected("50027: Invalid Webhook Token", "endpoint")


def test_addresses() -> None:  # S1-14
    assert f"^{ADDRESS.pattern}$" == PATTERNS["patterns"]["discord_webhook"]
    check = DISCORD.check_address
    assert check is not None
    good = PATTERNS["examples"]["discord_webhook"][0]
    for address in (
        *PATTERNS["examples"]["discord_webhook"],
        good.replace("discord.com", "discordapp.com"),
        good.replace("discord.com", "ptb.discord.com"),
        good + "/",
    ):
        assert check(address) == address
    for address in (
        good.replace("https", "http"),
        good.replace("discord.com", "discord.com.evil.example"),
        good.replace("discord.com", "evil.discord.com"),
        good.replace("//", "//u:p@"),
        good + "/slack",
        good + "?wait=true",
        good + "\n",
        good.replace("417429632418316298", "٤١٧٤٢٩٦٣٢٤١٨٣١٦٢٩٨"),
        good[:-20],
    ):
        with pytest.raises(Invalid) as refused:
            check(address)
        assert "aaaaaaaaaaaaaaaa" not in refused.value.detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mention_on_failure", "ana"),
        ("mention_on_failure", "<@U123>"),
        ("mention_on_failure", "<@80351110224678912> @all"),
        ("mention_on_failure", "here\n@everyone"),
        ("theme_color", "green"),
        ("theme_color", "#12345"),
        ("username", "My Discord bot"),
        ("username", "CLYDE"),
        ("username", "x" * 81),
        ("username", "a\nb"),
        ("avatar_url", "http://a.example/a.png"),
        ("avatar_url", "https://a.example/a b.png"),
        ("forum_threads", "yes"),
        ("colour", "red"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field: str, value: str) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({field: value}, DiscordSettings)


def test_its_own_name_and_picture() -> None:
    sent = payload(FAILED, username="Tocsin ☎", avatar_url="https://a.example/a.png")
    assert (sent["username"], sent["avatar_url"]) == ("Tocsin ☎", "https://a.example/a.png")
    assert not {"username", "avatar_url"} & set(payload(FAILED))


def test_each_event_by_itself_can_be_chosen() -> None:
    assert not LIVE.is_on(msgspec.convert({"one_message_per_run": False}, DiscordSettings))


def test_the_fake_refuses_what_discord_refuses() -> None:
    request = made(DISCORD.render(sending(DISCORD, FAILED)))

    def refused(**body: Any) -> Any:
        answer = ask(FakeDiscord(), HttpRequest("POST", request.url, json.dumps(body).encode(), request.headers))
        assert answer.status == 400, answer
        return json.loads(answer.body)

    assert refused(content="x" * 2001)["errors"]["content"]["_errors"][0]["code"] == "BASE_TYPE_MAX_LENGTH"
    assert refused(content=" ")["code"] == 50006
    empty = refused(embeds=[{"title": "x", "fields": [{"name": "a", "value": ""}]}])
    assert empty["errors"]["embeds"]["0"]["fields"]["0"]["value"]["_errors"][0]["code"] == "BASE_TYPE_REQUIRED"
    assert refused(embeds=[{"description": "x" * 4096, "title": "y" * 256}] * 2)["code"] == 50035
    assert refused(embeds=[{"title": "x", "url": "http://localhost:1"}]) == {"embeds": ["0"]}
    assert refused(content="x", allowed_mentions={"parse": ["users"], "users": [USER]})["code"] == 50035
    assert refused(content="x", username="Clyde")["code"] == 50035


def test_an_old_message_can_be_edited_a_few_times_only() -> None:
    fake = FakeDiscord()
    first = DISCORD.classify(ask(fake, made(DISCORD.render(sending(DISCORD, STARTED)))))
    assert isinstance(first, Delivered)
    edit = made(LIVE.edit(sending(DISCORD, FAILED, thread=Thread(refs=dict(first.receipt)))))
    outcomes = [DISCORD.classify(ask(fake, edit, AT_MS + 3_700_000)) for _ in range(4)]
    assert [type(one) for one in outcomes] == [Delivered, Delivered, Delivered, Rejected]


def test_hostile_words_wake_nobody_even_in_plain_text() -> None:
    fake = FakeDiscord()
    message = msgspec.structs.replace(HOSTILE_MESSAGE, sentence=f"<@{USER}> @everyone {HOSTILE}")
    for plain in (False, True):
        request = sending(DISCORD, message, plain=plain, mention_on_failure=f"<@&{ROLE}>")
        ask(fake, made(DISCORD.render(request)))
    assert [one.woken for one in fake.messages] == [[ROLE], [ROLE]]


def test_pace_and_patience() -> None:  # S1-03, S1-04
    assert (DISCORD.rate_per_s, DISCORD.timeout_s, DISCORD.max_age_s) == (2.0, 10.0, 21_600)
