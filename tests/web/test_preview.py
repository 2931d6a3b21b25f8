"""`POST /v1/webhooks/preview`: what would be sent, as it would be sent; nothing is sent and nothing kept."""

import json
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace

from tests.compose.samples import SAMPLES as EVENTS
from tests.harness import Running, Start
from tests.providers.examples import EXAMPLES, SECRETS
from tocsin.previews import PREVIEWS
from tocsin.providers import PROVIDERS
from tocsin.settings import provider_tuning, read_settings
from tocsin.web.api.preview import Receiver, previewed
from tocsin.web.api.preview_samples import HISTORIES, Sample, sample

pytestmark = pytest.mark.anyio

SLACK = "https://hooks.slack.com/services/T0000000A/B0000000A/" + "canaryINslack12345678901"
TOKEN = "xoxb-1234567890-canaryINtoken"
EVENT: dict[str, Any] = {"type": "run.failed", "pipeline": "etl/orders", "run_id": "r1", "data": {"error": "disk full"}}


async def preview(tocsin: Running, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await tocsin.client.post("/v1/webhooks/preview", asked)).ok()
    return found


async def counts(tocsin: Running) -> list[int]:
    paths = ("events", "runs", "webhooks", "deliveries")
    return [len((await tocsin.client.get(f"/v1/{path}")).ok()["items"]) for path in paths]


async def test_it_shows_what_is_sent_afterwards(tocsin: Running) -> None:
    # S1-17: seen before it is switched on; the very bytes
    hook = tocsin.receiver.slack()
    shown = await preview(tocsin, provider_type="slack", webhook_url=hook.url, event=EVENT)
    assert await counts(tocsin) == [0, 0, 0, 0]
    await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.send(**EVENT)
    await tocsin.settle()
    (sent,) = hook.expect(1)
    assert shown["body"] == sent.json
    assert shown["size_bytes"] == len(sent.body)
    assert shown["method"] == sent.method
    assert shown["url"] == "…" + hook.url[-10:]
    assert shown["headers"]["content-type"] == sent.headers["content-type"]
    assert (shown["limit_bytes"], shown["problems"], shown["html_kind"]) == (100_000, [], "fragment")
    assert "etl/orders failed" in shown["html"]
    assert ".slack" in shown["style"]


