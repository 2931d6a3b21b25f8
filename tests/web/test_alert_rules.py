"""Rules and webhooks over the API: made, changed, deleted; what is wrong is named."""

from typing import Any

import pytest

from tests.harness import Running

pytestmark = pytest.mark.anyio

URL = "https://example.com/hooks/orders"


async def test_the_life_of_a_rule(tocsin: Running) -> None:
    # S4-01 S4-03 S0-04
    client = tocsin.client
    webhook = await tocsin.webhook(URL)
    given = {
        "name": "orders",
        "event_types": ["run.failed", "run.exceeded"],
        "pipelines": ["etl/*"],
        "labels": {"env": "prod"},
        "condition": "data.rows < 10",
        "webhook_endpoint_ids": [webhook["id"]],
        "is_active": False,
        "retry": {"max_attempts": 3, "base_s": 1.5, "cap_s": 60},
        "rate_limit": {"count": 5, "per_s": 60},
    }
    created = (await client.post("/v1/alert-rules", given)).ok(201)
    assert {name: created[name] for name in given} == given
    assert created["id"].startswith("rul_")
    assert (await client.get(f"/v1/alert-rules/{created['id']}")).ok() == created
    assert (await client.get("/v1/alert-rules")).ok() == {"items": [created], "next": None}
    path = f"/v1/alert-rules/{created['id']}"
    changed = (await client.patch(path, {"name": "all orders", "condition": None, "retry": None})).ok()
    same = {"name", "condition", "retry", "updated_at"}
    assert (changed["name"], changed["condition"], changed["retry"]) == ("all orders", "", {})
    assert {n: v for n, v in changed.items() if n not in same} == {n: v for n, v in created.items() if n not in same}
    short = (await client.patch(path, {"event_type": "run.*", "rate_limit": None})).ok()
    assert (short["event_types"], short["rate_limit"]) == (["run.*"], None)
    (await client.delete(path)).ok(204)
    for answer in (await client.get(path), await client.patch(path, {"name": "x"}), await client.delete(path)):
        answer.problem(404)
    assert (await client.get("/v1/alert-rules")).ok()["items"] == []


async def test_a_change_counts_for_the_next_event(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    rule = await tocsin.rule(await tocsin.webhook(hook), event_type="run.failed")
    path = f"/v1/alert-rules/{rule['id']}"
    expected = 0
    for patch, counts in (
        ({"event_type": "run.started"}, False),
        ({"event_types": ["run.failed"]}, True),
        ({"is_active": False}, False),
        ({"is_active": True}, True),
        ({"condition": "false"}, False),
        ({"condition": ""}, True),
        ({"labels": {"a": "b"}}, False),
    ):
        (await tocsin.client.patch(path, patch)).ok()
        await tocsin.send()
        expected += counts
        await tocsin.settle()
        assert len(hook.received) == expected, patch
    (await tocsin.client.patch(path, {"labels": {}})).ok()
    (await tocsin.client.delete(path)).ok(204)
    await tocsin.send()
    await tocsin.settle()
    hook.expect(expected)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": 1}, "name"),
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": "x", "tenant_id": "other"}, "tenant_id"),
        ({"name": "x", "id": "rul_1"}, "id"),
        ({"name": "x", "created_by": "root"}, "created_by"),
        ({"name": "x", "event_types": [""]}, "event_types[0]"),
        ({"name": "x", "event_types": ["a\x00"]}, "event_types[0]"),
        ({"name": "x", "event_types": ["*" * 9]}, "event_types[0]"),
        ({"name": "x", "event_types": ["ok", "x" * 257]}, "event_types[1]"),
        ({"name": "x", "event_types": ["x"] * 101}, "event_types"),
        ({"name": "x", "pipelines": ["\x00"]}, "pipelines[0]"),
        ({"name": "x", "labels": {"\x00": "a"}}, "labels"),
        ({"name": "x", "labels": {"a": "\x00"}}, "labels.a[0]"),
        ({"name": "x", "labels": {str(n): "a" for n in range(33)}}, "labels"),
        ({"name": "x", "condition": "data.rows <"}, "condition"),
        ({"name": "x", "condition": "data.rows"}, "condition"),
        ({"name": "x", "condition": "event.colour == 'red'"}, "condition"),
        ({"name": "x", "condition": "data.x == 'a\x00b'"}, "condition"),
        ({"name": "x", "condition": "x" * 3000}, "condition"),
        ({"name": "x", "condition": "[1,2].all(a, [1,2].all(b, [1,2].all(c, a + b + c > 0)))"}, "condition"),
        ({"name": "x", "webhook_endpoint_ids": ["\x00"]}, "webhook_endpoint_ids"),
        ({"name": "x", "webhook_endpoint_ids": ["whk_1"]}, "webhook_endpoint_ids[0]"),
        ({"name": "x", "webhook_endpoint_ids": [f"whk_{n}" for n in range(101)]}, "webhook_endpoint_ids"),
        ({"name": "x", "retry": {"max_attempts": 0}}, "retry.max_attempts"),
        ({"name": "x", "retry": {"base_s": 1e9}}, "retry.base_s"),
        ({"name": "x", "retry": {"tries": 3}}, "retry.tries"),
        ({"name": "x", "rate_limit": {"count": 0}}, "rate_limit.count"),
        ({"name": "x", "rate_limit": {"count": 1, "per_s": 0}}, "rate_limit.per_s"),
        ({"name": "x", "rate_limit": {}}, "rate_limit.count"),
    ],
)
async def test_rules_that_cannot_be(standing: Running, rule: dict[str, Any], field: str) -> None:
    # S04 S17
    (await standing.client.post("/v1/alert-rules", rule)).problem(400, field)
    (await standing.client.post("/v1/alert-rules/preview", rule)).problem(400, field)
    if rule:
        kept = await standing.rule(name="kept")
        (await standing.client.patch(f"/v1/alert-rules/{kept['id']}", rule)).problem(400, field)
        assert (await standing.client.get(f"/v1/alert-rules/{kept['id']}")).ok() == kept
        (await standing.client.delete(f"/v1/alert-rules/{kept['id']}")).ok(204)
    assert (await standing.client.get("/v1/alert-rules")).ok()["items"] == []


