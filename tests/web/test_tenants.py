"""Tenants know nothing of each other, and users see their own webhooks."""

import re
from typing import Any

import pytest

from tests.harness import Client, Hook, Running
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio

NOWHERE = {
    "/v1/events": "evt_00000000000070008000000000000000",
    "/v1/runs": "run_00000000000070008000000000000000",
    "/v1/webhooks": "whk_00000000000070008000000000000000",
    "/v1/alert-rules": "rul_00000000000070008000000000000000",
    "/v1/deliveries": "dlv_00000000000070008000000000000000",
    "/v1/tokens": "tok_00000000000070008000000000000000",
    "/v1/inbox": "dlv_00000000000070008000000000000000",
    "/v1/silences": "sil_00000000000070008000000000000000",
    "/v1/sources": "src_00000000000070008000000000000000",
    "/v1/flows": "nothing",  # of a folder: see tests/flows/test_server.py
    "/auth/sessions": "ses_00000000000070008000000000000000",
}
"""An id that nobody has, for each resource with ids in its paths. A new resource needs its line here."""

BODIES = {
    ("PATCH", "/v1/webhooks/{id}"): {"name": "mine now"},
    ("POST", "/v1/webhooks/{id}/rotate-secret"): {"overlap_s": 0},
    ("POST", "/v1/webhooks/{id}/recover"): {"since": "2026-01-01T00:00:00Z"},
    ("POST", "/v1/tokens/{id}/rotate"): {"overlap_s": 0},
    ("PATCH", "/v1/alert-rules/{id}"): {"name": "mine now"},
    ("POST", "/v1/alert-rules/{id}/test"): {"type": "run.failed"},
    ("PATCH", "/v1/silences/{id}"): {"reason": "mine now"},
    ("PATCH", "/v1/sources/{id}"): {"name": "mine now"},
}


async def furnish(tocsin: Running, client: Client, hook: Hook, name: str) -> dict[str, str]:
    """One of everything; returns the ids."""
    webhook = await tocsin.webhook(hook, client, name=f"webhook of {name}")
    rule = await tocsin.rule(webhook, client=client, name=f"rule of {name}")
    event = await tocsin.send(client, id=f"event-of-{name}", pipeline=f"pipeline-of-{name}", run_id="r1")
    await tocsin.settle()
    hook.expect(1)
    (run,) = (await client.get("/v1/runs")).ok()["items"]
    (delivery,) = (await client.get("/v1/deliveries")).ok()["items"]
    token = (await client.post("/v1/tokens", {"name": f"token of {name}", "role": "viewer"})).ok(201)
    quiet = {"matchers": [{"field": "pipeline", "value": f"quiet-{name}"}], "duration_s": 60}
    silence = (await client.post("/v1/silences", quiet)).ok(201)
    source = (await client.post("/v1/sources", {"kind": "github", "name": f"source of {name}"})).ok(201)
    uid = (await client.get(f"/v1/events/{event['id']}")).ok()["uid"]
    return {
        "/v1/events": uid,
        "/v1/events by the source's id": event["id"],
        "/v1/runs": run["id"],
        "/v1/webhooks": webhook["id"],
        "/v1/alert-rules": rule["id"],
        "/v1/deliveries": delivery["id"],
        "/v1/tokens": token["id"],
        "/v1/silences": silence["id"],
        "/v1/sources": source["id"],
    }


async def everything(client: Client) -> dict[str, bytes]:
    """What a tenant's admin can see; when tokens were used is noted now and then."""
    lists = [
        "/v1/events",
        "/v1/runs",
        "/v1/webhooks",
        "/v1/alert-rules",
        "/v1/deliveries",
        "/v1/tokens",
        "/v1/silences",
        "/v1/sources",
    ]
    return {path: re.sub(rb'"last_used_at":[^}]*', b"", (await client.get(path)).body) for path in lists}


