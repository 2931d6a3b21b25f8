"""Pipelines as they were seen, and who is told of one of them, said in one place."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness import Running, Start
from tests.web.slack_and_mail import platform

pytestmark = pytest.mark.anyio


def path(name: str) -> str:
    return f"/v1/pipelines/{quote(name, safe='')}/notifications"


async def put(tocsin: Running, name: str, *notifications: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await tocsin.client.request("PUT", path(name), {"notifications": notifications})
    found: list[dict[str, Any]] = answer.ok()["notifications"]
    return found


# Who is told.


async def test_this_pipeline_to_these_endpoints_these_events_this_format(tocsin: Running) -> None:
    # S0-04
    hook, other = tocsin.receiver.hook("/a"), tocsin.receiver.hook("/b")
    first, second = await tocsin.webhook(hook, name="team"), await tocsin.webhook(other, name="all")
    told = await put(
        tocsin,
        "etl/orders",
        {
            "webhook_id": first["id"],
            "events": ["run.failed"],
            "format": "simple",
            "condition": 'event.severity == "error"',
        },
        {"webhook_id": second["id"]},
    )
    assert [one["webhook_id"] for one in told] == [first["id"], second["id"]]
    assert (told[0]["events"], told[0]["format"], told[1]["format"]) == (["run.failed"], "simple", None)
    assert (await tocsin.client.get(path("etl/orders"))).ok() == {"pipeline": "etl/orders", "notifications": told}
    await tocsin.send(type="run.failed", pipeline="etl/orders", run_id="1")
    await tocsin.send(type="run.succeeded", pipeline="etl/orders", run_id="2")
    await tocsin.send(type="run.failed", pipeline="etl/users", run_id="3")
    await tocsin.settle()
    (simple,), whole = hook.expect(1), other.expect(2)
    assert set(simple.json) != set(whole[0].json)
    assert whole[0].json["schema"].startswith("tocsin.event")
    assert "schema" not in simple.json


async def test_underneath_are_rules_like_any_others(tocsin: Running) -> None:
    # S0-04
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook, name="team")
    (told,) = await put(tocsin, "etl/orders", {"webhook_id": webhook["id"], "events": ["run.failed"]})
    rule = (await tocsin.client.get(f"/v1/alert-rules/{told['rule_id']}")).ok()
    assert (rule["name"], rule["created_by"]) == ("etl/orders: team", "pipeline:etl/orders")
    assert (rule["pipelines"], rule["event_types"]) == (["etl/orders"], ["run.failed"])
    assert rule["id"] in [one["id"] for one in (await tocsin.client.get("/v1/alert-rules")).ok()["items"]]
    await tocsin.send(type="run.failed", pipeline="etl/orders")
    await tocsin.settle()
    hook.expect(1)
    assert (await tocsin.delivery())["rule_id"] == rule["id"]
    (await tocsin.client.patch(f"/v1/alert-rules/{rule['id']}", {"event_types": ["run.*"]})).ok()
    assert (await tocsin.client.get(path("etl/orders"))).ok()["notifications"][0]["events"] == ["run.*"]


async def test_a_rule_keeps_its_id_and_what_it_knows(tocsin: Running) -> None:
    hook, other = tocsin.receiver.hook("/a"), tocsin.receiver.hook("/b")
    first, second = await tocsin.webhook(hook), await tocsin.webhook(other)
    failures = {"webhook_id": first["id"], "events": ["run.failed"], "window": {"kind": "failures", "count": 2}}
    before = await put(tocsin, "etl", failures, {"webhook_id": first["id"], "events": ["stage.failed"]})
    await tocsin.send(pipeline="etl", run_id="1")
    after = await put(tocsin, "etl", {"webhook_id": second["id"], "events": ["x"]}, failures | {"condition": "true"})
    assert before[0]["rule_id"] in [one["rule_id"] for one in after]
    assert before[1]["rule_id"] not in [one["rule_id"] for one in after]
    await tocsin.send(pipeline="etl", run_id="2")
    await tocsin.settle()
    hook.expect(1)


async def test_what_is_left_out_is_gone(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook)
    (told,) = await put(tocsin, "etl/orders", {"webhook_id": webhook["id"]})
    await put(tocsin, "etl/users", {"webhook_id": webhook["id"]})
    assert await put(tocsin, "etl/orders") == []
    (await tocsin.client.get(f"/v1/alert-rules/{told['rule_id']}")).problem(404)
    (await tocsin.client.delete(path("etl/orders"))).problem(404)
    (await tocsin.client.delete(path("etl/users"))).ok(204)
    assert (await tocsin.client.get(path("etl/users"))).ok()["notifications"] == []
    await tocsin.send(pipeline="etl/users")
    await tocsin.settle()
    hook.expect(0)


@pytest.mark.parametrize("name", ["a/b/c", "etl/notifications", "Ünï code/#1?", "100%", "a b", "x" * 256])
async def test_any_name_will_do(tocsin: Running, name: str) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook)
    if "?" in name:
        answer = await tocsin.client.request("PUT", path(name), {"notifications": []})
        answer.problem(400, "name")
        return
    (told,) = await put(tocsin, name, {"webhook_id": webhook["id"]})
    assert (await tocsin.client.get(path(name))).ok() == {"pipeline": name, "notifications": [told]}
    await tocsin.send(pipeline=name)
    await tocsin.settle()
    hook.expect(1)


async def test_mentions_and_plain_words_for_one_pipeline(start: Start) -> None:
    # S1-17: mention_on_failure, here for one pipeline; the webhook itself mentions nobody
    here = await platform(start, SLACK_DEFAULT_CHANNEL="")
    tocsin = here.tocsin
    settings = {"channel": "#team", "one_message_per_run": False}
    given = {"provider_type": "slack_bot", "name": "team", "settings": settings}
    webhook = (await tocsin.client.post("/v1/webhooks", given)).ok(201)
    entry = {"webhook_id": webhook["id"], "events": ["run.failed"]}
    (told,) = await put(tocsin, "etl/orders", entry | {"mentions": ["U0123456789"], "format": "plain"})
    assert (told["mentions"], told["format"]) == (["U0123456789"], "plain")
    await put(tocsin, "etl/users", entry)
    await here.happens("run.failed", pipeline="etl/orders", run_id="1")
    await here.happens("run.failed", pipeline="etl/users", run_id="2")
    (channel,) = (one for one in here.slack.channels.values() if one.name == "team")
    first, second = channel.messages
    assert "<@U0123456789>" in first.text
    assert "<@" not in second.text + str(second.attachments) + str(second.blocks)
    assert (bool(first.attachments or first.blocks), bool(second.attachments or second.blocks)) == (False, True)


async def test_mentions_that_the_operator_switched_off_stay_off(start: Start) -> None:
    here = await platform(start, SLACK_DEFAULT_CHANNEL="", NOTIFICATIONS_ENABLE_MENTIONS="false")
    given = {"provider_type": "slack_bot", "name": "team", "settings": {"channel": "#team"}}
    webhook = (await here.tocsin.client.post("/v1/webhooks", given)).ok(201)
    await put(here.tocsin, "etl", {"webhook_id": webhook["id"], "mentions": "channel"})
    await here.happens("run.failed", pipeline="etl", run_id="1")
    (channel,) = (one for one in here.slack.channels.values() if one.name == "team")
    assert "<!channel>" not in str(channel.messages)


async def test_a_format_that_does_not_fit_the_webhook_any_more_gives_way_to_its_own(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    settings = {"format": "template", "template": '{"pipeline": {{ pipeline | json }}}'}
    webhook = await tocsin.webhook(hook, settings=settings)
    await put(tocsin, "etl", {"webhook_id": webhook["id"], "format": "simple"})
    await put(tocsin, "ml", {"webhook_id": webhook["id"], "format": "template"})
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"settings": {"format": "cloudevents"}})).ok()
    await tocsin.send(pipeline="ml")
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.json["specversion"] == "1.0"


async def test_templates_and_mute_hours_are_as_in_a_rule(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook)
    (told,) = await put(
        tocsin,
        "etl",
        {"webhook_id": webhook["id"], "mute": [{"start": "00:00", "end": "23:59"}], "group": {"wait_s": 5}},
    )
    assert told["group"] == {"wait_s": 5.0}
    assert told["mute"] == [{"start": "00:00", "end": "23:59"}]


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"webhook_id": "whk_nobody"}, "notifications[0].webhook_id"),
        ({"events": [""]}, "notifications[0].events[0]"),
        ({"condition": "event."}, "notifications[0].condition"),
        ({"labels": {"env": ""}}, "notifications[0].labels.env[0]"),
        ({"format": "morse"}, "notifications[0].format"),
        ({"format": "template"}, "notifications[0].format"),
        ({"mentions": True}, "notifications[0].mentions"),
        ({"window": {"kind": "success_rate", "below": 0.9}}, "notifications[0].window.runs"),
        ({"retry": {}}, "notifications[0].retry"),
    ],
    ids=str,
)
async def test_what_is_refused_is_named_and_nothing_is_changed(
    standing: Running, entry: dict[str, Any], field: str
) -> None:
    webhook = await standing.webhook("https://example.com/a")
    kept = await put(standing, "etl", {"webhook_id": webhook["id"]})
    body = {"notifications": [{"webhook_id": webhook["id"]} | entry]}
    (await standing.client.request("PUT", path("etl"), body)).problem(400, field)
    assert (await standing.client.get(path("etl"))).ok()["notifications"] == kept


async def test_providers_say_what_they_can(tocsin: Running) -> None:
    chat = await tocsin.webhook(tocsin.receiver.slack())
    body = {"notifications": [{"webhook_id": chat["id"], "format": "simple"}]}
    problem = (await tocsin.client.request("PUT", path("etl"), body)).problem(400, "notifications[0].format")
    assert "rich or plain" in problem["detail"]
    body = {"notifications": [{"webhook_id": chat["id"], "mentions": "nobody at all"}]}
    (await tocsin.client.request("PUT", path("etl"), body)).problem(400)


async def test_several_at_once_leave_one_of_them(tocsin: Running) -> None:
    webhook = await tocsin.webhook(tocsin.receiver.hook("/a"))
    body = {"notifications": [{"webhook_id": webhook["id"]}]}
    await asyncio.gather(*(tocsin.client.request("PUT", path("etl"), body) for _ in range(8)))
    assert len((await tocsin.client.get(path("etl"))).ok()["notifications"]) == 1


async def test_who_may(tocsin: Running) -> None:
    # S3-09; case 39
    webhook = await tocsin.webhook(tocsin.receiver.hook("/a"))
    await put(tocsin, "etl", {"webhook_id": webhook["id"]})
    viewer = await tocsin.as_("viewer")
    (await viewer.get(path("etl"))).ok()
    (await viewer.request("PUT", path("etl"), {"notifications": []})).problem(403)
    (await viewer.delete(path("etl"))).problem(403)
    other = await tocsin.as_("admin", tenant="other")
    assert (await other.get(path("etl"))).ok()["notifications"] == []
    (await other.delete(path("etl"))).problem(404)
    body = {"notifications": [{"webhook_id": webhook["id"]}]}
    (await other.request("PUT", path("etl"), body)).problem(400, "notifications[0].webhook_id")


# Those that were seen.


async def test_pipelines_by_name_with_how_they_went(tocsin: Running) -> None:
    for name, type_, run_id in [
        ("b", "run.succeeded", "1"),
        ("b", "run.failed", "2"),
        ("a/x", "run.started", "1"),
        ("ç", "run.cancelled", "1"),
    ]:
        tocsin.clock.move(1)
        await tocsin.send(type=type_, pipeline=name, run_id=run_id)
    tocsin.clock.move(1)
    await tocsin.send(type="run.started", pipeline="b", run_id="3")
    await tocsin.send(type="alert", pipeline="no runs")
    found = (await tocsin.client.get("/v1/pipelines")).ok()
    items = {one["name"]: one for one in found["items"]}
    assert set(items) == {"a/x", "b", "ç"}
    b = items["b"]
    assert (b["last_status"], b["runs"], b["succeeded"], b["failed"]) == ("failed", 2, 1, 1)
    assert b["last_finished_at"] is not None
    assert (items["a/x"]["last_status"], items["a/x"]["runs"]) == ("running", 0)
    assert items["a/x"]["notifications"] == path("a/x")
    assert items["ç"]["last_status"] == "cancelled"
    one = (await tocsin.client.get("/v1/pipelines?limit=1")).ok()
    names = [one["items"][0]["name"]]
    while one["next"]:
        one = (await tocsin.client.get(f"/v1/pipelines?limit=1&cursor={one['next']}")).ok()
        names += [item["name"] for item in one["items"]]
    assert sorted(names) == sorted(items)
    other = await tocsin.as_("viewer", tenant="other")
    assert (await other.get("/v1/pipelines")).ok()["items"] == []
    (await tocsin.client.get("/v1/pipelines?cursor=%C3%BC")).problem(400, "cursor")