async def test_a_saved_webhook_and_an_event_that_came_in(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/in/" + "canaryINpath1234567890")
    webhook = await tocsin.webhook(
        hook, enabled_events=["*"], headers={"X-Team": "data", "Authorization": "Bearer canaryINheader"}
    )
    await tocsin.send(id="e1", **EVENT | {"pipeline": "etl/in/data"})
    await tocsin.settle()
    (sent,) = hook.expect(1)
    answer = await tocsin.client.post("/v1/webhooks/preview", {"webhook_id": webhook["id"], "event_id": "e1"})
    assert b"canary" not in answer.body.replace(hook.url[-10:].encode(), b"")
    assert webhook["secret"].encode() not in answer.body
    shown = answer.ok()
    assert shown["body"] == sent.json
    assert shown["body"]["pipeline"] == "etl/in/data"  # words of the address and of headers stay in a body
    assert (shown["html"], shown["html_kind"], shown["style"], shown["root"]) == (None, None, "", None)
    hidden = {name for name, value in shown["headers"].items() if value == "***"}
    assert hidden == {"webhook-signature", "X-Exosphere-Signature", "X-Team", "Authorization"}
    assert await counts(tocsin) == [1, 1, 1, 1]
    assert (await tocsin.deliveries())[0]["attempts"] == 1


async def test_a_saved_webhook_with_settings_that_are_tried(tocsin: Running) -> None:
    settings = {"bot_token": TOKEN, "channel": "#data"}
    body = {"provider_type": "slack_bot", "name": "bot", "settings": settings}
    saved = (await tocsin.client.post("/v1/webhooks", body)).ok(201)
    await tocsin.client.post(f"/v1/webhooks/{saved['id']}/disable")
    changed = saved["settings"] | {"channel": "#other", "interactivity": True}
    answer = await tocsin.client.post(
        "/v1/webhooks/preview", {"webhook_id": saved["id"], "settings": changed, "sample": "failed"}
    )
    assert b"canary" not in answer.body.replace(saved["settings"]["bot_token"].encode(), b"")
    shown = answer.ok()
    assert shown["body"]["channel"] == "#other"
    assert shown["headers"]["authorization"] == "***"
    assert shown["url"] == "https://slack.com/api/chat.postMessage"
    assert 'class="slack-button' in shown["html"]
    assert shown["problems"] == ["The webhook is switched off."]
    assert (await tocsin.endpoint(saved))["settings"]["channel"] == "#data"


async def test_the_message_of_the_run_is_shown_beside_that_of_the_event(tocsin: Running) -> None:
    # S0-06
    for type_, stage in (("run.started", ""), ("stage.started", "load"), ("stage.succeeded", "load")):
        await tocsin.send(type=type_, stage=stage, pipeline="etl", run_id="r1", id=f"{type_}-{stage}")
    asked: dict[str, Any] = {"provider_type": "slack_bot", "settings": {"channel": "#a", "bot_token": TOKEN}}
    shown = await preview(tocsin, **asked, event_id="stage.succeeded-load")
    assert "step &quot;load&quot; succeeded" in shown["html"]
    assert "▰ 1/1" in shown["root"]["html"]
    assert "✅ load" in shown["root"]["html"]
    one_by_one = asked["settings"] | {"one_message_per_run": False}
    assert (await preview(tocsin, **asked | {"settings": one_by_one}, event_id="run.started-"))["root"] is None
    told = EVENT | {"pipeline": "etl", "run_id": "r1"}
    root = (await preview(tocsin, **asked, event=told))["root"]  # the run with what this event would make of it
    assert "etl failed" in root["html"]
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    assert run["status"] == "running"


@pytest.mark.parametrize("name", HISTORIES)
async def test_samples(standing: Running, name: Sample) -> None:
    shown = await preview(standing, provider_type="slack", sample=name)
    assert shown["problems"] == []
    assert len(shown["html"]) > 500
    assert shown["url"] == ""


def test_there_is_a_history_for_every_sample() -> None:
    assert set(HISTORIES) == set(get_args(Sample))
    for name in HISTORIES:
        event, run = sample(name, "default", 1_000_000_000)
        assert event.time_ms <= 1_000_000_000
        assert (run is not None) == bool(event.run_id)


WITH_SETTINGS = {
    "email": {"to": ["ana@example.com"]},
    "mattermost_bot": {"server_url": "https://chat.example", "channel_id": "a" * 26},
    "telegram": {"chat_id": "-1001234567890"},
    "apprise": {"url": "gotify://gotify.example/AbCdEf123456789"},
    "opsgenie": {},
    "pagerduty": {},
}


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_every_provider_while_its_form_is_filled_in(standing: Running, kind: str) -> None:
    """What is missing is a problem that names its field, no error."""
    settings = WITH_SETTINGS.get(kind, {})
    shown = await preview(standing, provider_type=kind, settings=settings, sample="failed")
    assert shown["provider_type"] == kind
    assert "CUDA out of memory" in json.dumps(shown["body"]) or kind in ("webhook", "email")
    assert 0 < shown["size_bytes"] < shown["limit_bytes"]
    assert all(problem.startswith("settings.") for problem in shown["problems"])
    look = PREVIEWS.get(kind)
    assert shown["html_kind"] == (look.kind if look else None)
    assert (shown["html"] is None) == (look is None)
    if shown["html"] is not None:
        assert "<script" not in shown["html"]


def test_no_secret_of_any_provider_is_shown() -> None:
    # S1-14, S4-12
    tuning = provider_tuning(read_settings({}))
    for kind, provider in PROVIDERS.items():
        shown = msgspec.json.encode(
            previewed(Receiver(provider, EXAMPLES[kind]), *EVENTS["failed"], tuning[kind], 1_795_226_400_000)
        ).decode()
        for secret in SECRETS:
            assert secret not in shown, kind
            assert secret[:-11] not in shown, kind


def test_what_is_over_the_limit_is_a_problem() -> None:
    provider = replace(PROVIDERS["slack"], max_body_bytes=100)
    tuning = provider_tuning(read_settings({}))["slack"]
    shown = previewed(Receiver(provider, EXAMPLES["slack"]), *EVENTS["failed"], tuning, 1_795_226_400_000)
    assert shown.size_bytes > shown.limit_bytes == 100
    assert shown.problems == (f"The body has {shown.size_bytes} bytes; Slack takes 100.",)


async def test_alarms(tocsin: Running) -> None:
    # S4-15
    key = {"routing_key": "e93facc04764012d7bfb002500d5d1a6"}
    actions = {}
    for name in ("failed", "succeeded", "started"):
        shown = await preview(tocsin, provider_type="pagerduty", settings=key, sample=name)
        assert key["routing_key"] not in json.dumps(shown)
        actions[name] = (shown["body"]["event_action"], len(shown["problems"]))
    assert actions["failed"] == ("trigger", 0)
    assert actions["succeeded"] == ("resolve", 0)
    assert actions["started"][1] == 1


async def test_switches_of_the_operator(start: Start) -> None:
    # S1-02, S1-05
    tocsin = await start(
        NOTIFICATIONS_ENABLE_RICH_FORMATTING="false",
        NOTIFICATIONS_ENABLE_MENTIONS="false",
        NOTIFICATIONS_SLACK_ENABLED="false",
    )
    shown = await preview(tocsin, provider_type="slack", settings={"mention_on_failure": True}, sample="failed")
    assert shown["problems"] == ["Slack is switched off: NOTIFICATIONS_SLACK_ENABLED is off."]
    assert "blocks" not in shown["body"]
    assert "<!here>" not in shown["body"]["text"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "provider_type"),
        ({"provider_type": "slack"}, "event"),
        ({"provider_type": "slack", "webhook_id": "whk_1", "sample": "failed"}, "webhook_id"),
        ({"provider_type": "slack", "sample": "failed", "event_id": "e"}, "sample"),
        ({"provider_type": "slack", "sample": "failed", "event": {}}, "sample"),
        ({"provider_type": "slack", "sample": "nonsense"}, "sample"),
        ({"provider_type": "fax", "sample": "failed"}, "provider_type"),
        ({"provider_type": "slack", "sample": "failed", "nonsense": 1}, "nonsense"),
        ({"provider_type": "slack", "sample": "failed", "settings": {"nonsense": 1}}, "settings.nonsense"),
        ({"provider_type": "slack", "sample": "failed", "webhook_url": "https://example.com/"}, "webhook_url"),
        ({"provider_type": "slack_bot", "sample": "failed", "webhook_url": SLACK}, "webhook_url"),
        ({"provider_type": "email", "sample": "failed"}, "settings.to"),
        ({"provider_type": "slack_bot", "sample": "failed", "settings": {"bot_token": 7}}, "settings.bot_token"),
        ({"provider_type": "slack", "event": {"type": "run.failed", "severity": "bad"}}, "event.severity"),
        ({"provider_type": "slack", "event": {"pipeline": "x"}}, "event.type"),
        ({"provider_type": "slack", "event": {"type": "x", "links": {"a": "javascript:x"}}}, "event.links.a"),
        ({"provider_type": "slack", "event": None}, "event"),
        ({"provider_type": "slack", "event": {"events": [{"type": "x"}, {"type": "y"}]}}, "event.events"),
        ({"provider_type": "slack", "event_id": "nothing"}, "event_id"),
        ({"provider_type": "slack", "event_id": "\x00"}, "event_id"),
        ({"webhook_id": "whk_00000000000070008000000000000000", "sample": "failed"}, "webhook_id"),
        ({"webhook_id": "\x00", "sample": "failed"}, "webhook_id"),
        ({"webhook_id": "whk_1", "webhook_url": SLACK, "sample": "failed"}, "webhook_url"),
    ],
)
async def test_what_cannot_be_previewed(standing: Running, asked: dict[str, Any], field: str) -> None:
    answer = await standing.client.post("/v1/webhooks/preview", asked)
    answer.problem(400, field)
    assert b"canaryINslack" not in answer.body


