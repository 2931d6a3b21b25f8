"""Configuration as a whole over the API: what there is, what differs, what that would change."""

from typing import Any

import pytest

from tests.harness import Running, Start

pytestmark = pytest.mark.anyio

URL = "https://example.com/hooks/orders"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def compared(tocsin: Running, webhook: dict[str, Any], **other: Any) -> list[str]:
    """Which fields differ from what they are."""
    same = {"id": webhook["id"], "name": "orders", "provider_type": webhook["provider_type"], "webhook_url": URL}
    answer = await tocsin.client.post("/v1/config/compare", {"endpoints": [same | other]})
    (item,) = answer.ok()["items"]
    assert (item["id"], item["name"]) == (webhook["id"], (same | other)["name"])
    found: list[str] = item["changed"]
    return found


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        ({}, []),
        ({"name": "other"}, ["name"]),
        ({"description": "x"}, ["description"]),
        ({"webhook_url": "https://other.example.com/hooks/orders"}, ["webhook_url"]),
        ({"webhook_url": None}, []),
        ({"enabled_events": ["run.*"]}, ["enabled_events"]),
        ({"settings": {"format": "simple"}}, ["settings"]),
        ({"is_active": False}, ["is_active"]),
        ({"secret": SECRET}, ["secret"]),
        ({"headers": {"X-Key": "a"}}, ["headers"]),
        ({"headers": {}}, []),
        ({"headers": None}, []),
        ({"digest": {"every": "week"}}, ["digest"]),
        ({"templates": {"title": "x"}}, ["templates"]),
    ],
)
async def test_which_fields_differ(standing: Running, other: dict[str, Any], changed: list[str]) -> None:
    webhook = await standing.webhook(URL, name="orders")
    assert await compared(standing, webhook, **other) == changed


async def test_what_is_sealed_is_compared_as_a_whole(tocsin: Running) -> None:
    webhook = await tocsin.webhook(URL, name="orders", headers={"X-Key": "a"}, secret=SECRET)
    assert await compared(tocsin, webhook, headers={"X-Key": "a"}, secret=SECRET) == []
    assert await compared(tocsin, webhook, headers={"X-Key": "b"}, secret=SECRET[:-1] + "a") == ["secret", "headers"]
    bot = {"provider_type": "telegram", "name": "orders", "settings": {"bot_token": TOKEN, "chat_id": "@alerts"}}
    telegram = (await tocsin.client.post("/v1/webhooks", bot)).ok(201)
    seen = {"webhook_url": None, "settings": telegram["settings"]}
    assert await compared(tocsin, telegram, **seen) == []
    assert await compared(tocsin, telegram, webhook_url=None, settings=bot["settings"]) == []
    other = {"bot_token": TOKEN[:-1] + "x", "chat_id": "@alerts"}
    assert await compared(tocsin, telegram, webhook_url=None, settings=other) == ["settings"]


TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"provider_type": "pigeon"}, "endpoints[1].provider_type"),
        ({"webhook_url": ""}, "endpoints[1].webhook_url"),
        ({"settings": {"formt": "x"}}, "endpoints[1].settings.formt"),
        ({"headers": {"Host": "x"}}, None),
        ({"secret": "short"}, "endpoints[1].secret"),
        ({"colour": "red"}, "endpoints[1].colour"),
        ({"enabled_events": [""]}, "endpoints[1].enabled_events[0]"),
        ({"digest": {"time_zone": "Mars/Olympus"}}, "endpoints[1].digest.time_zone"),
    ],
)
async def test_what_cannot_be_is_named_with_its_place(standing: Running, wrong: dict[str, Any], field: str) -> None:
    good = {"provider_type": "webhook", "name": "a", "webhook_url": URL}
    answer = await standing.client.post("/v1/config/compare", {"endpoints": [good, good | wrong]})
    problem = answer.problem(400, field)
    assert problem["errors"][0]["field"].startswith("endpoints[1]")


async def test_a_provider_stays_what_it_is(tocsin: Running) -> None:
    webhook = await tocsin.webhook(URL, name="orders")
    given = {"id": webhook["id"], "provider_type": "discord", "name": "orders"}
    (await tocsin.client.post("/v1/config/compare", {"endpoints": [given]})).problem(400, "endpoints[0].provider_type")


async def test_nobody_compares_what_is_not_theirs(tocsin: Running) -> None:
    ana, bob = await tocsin.as_("developer", user="ana"), await tocsin.as_("developer", user="bob")
    other = await tocsin.as_("admin", tenant="other")
    webhook = await tocsin.webhook(URL, ana, name="orders")
    given = {"endpoints": [{"id": webhook["id"], "provider_type": "webhook", "name": "orders", "webhook_url": URL}]}
    (await ana.post("/v1/config/compare", given)).ok()
    (await bob.post("/v1/config/compare", given)).problem(404)
    (await other.post("/v1/config/compare", given)).problem(404)
    assert [one["name"] for one in (await ana.get("/v1/config")).ok()["endpoints"]] == ["orders"]
    assert (await bob.get("/v1/config")).ok()["endpoints"] == []
    found = (await other.get("/v1/config")).ok()
    assert {name: value for name, value in found.items() if name != "at"} == {
        "endpoints": [], "rules": [], "silences": [], "pipelines": {}, "preferences": {},
    }  # fmt: skip