async def test_the_life_of_a_webhook(tocsin: Running) -> None:
    # S1-10 S4-01 S1-14
    client = tocsin.client
    given = {
        "provider_type": "webhook",
        "name": "orders",
        "webhook_url": URL,
        "description": "for the data team",
        "enabled_events": ["run.*"],
        "settings": {"format": "simple"},
        "is_active": True,
        "headers": {"X-Team": "data"},
    }
    created = (await client.post("/v1/webhooks", given)).ok(201)
    secret = created.pop("secret")
    assert secret.startswith("whsec_")
    assert created["webhook_url"] == "…" + URL[-10:]
    assert created["settings"]["format"] == "simple"
    assert created["headers"] == {"X-Team": "***"}
    assert (created["consecutive_failures"], created["last_used_at"], created["last_error"]) == (0, None, "")
    path = f"/v1/webhooks/{created['id']}"
    assert (await client.get(path)).ok() == created
    assert (await client.get("/v1/webhooks?provider_type=webhook")).ok() == {"items": [created], "next": None}
    assert (await client.get("/v1/webhooks?provider_type=slack")).ok() == {"items": [], "next": None}
    patch = {"name": "renamed", "description": "", "enabled_events": [], "headers": {}, "webhook_url": URL + "/2"}
    changed = (await client.patch(path, patch)).ok()
    assert changed["webhook_url"] == "…" + (URL + "/2")[-10:]
    assert {name: changed[name] for name in ("name", "description", "enabled_events", "headers")} == {
        "name": "renamed", "description": "", "enabled_events": [], "headers": {},
    }  # fmt: skip
    assert (await client.post(f"{path}/disable")).ok()["is_active"] is False
    assert (await client.post(f"{path}/enable")).ok()["is_active"] is True
    (await client.delete(path)).ok(204)
    for method, route in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/enable")):
        (await client.request(method, path + route, {})).problem(404)
    assert (await client.get("/v1/webhooks")).ok()["items"] == []


async def test_a_change_of_the_address_counts_for_the_next_message(tocsin: Running) -> None:
    one, two = tocsin.receiver.hook("/one"), tocsin.receiver.hook("/two")
    webhook = await tocsin.webhook(one, enabled_events=["*"])
    await tocsin.send()
    await tocsin.settle()
    one.expect(1)
    path = f"/v1/webhooks/{webhook['id']}"
    (await tocsin.client.patch(path, {"webhook_url": two.url, "headers": {"X-New": "yes"}})).ok()
    await tocsin.send()
    await tocsin.settle()
    (message,) = two.expect(1)
    assert message.headers["x-new"] == "yes"