async def test_an_event_is_read_exactly_as_when_it_is_sent(tocsin: Running) -> None:
    """The same verdict, in the same words."""
    for event in ({"type": "x", "labels": {"a": 1}}, {"type": "x", "actions": [{"label": "", "url": "https://a"}]}):
        sent = (await tocsin.client.post("/v1/events", event)).problem(400)["errors"][0]
        tried = await tocsin.client.post("/v1/webhooks/preview", {"provider_type": "slack", "event": event})
        assert tried.problem(400)["errors"][0] == sent | {"field": f"event.{sent['field']}"}


async def test_others_webhooks_cannot_be_previewed(tocsin: Running) -> None:
    # S1-15, S4-10
    ben, mia = await tocsin.as_("developer", user="ben"), await tocsin.as_("developer", user="mia")
    stranger, viewer = await tocsin.as_("admin", "theirs"), await tocsin.as_("viewer", user="ben")
    webhook = await tocsin.webhook(tocsin.receiver.slack(), ben)
    asked = {"webhook_id": webhook["id"], "sample": "failed"}
    (await ben.post("/v1/webhooks/preview", asked)).ok()
    (await tocsin.client.post("/v1/webhooks/preview", asked)).ok()
    for other in (mia, stranger):
        (await other.post("/v1/webhooks/preview", asked)).problem(400, "webhook_id")
    (await viewer.post("/v1/webhooks/preview", asked)).problem(403)
    await tocsin.send(id="e1")
    (await stranger.post("/v1/webhooks/preview", {"provider_type": "slack", "event_id": "e1"})).problem(400, "event_id")


async def test_own_words_are_shown(tocsin: Running) -> None:
    """The webhook's; a rule's in their place; and a template that fails, in the words that would be sent."""
    webhook = await tocsin.webhook(tocsin.receiver.slack(), templates={"title": "hook: {{ event.pipeline }}"})
    shown = await preview(tocsin, webhook_id=webhook["id"], event=EVENT)
    assert "hook: etl/orders" in shown["html"]
    templates = {"title": "rule: {{ event.pipeline }}", "fields": {"Rows": "{{ data.rows | divided_by: 0 }}"}}
    shown = await preview(tocsin, webhook_id=webhook["id"], event=EVENT, templates=templates)
    assert "The template fails" in shown["problems"][0]
    del templates["fields"]
    shown = await preview(tocsin, provider_type="slack", event=EVENT, templates=templates)
    assert "rule: etl/orders" in shown["html"]
    asked = {"provider_type": "slack", "event": EVENT, "templates": {"title": "{{ nobody }}"}}
    problem = (await tocsin.client.post("/v1/webhooks/preview", asked)).problem(400)
    assert problem["errors"][0]["field"] == "templates.title"