async def test_only_an_admin_sees_and_sets_everybodys_preferences(tocsin: Running) -> None:
    ana = await tocsin.as_("developer", user="ana@example.com")
    (await ana.request("PUT", "/v1/preferences", {"email_enabled": False})).ok()
    assert (await ana.get("/v1/config")).ok()["preferences"] is None
    (await ana.request("PUT", "/v1/config/preferences/bob", {})).problem(403)
    path = "/v1/config/preferences/bob@example.com"
    found = (await tocsin.client.request("PUT", path, {"slack_enabled": False})).ok()
    assert (found["user_id"], found["slack_enabled"]) == ("bob@example.com", False)
    everybodys = (await tocsin.client.get("/v1/config")).ok()["preferences"]
    assert set(everybodys) == {"ana@example.com", "bob@example.com"}
    bob = await tocsin.as_("viewer", user="bob@example.com")
    assert (await bob.get("/v1/preferences")).ok() == found
    wrong = {"user_id": "somebody else"}
    (await tocsin.client.request("PUT", "/v1/config/preferences/bob@example.com", wrong)).problem(400, "user_id")


async def test_what_follows_from_the_environment_is_nobodys_to_keep(start: Start) -> None:
    tocsin = await start(SLACK_WEBHOOK_URL="https://hooks.slack.com/services/T0000000A/B0000000A/" + "A" * 24)
    assert len((await tocsin.client.get("/v1/webhooks")).ok()["items"]) == 1
    assert (await tocsin.client.get("/v1/config")).ok()["endpoints"] == []


# What it would change.


async def test_the_last_events_with_all_changes_together(tocsin: Running) -> None:
    """A new endpoint, a changed rule, a pipeline of its own and a rule that goes."""
    webhook = await tocsin.webhook("https://example.com/a", name="a", is_active=False)
    kept = await tocsin.rule(webhook, name="kept")
    gone = await tocsin.rule(webhook, name="gone", pipelines=["etl/orders"])
    for number in range(4):
        await tocsin.send(id=f"e{number}", pipeline="etl/orders", run_id=str(number))
    switched_on = {"id": webhook["id"], "provider_type": "webhook", "name": "a"}
    new = {"provider_type": "webhook", "name": "b", "webhook_url": "https://example.com/b", "enabled_events": ["run.*"]}
    asked: dict[str, Any] = {
        "endpoints": [switched_on, new],
        "rules": [
            {"id": kept["id"], "name": "kept", "webhook_endpoint_ids": [webhook["id"]], "changes": {}},
            {"name": "second", "webhook_endpoint_ids": ["new:b"], "condition": 'event.id == "e3"'},
            {"name": "off", "webhook_endpoint_ids": ["new:b"], "is_active": False},
        ],
        "deleted": [gone["id"]],
    }
    found = (await tocsin.client.post("/v1/config/preview", asked)).ok()
    # a: the first failure by "kept"; b: "second" by its condition, the other three by its own enabled events
    assert (found["events"], found["before"], found["after"]) == (4, 0, 5)
    assert found["change"] == "last 4 events: 0 → 5 notifications"
    assert [(one["rule"], one["before"], one["after"]) for one in found["rules"]] == [
        ("kept", 0, 1), ("second", 0, 1), ("off", 0, 0), ("gone", 0, 0),
    ]  # fmt: skip
    pipeline = {"name": "etl/orders", "notifications": [{"webhook_id": webhook["id"], "events": ["run.failed"]}]}
    found = (await tocsin.client.post("/v1/config/preview", {"endpoints": [switched_on], "pipelines": [pipeline]})).ok()
    assert (found["before"], found["after"]) == (0, 4)
    assert [one["name"] for one in (await tocsin.client.get("/v1/webhooks")).ok()["items"]] == ["a"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"rules": [{"name": "a", "condition": "data."}]}, "rules[0].condition"),
        ({"rules": [{"name": "a"}, {"name": "b", "window": {"kind": "metric", "name": "x"}}]}, "rules[1].window.above"),
        ({"endpoints": [{"provider_type": "pigeon", "name": "a"}]}, "endpoints[0].provider_type"),
        (
            {"pipelines": [{"name": "p", "notifications": [{"webhook_id": "x"}]}]},
            "pipelines[0].notifications[0].webhook_id",
        ),
        ({"last": 501}, "last"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_plans_that_cannot_be(standing: Running, asked: dict[str, Any], field: str) -> None:
    (await standing.client.post("/v1/config/preview", asked)).problem(400, field)


async def test_nothing_to_change_changes_nothing(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    found = (await tocsin.client.post("/v1/config/preview", {})).ok()
    assert (found["before"], found["after"], found["rules"]) == (1, 1, [])
