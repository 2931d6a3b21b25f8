"""Many at once, nobody acts on more than they have seen; and what was deleted comes back."""

from typing import Any

import pytest

from tests.harness import Answer, Client, Running
from tocsin.web.api import bulk

pytestmark = pytest.mark.anyio


async def act(client: Client, path: str, body: dict[str, Any]) -> Answer:
    """With the count that a dry run says."""
    looked = (await client.post(path, body | {"dry_run": True})).ok()
    assert (looked["changed"], looked["dry_run"]) == (0, True)
    return await client.post(path, body | {"expected": looked["count"]})


async def last_entries(tocsin: Running, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await tocsin.client.get(f"/v1/audit?limit={count}")).ok()["items"]
    return found


async def test_webhooks_by_filter(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    for name in ("etl one", "etl two", "other"):
        await tocsin.webhook(hook, name=name, enabled_events=["*"])
    done = (await act(tocsin.client, "/v1/webhooks/bulk", {"action": "disable", "name": "etl *"})).ok()
    assert (done["count"], done["changed"], len(done["ids"])) == (2, 2, 2)
    (entry,) = await last_entries(tocsin, 1)
    assert (entry["action"], entry["after"]["count"], entry["after"]["name"]) == ("webhook.change_many", 2, "etl *")
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    (await act(tocsin.client, "/v1/webhooks/bulk", {"action": "enable", "is_active": False})).ok()
    await tocsin.send()
    await tocsin.settle()
    hook.expect(3)


async def test_what_was_deleted_comes_back(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook)
    rule = await tocsin.rule(webhook, event_types=["run.failed"])
    client = tocsin.client
    (await act(client, "/v1/alert-rules/bulk", {"action": "delete", "webhook_id": webhook["id"]})).ok()
    (await act(client, "/v1/webhooks/bulk", {"action": "delete", "ids": [webhook["id"]]})).ok()
    for path, thing in (("/v1/webhooks", webhook), ("/v1/alert-rules", rule)):
        (await client.get(f"{path}/{thing['id']}")).problem(404)
        assert (await client.get(path)).ok()["items"] == []
        (deleted,) = (await client.get(f"{path}?deleted=true")).ok()["items"]
        assert deleted["id"] == thing["id"]
    await tocsin.send()
    restored = (await client.post(f"/v1/webhooks/{webhook['id']}/restore")).ok()
    assert restored | {"updated_at": ""} == {k: v for k, v in webhook.items() if k != "secret"} | {"updated_at": ""}
    (await act(client, "/v1/alert-rules/bulk", {"action": "restore", "ids": [rule["id"]]})).ok()
    (await client.post(f"/v1/webhooks/{webhook['id']}/restore")).problem(404)
    (await client.post(f"/v1/alert-rules/{rule['id']}/restore")).problem(404)
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)


async def test_a_schedule_comes_back_with_its_rule(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook)
    fields: dict[str, Any] = {"pipelines": ["etl"], "schedule": {"cron": "0 * * * *"}}
    rule = await tocsin.rule(webhook, event_types=["run.missed"], **fields)
    (await tocsin.client.delete(f"/v1/alert-rules/{rule['id']}")).ok(204)
    await tocsin.move(2 * 3600)
    hook.expect(0)
    (await tocsin.client.post(f"/v1/alert-rules/{rule['id']}/restore")).ok()
    await tocsin.move(2 * 3600)
    assert hook.all_new()


async def test_silences_end_together(tocsin: Running) -> None:
    for reason in ("deploy 1", "deploy 2", "other"):
        body = {"matchers": [{"field": "pipeline", "value": "etl"}], "duration_s": 600, "reason": reason}
        (await tocsin.client.post("/v1/silences", body)).ok(201)
    assert (await act(tocsin.client, "/v1/silences/bulk", {"action": "end", "reason": "deploy*"})).ok()["changed"] == 2
    open_ = (await tocsin.client.get("/v1/silences?status=open")).ok()["items"]
    assert [silence["reason"] for silence in open_] == ["other"]


async def test_deliveries_that_wait_are_cancelled(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    for _ in range(3):
        await tocsin.send()
        await tocsin.settle()
    body = {"webhook_id": webhook["id"]}
    assert (await act(tocsin.client, "/v1/deliveries/cancel", body)).ok()["changed"] == 3
    assert await tocsin.statuses() == {"cancelled": 3}
    hook.always(200)
    replay = body | {"status": ["cancelled"]}
    (await tocsin.client.post("/v1/deliveries/replay", replay | {"expected": 2})).problem(409)
    (await tocsin.client.post("/v1/deliveries/replay", replay | {"expected": 3})).ok(202)
    await tocsin.settle()
    assert await tocsin.statuses() == {"delivered": 3}
    hook.expect(6)


async def test_nothing_is_done_where_the_count_is_another(tocsin: Running) -> None:
    await tocsin.webhook(tocsin.receiver.hook("/hook"))
    before = await last_entries(tocsin, 1)
    for expected in (0, 2):
        body = {"action": "delete", "name": "*", "expected": expected}
        problem = (await tocsin.client.post("/v1/webhooks/bulk", body)).problem(409)
        assert "1 fit" in problem["detail"]
    assert len((await tocsin.client.get("/v1/webhooks")).ok()["items"]) == 1
    assert await last_entries(tocsin, 1) == before


PATHS = {
    "/v1/webhooks/bulk": {"action": "delete"},
    "/v1/alert-rules/bulk": {"action": "delete"},
    "/v1/silences/bulk": {"action": "end"},
    "/v1/deliveries/cancel": {},
}


@pytest.mark.parametrize("path", PATHS)
async def test_what_cannot_be_asked(standing: Running, path: str) -> None:
    post = standing.client.post
    (await post(path, PATHS[path] | {"dry_run": True})).problem(400, "")
    (await post(path, PATHS[path] | {"ids": ["x"]})).problem(400, "expected")
    (await post(path, PATHS[path] | {"ids": [], "dry_run": True})).problem(400, "ids")
    (await post(path, PATHS[path] | {"ids": ["x"], "expected": -1})).problem(400, "expected")
    (await post(path, PATHS[path] | {"colour": "red", "dry_run": True})).problem(400, "colour")
    if "action" in PATHS[path]:
        (await post(path, {"action": "explode", "ids": ["x"], "dry_run": True})).problem(400, "action")


async def test_one_request_is_bounded(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST", 1)
    for _ in range(2):
        await tocsin.rule()
    (await tocsin.client.post("/v1/alert-rules/bulk", {"action": "delete", "name": "*", "dry_run": True})).problem(400)


async def test_only_what_is_ones_own(tocsin: Running) -> None:
    # S4-10 S1-15
    mia, joe = await tocsin.as_("developer", user="mia"), await tocsin.as_("developer", user="joe")
    other = await tocsin.as_("admin", tenant="other")
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, client=mia)
    for client in (joe, other):
        body = {"action": "delete", "ids": [webhook["id"]], "dry_run": True}
        assert (await client.post("/v1/webhooks/bulk", body)).ok()["count"] == 0
    (await mia.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    for client in (joe, other):
        (await client.post(f"/v1/webhooks/{webhook['id']}/restore")).problem(404)
        assert (await client.get("/v1/webhooks?deleted=true")).ok()["items"] == []
    (await mia.post(f"/v1/webhooks/{webhook['id']}/restore")).ok()