async def test_every_route_with_every_id_of_another_tenant(tocsin: Running) -> None:
    # S4-10 S03 S34
    mine, theirs = await tocsin.as_("admin", "mine"), await tocsin.as_("admin", "theirs")
    await furnish(tocsin, mine, tocsin.receiver.hook("/mine"), "mine")
    ids = await furnish(tocsin, theirs, tocsin.receiver.hook("/theirs"), "theirs")
    before = await everything(theirs)
    asked = 0
    for route in ROUTES:
        named = any(one in route.path for one in ("{name}", "{user}", "{tenant}", "{namespace}"))
        if "{" not in route.path or named:
            # names are nobody's: see test_pipelines.py, test_config.py, test_members.py; flows are files
            continue
        if route.path.startswith(("/ping/", "/v1/ingest/")):  # a key or a kind, and no id
            continue
        resource = "/".join(route.path.split("/")[:3])
        body = BODIES.get((route.method, route.path))
        absent = await mine.request(route.method, re.sub(r"{\w+}", NOWHERE[resource], route.path), body)
        assert absent.status == 404, (route.method, route.path, absent.body)
        for name, id_ in ids.items():
            answer = await mine.request(route.method, re.sub(r"{\w+}", id_, route.path), body)
            assert answer.status == 404, (route.method, route.path, name)
            assert answer.said == absent.said, (route.method, route.path, name)
            asked += 1
    assert asked > 100
    await tocsin.wait_out()
    assert await everything(theirs) == before


async def test_lists_and_filters_show_nothing_of_another_tenant(tocsin: Running) -> None:
    # S4-10 S03
    mine, theirs = await tocsin.as_("admin", "mine"), await tocsin.as_("admin", "theirs")
    ids = await furnish(tocsin, theirs, tocsin.receiver.hook("/theirs"), "theirs")
    for path, body in (await everything(mine)).items():
        assert b"theirs" not in body, path
        assert not any(id_.encode() in body for id_ in ids.values()), path
    filters = [
        f"/v1/deliveries?webhook_id={ids['/v1/webhooks']}",
        f"/v1/deliveries?rule_id={ids['/v1/alert-rules']}",
        f"/v1/deliveries?event_id={ids['/v1/events']}",
        "/v1/deliveries?event_id=event-of-theirs",
        f"/v1/deliveries?cursor=dlv_{'f' * 32}",
        "/v1/events?pipeline=pipeline-of-theirs",
        f"/v1/events?cursor=evt_{'f' * 32}",
        "/v1/runs?pipeline=pipeline-of-theirs",
    ]
    for path in filters:
        assert (await mine.get(path)).ok() == {"items": [], "next": None}, path
    since = {"since": "2020-01-01T00:00:00Z", "status": ["delivered"]}
    for asked in (since, since | {"webhook_id": ids["/v1/webhooks"]}, since | {"rule_id": ids["/v1/alert-rules"]}):
        assert (await mine.post("/v1/deliveries/replay", asked)).ok(202)["count"] == 0
    preview = (await mine.post("/v1/alert-rules/preview", {"name": "all"})).ok()
    assert {name: preview[name] for name in ("events", "matched", "items")} == {"events": 0, "matched": 0, "items": []}


async def test_a_rule_cannot_lead_to_another_tenants_webhook(tocsin: Running) -> None:
    # S4-10 S03: nested references
    mine, theirs = await tocsin.as_("admin", "mine"), await tocsin.as_("admin", "theirs")
    hook = tocsin.receiver.hook("/theirs")
    webhook = await tocsin.webhook(hook, theirs)
    own_rule = await tocsin.rule(client=mine)
    problems = []
    for id_ in (webhook["id"], NOWHERE["/v1/webhooks"]):
        answers = [
            await mine.post("/v1/alert-rules", {"name": "x", "webhook_endpoint_ids": [id_]}),
            await mine.post("/v1/alert-rules", {"name": "x", "webhook_endpoint_id": id_}),
            await mine.post("/v1/alert-rules/preview", {"name": "x", "webhook_endpoint_id": id_}),
            await mine.patch(f"/v1/alert-rules/{own_rule['id']}", {"webhook_endpoint_ids": [id_]}),
        ]
        for answer in answers:
            answer.problem(400, "webhook_endpoint_ids[0]")
        problems.append([answer.said.replace(id_.encode(), b"ID") for answer in answers])
    assert problems[0] == problems[1]
    await tocsin.send(mine)
    await tocsin.settle()
    hook.expect(0)


