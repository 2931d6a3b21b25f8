"""Mattermost by a bot's token: one post per run, its thread, and what the server answers."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from tests.compose.samples import AT_MS
from tests.fakes.all_fakes import ask
from tests.providers.examples import EVERY_MESSAGE, MESSAGES, TOKEN, live_of, provider_of, reply, sending
from tocsin.fakes.mattermost import CHANNEL, FakeMattermost
from tocsin.model.endpoint import Target
from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.thread import Thread
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Retry, Sending
from tocsin.providers.mattermost_bot import MattermostBotSettings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas" / "mattermost"
POSTS = yaml.safe_load((SHARED / "posts.yaml").read_text())
BOT = provider_of("mattermost_bot")
LIVE = live_of(BOT)
FAILED, STARTED, SUCCEEDED = MESSAGES["run-failed"], MESSAGES["run-started"], MESSAGES["run-succeeded"]


def given(message: Message, **settings: Any) -> Sending:
    return sending(BOT, message, **settings)


def call(fake: FakeMattermost, request: Any, at_ms: int = AT_MS) -> Outcome:
    assert isinstance(request, HttpRequest)
    return BOT.classify(ask(fake, request, at_ms))


def posted(fake: FakeMattermost, message: Message = STARTED, **settings: Any) -> Thread:
    outcome = call(fake, BOT.render(given(message, **settings)))
    assert isinstance(outcome, Delivered)
    return Thread(refs=dict(outcome.receipt))


def official(path: str, method: str) -> Any:
    schema = POSTS[path][method]["requestBody"]["content"]["application/json"]["schema"]
    # A patch's props are said to be a string, which no server takes.
    schema["properties"]["props"]["type"] = "object"
    # Not in the document, but in the server's model of a post.
    schema["properties"]["pending_post_id"] = {"type": "string"}
    return jsonschema.Draft202012Validator(schema | {"additionalProperties": False})


CREATE, PATCH = official("/api/v4/posts", "post"), official("/api/v4/posts/{post_id}/patch", "put")


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_is_what_mattermost_takes(name: str, plain: bool) -> None:  # S1-01, S1-02
    fake = FakeMattermost()
    thread = posted(fake, EVERY_MESSAGE[name], plain=plain, mention_on_failure="here")
    update = given(EVERY_MESSAGE[name], plain=plain, thread=thread)
    for request, schema in (
        (BOT.render(update), CREATE),
        (LIVE.reply(update), CREATE),
        (LIVE.edit(update), PATCH),
    ):
        assert isinstance(request, HttpRequest)
        assert not list(schema.iter_errors(json.loads(request.body)))
        assert isinstance(call(fake, request), Delivered)
    assert [len(one.replies) for one in fake.posts] == [1]


def test_asks_the_server_with_its_token() -> None:
    request = BOT.render(given(FAILED, server_url="https://mm.example.com/sub/"))
    assert isinstance(request, HttpRequest)
    assert request.url == "https://mm.example.com/sub/api/v4/posts"
    assert ("authorization", f"Bearer {TOKEN}") in request.headers
    assert TOKEN not in repr(request)
    assert TOKEN not in repr(given(FAILED).target.settings)
    assert BOT.hint(given(FAILED).target.settings) == f"mm.example.com {CHANNEL}"


def test_one_post_per_run_with_its_thread() -> None:  # S0-06
    fake = FakeMattermost()
    thread = posted(fake, mention_on_failure="ml-oncall")
    for make in (LIVE.edit, LIVE.reply):
        call(fake, make(given(FAILED, thread=thread, mention_on_failure="ml-oncall")))
    call(fake, LIVE.reply(given(FAILED, thread=thread, quiet=True, mention_on_failure="ml-oncall")))
    (root,) = fake.posts
    assert root.attachments[0]["title"] == "❌ train-ranker failed in prod"
    assert root.woken == []
    assert len(root.edits) == 1
    assert [one.woken for one in root.replies] == [["ml-oncall"]]
    assert LIVE.mark is None


def test_an_edit_keeps_the_words_of_a_failure_and_drops_them_when_it_is_over() -> None:
    fake = FakeMattermost()
    thread = posted(fake, FAILED, mention_on_failure="here")
    assert fake.posts[0].message == "@here"
    call(fake, LIVE.edit(given(FAILED, thread=thread, mention_on_failure="here")))
    assert fake.posts[0].message == "@here"
    call(fake, LIVE.edit(given(SUCCEEDED, thread=thread, mention_on_failure="here")))
    assert fake.posts[0].message == ""
    call(fake, LIVE.edit(given(SUCCEEDED, thread=thread, plain=True)))
    assert fake.posts[0].message.startswith("✅ train-ranker succeeded")
    assert fake.posts[0].props == {}


def test_a_lost_answer_makes_no_second_post() -> None:
    fake = FakeMattermost()
    first, again = posted(fake), posted(fake)
    assert first == again
    assert len(fake.posts) == 1
    for _ in range(2):
        call(fake, LIVE.reply(given(FAILED, thread=first)))
    assert len(fake.posts[0].replies) == 1
    call(fake, BOT.render(given(STARTED)), AT_MS + 60_000)
    assert len(fake.posts) == 2


def test_an_answer_goes_where_the_root_is() -> None:
    fake = FakeMattermost()
    thread = posted(fake)
    moved = given(FAILED, thread=thread, channel_id="z" * 26)
    assert isinstance(call(fake, LIVE.reply(moved)), Delivered)
    assert fake.posts[0].replies[0].channel == CHANNEL


def test_a_post_that_was_deleted_is_made_anew() -> None:
    fake = FakeMattermost()
    thread = posted(fake)
    fake.remove(thread.refs["id"])
    for make in (LIVE.edit, LIVE.reply):
        outcome = call(fake, make(given(FAILED, thread=thread)))
        assert isinstance(outcome, Rejected)
        assert outcome.scope == "thread"


def test_the_time_limit_for_edits_is_about_words_only() -> None:
    fake = FakeMattermost()
    fake.edit_ms = 300_000
    thread = posted(fake)
    late = AT_MS + 3_600_000
    assert isinstance(call(fake, LIVE.edit(given(SUCCEEDED, thread=thread)), late), Delivered)
    outcome = call(fake, LIVE.edit(given(SUCCEEDED, thread=thread, plain=True)), late)
    assert isinstance(outcome, Rejected)
    assert outcome.scope == "thread"


def error(status: int, error_id: str) -> HttpReply:
    body = {"id": error_id, "message": "words", "detailed_error": "", "request_id": "qe3", "status_code": status}
    return reply(status, json.dumps(body))


@pytest.mark.parametrize(
    ("status", "error_id", "scope"),
    [
        (401, "api.context.session_expired.app_error", "credential"),
        (403, "api.context.permissions.app_error", "thread"),
        (400, "api.post.update_post.permissions_time_limit.app_error", "thread"),
        (400, "api.post.update_post.permissions_details.app_error", "thread"),
        (400, "api.post.create_post.root_id.app_error", "thread"),
        (400, "api.post.create_post.channel_root_id.app_error", "thread"),
        (404, "app.post.get.app_error", "thread"),
        (404, "app.channel.get.existing.app_error", "endpoint"),
        (400, "api.post.create_post.can_not_post_to_deleted.error", "endpoint"),
        (403, "api.post.create_post.town_square_read_only", "endpoint"),
        (400, "model.post.is_valid.msg.app_error", "message"),
        (400, "api.context.invalid_body_param.app_error", "message"),
    ],
)
def test_the_table_of_errors(status: int, error_id: str, scope: str) -> None:
    outcome = BOT.classify(error(status, error_id))
    assert isinstance(outcome, Rejected)
    assert outcome.scope == scope
    assert error_id in outcome.reason


def test_a_token_that_is_gone() -> None:
    fake = FakeMattermost()
    fake.tokens = {"another"}
    outcome = call(fake, BOT.render(given(FAILED)))
    assert isinstance(outcome, Rejected)
    assert outcome.scope == "credential"
    assert TOKEN not in outcome.reason


def test_what_it_hands_back() -> None:
    post = {"id": "a" * 26, "channel_id": CHANNEL}
    assert BOT.classify(reply(201, json.dumps(post))) == Delivered(post)
    assert BOT.classify(HttpReply(201, {}, b'{"id": "long', True)) == Delivered()
    for body in ({"id": "../x", "channel_id": CHANNEL}, {}, {"id": 5}):
        assert isinstance(BOT.classify(reply(200, json.dumps(body))), Retry)
    limited = BOT.classify(reply(429, "limit exceeded", x_ratelimit_reset="3"))
    assert limited == Retry("HTTP 429: limit exceeded", 3.0, rate_limited=True)


@pytest.mark.parametrize(
    "server_url",
    [
        "https://mm.example.com",
        "https://mm.example.com/",
        "https://mm.example.com/sub/path",
        "http://localhost:8065",
        "http://10.0.0.5:8065/mm",
        "http://[fd00::1]:8065",
    ],
)
def test_servers(server_url: str) -> None:
    settings = msgspec.structs.replace(given(FAILED).target.settings, server_url=server_url)
    assert BOT.check_settings is not None
    BOT.check_settings(settings)
    request = BOT.render(msgspec.structs.replace(given(FAILED), target=Target("", settings)))
    assert isinstance(request, HttpRequest)
    assert request.url == f"{server_url.rstrip('/')}/api/v4/posts"


@pytest.mark.parametrize(
    "server_url",
    [
        "",
        "mm.example.com",
        "ftp://mm.example.com",
        "https://u:hunter22hunter22@mm.example.com",
        "https://mm.example.com?x=1",
        "https://mm.example.com#x",
        "https://mm.example.com\n",
        "https://mm.example.com/a b",
        "javascript:alert(1)",
    ],
)
def test_servers_that_are_none(server_url: str) -> None:  # S1-14
    settings = msgspec.structs.replace(given(FAILED).target.settings, server_url=server_url)
    assert BOT.check_settings is not None
    with pytest.raises(Invalid) as refused:
        BOT.check_settings(settings)
    assert refused.value.field == "settings.server_url"
    assert "hunter22hunter" not in refused.value.detail


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "ä"])
def test_tokens_that_are_none(token: str) -> None:
    settings = msgspec.structs.replace(given(FAILED).target.settings, token=token)
    assert BOT.check_settings is not None
    with pytest.raises(Invalid) as refused:
        BOT.check_settings(settings)
    assert refused.value.field == "settings.token"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channel_id", "town-square"),
        ("channel_id", CHANNEL + "\n"),
        ("mention_on_failure", "<!here>"),
        ("theme_color", "green"),
        ("one_message_per_run", "yes"),
        ("icon_url", "https://a.example/a.png"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field: str, value: str) -> None:  # S1-18
    good = {"server_url": "https://mm.example.com", "token": TOKEN, "channel_id": CHANNEL}
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(good | {field: value}, MattermostBotSettings)
    for name in good:
        with pytest.raises(msgspec.ValidationError, match=name):
            msgspec.convert({key: one for key, one in good.items() if key != name}, MattermostBotSettings)


def test_pace_and_patience() -> None:  # S1-03, S1-04
    assert (BOT.rate_per_s, BOT.timeout_s, BOT.max_age_s) == (5.0, 10.0, 21_600)
    assert LIVE.is_on(given(FAILED).target.settings)
    assert not LIVE.is_on(given(FAILED, one_message_per_run=False).target.settings)