async def test_a_change_of_the_address_counts_for_what_waits(tocsin: Running) -> None:
    one, two = tocsin.receiver.hook("/one"), tocsin.receiver.hook("/two")
    webhook = await tocsin.webhook(one, enabled_events=["*"])
    one.always(500)
    await tocsin.send()
    await tocsin.settle()
    one.expect(1)
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"webhook_url": two.url})).ok()
    await tocsin.wait_out()
    two.expect(1)


GOOD: dict[str, Any] = {"provider_type": "webhook", "name": "x", "webhook_url": URL}


@pytest.mark.parametrize(
    ("webhook", "field"),
    [
        ({"name": "x", "webhook_url": URL}, "provider_type"),
        (GOOD | {"provider_type": "pigeon"}, "provider_type"),
        ({"provider_type": "webhook", "webhook_url": URL}, "name"),
        ({"provider_type": "webhook", "name": "x"}, "webhook_url"),
        (GOOD | {"name": "\x00"}, "name"),
        (GOOD | {"description": "\x00"}, "description"),
        (GOOD | {"description": "x" * 2001}, "description"),
        (GOOD | {"enabled_events": ["\x00"]}, "enabled_events[0]"),
        (GOOD | {"enabled_events": "run.*"}, "enabled_events"),
        (GOOD | {"settings": {"formt": "simple"}}, "settings.formt"),
        (GOOD | {"settings": {"format": "xml"}}, "settings.format"),
        (GOOD | {"settings": {"template": "a\x00b"}}, "settings"),
        (GOOD | {"settings": {"signature_header": "Host"}}, "settings.signature_header"),
        (GOOD | {"settings": {"signature_header": "a b"}}, "settings.signature_header"),
        (GOOD | {"secret": "short"}, "secret"),
        (GOOD | {"secret": "whsec_!!"}, "secret"),
        (GOOD | {"user_id": "root"}, "user_id"),
        (GOOD | {"tenant_id": "other"}, "tenant_id"),
        (GOOD | {"consecutive_failures": 0}, "consecutive_failures"),
        (GOOD | {"headers": {f"X-{n}": "a" for n in range(33)}}, "headers"),
    ],
)
async def test_webhooks_that_cannot_be(standing: Running, webhook: dict[str, Any], field: str) -> None:
    # S04 S1-14
    answer = await standing.client.post("/v1/webhooks", webhook)
    answer.problem(400, field)
    assert b"!!" not in answer.body
    assert (await standing.client.get("/v1/webhooks")).ok()["items"] == []


async def test_there_is_no_end_to_webhooks_in_pages(tocsin: Running) -> None:
    made = [(await tocsin.webhook(URL, name=f"w{n}"))["id"] for n in range(7)]
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await tocsin.client.get(f"/v1/webhooks?limit=3&cursor={cursor}")).ok()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert seen == made


async def test_a_slack_webhook_has_no_secret_to_rotate(tocsin: Running) -> None:
    webhook = await tocsin.webhook(tocsin.receiver.slack())
    assert "secret" not in webhook
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/rotate-secret", {})).problem(409)


async def test_settings_of_slack(tocsin: Running) -> None:
    # S1-18
    settings = {"mention_on_failure": True, "use_rich_formatting": False, "include_action_buttons": False}
    webhook = await tocsin.webhook(tocsin.receiver.slack(), settings=settings)
    assert webhook["settings"] == settings
    body = {"settings": {"mention_on_failure": "yes"}}
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", body)).problem(400, "settings.mention_on_failure")


async def test_when_a_rule_fired_last(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook)
    rule = await tocsin.rule(webhook, event_types=["run.failed"])
    path = f"/v1/alert-rules/{rule['id']}"
    first = await tocsin.client.get(path)
    assert first.ok()["last_fired_at"] is None
    noted = []
    for seconds in (0, 30, 31, 60):  # noted to the minute
        await tocsin.move(seconds)
        await tocsin.send(type="run.failed")
        noted.append((await tocsin.client.get(path)).ok()["last_fired_at"])
    assert noted[0] == noted[1] < noted[2] < noted[3]
    await tocsin.send(type="run.succeeded")
    (listed,) = (await tocsin.client.get("/v1/alert-rules")).ok()["items"]
    assert listed["last_fired_at"] == noted[-1]
    await tocsin.settle()
    hook.expect(4)
    # Nobody's change is refused because it fired meanwhile, and no file of configuration says it.
    changed = await tocsin.client.request("PATCH", path, {"name": "x"}, headers={"if-match": first.headers["etag"]})
    assert changed.ok()["name"] == "x"
    assert "last_fired_at" not in str((await tocsin.client.get("/v1/audit?action=rule.update")).ok())