async def test_the_same_event_of_two_tenants_is_two_events(tocsin: Running) -> None:
    mine, theirs = await tocsin.as_("developer", "mine"), await tocsin.as_("developer", "theirs")
    hooks = [tocsin.receiver.hook("/mine"), tocsin.receiver.hook("/theirs")]
    for client, hook in zip((mine, theirs), hooks, strict=True):
        await tocsin.webhook(hook, client, enabled_events=["*"])
        assert (await tocsin.send(client, id="same", pipeline="p", run_id="r"))["duplicate"] is False
    await tocsin.settle()
    for hook in hooks:
        hook.expect(1)


async def test_tokens_are_made_for_ones_own_tenant(tocsin: Running) -> None:
    mine, theirs = await tocsin.as_("admin", "mine"), await tocsin.as_("admin", "theirs")
    made = (await mine.post("/v1/tokens", {"name": "ci", "role": "admin"})).ok(201)
    await tocsin.webhook(tocsin.receiver.hook("/theirs"), theirs)
    assert (await tocsin.client.with_token(made["token"]).get("/v1/webhooks")).ok()["items"] == []


async def test_a_notice_of_one_tenant_is_not_told_to_another(tocsin: Running) -> None:
    mine, theirs = await tocsin.as_("admin", "mine"), await tocsin.as_("admin", "theirs")
    gone, owner, other = (tocsin.receiver.hook(path) for path in ("/gone", "/owner", "/other"))
    await tocsin.webhook(gone, mine, enabled_events=["run.*"])
    await tocsin.webhook(owner, mine, enabled_events=["endpoint.*"])
    await tocsin.webhook(other, theirs, enabled_events=["*"])
    gone.answer(410)
    await tocsin.send(mine)
    await tocsin.settle()
    gone.expect(1)
    owner.expect(1)
    other.expect(0)


async def test_users_see_their_own_webhooks(tocsin: Running) -> None:
    # S1-15
    mia, ben = await tocsin.as_("developer", user="mia"), await tocsin.as_("developer", user="ben")
    viewer, admin = await tocsin.as_("viewer", user="mia"), await tocsin.as_("admin", user="root")
    hooks = [tocsin.receiver.hook("/mia"), tocsin.receiver.hook("/ben")]
    of_mia, of_ben = await tocsin.webhook(hooks[0], mia), await tocsin.webhook(hooks[1], ben)
    assert (of_mia["user_id"], of_ben["user_id"]) == ("mia", "ben")

    async def seen(client: Client) -> set[str]:
        return {item["id"] for item in (await client.get("/v1/webhooks")).ok()["items"]}

    assert await seen(mia) == {of_mia["id"]}
    assert await seen(viewer) == {of_mia["id"]}
    assert await seen(ben) == {of_ben["id"]}
    assert await seen(admin) == {of_mia["id"], of_ben["id"]}
    for route in ROUTES:
        if route.path.startswith("/v1/webhooks/{id}"):
            body: Any = BODIES.get((route.method, route.path))
            path = route.path.replace("{id}", of_ben["id"])
            theirs = await mia.request(route.method, path, body)
            absent = await mia.request(route.method, route.path.replace("{id}", NOWHERE["/v1/webhooks"]), body)
            assert (theirs.status, theirs.said) == (404, absent.said), (route.method, route.path)
    path = f"/v1/webhooks/{of_ben['id']}"
    assert (await admin.get(path)).ok() == (await ben.get(path)).ok()
    (await admin.patch(path, {"name": "renamed"})).ok()
    assert (await ben.get(path)).ok()["name"] == "renamed"
