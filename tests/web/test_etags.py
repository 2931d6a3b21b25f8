"""ETags: what has not changed is not sent again, and nobody writes over what they have not seen."""

import asyncio
import re
from typing import Any, get_args

import pytest

from tests.harness import Answer, Client, Running
from tocsin.web.routes import Param
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio

NO_TAGS = {
    ("DELETE", "/v1/tokens/{id}"),
    ("PATCH", "/auth/session"),
    ("DELETE", "/auth/sessions"),
    ("DELETE", "/auth/sessions/{id}"),
}
"""What changes something without If-Match: tokens and sessions have nothing that two people could change at once."""


UNSEEN = {"/v1/config/preferences/{user}"}
"""Where nothing can be read, so that there is no tag: people read their own preferences elsewhere."""


async def things(tocsin: Running) -> dict[str, tuple[str, dict[str, Any]]]:
    """By path in the table of routes: where one is, and a change to it."""
    webhook = await tocsin.webhook(tocsin.receiver.hook("/hook"))
    rule = await tocsin.rule(webhook, event_types=["never"])
    silence = (
        await tocsin.client.post(
            "/v1/silences", {"matchers": [{"field": "pipeline", "value": "etl"}], "duration_s": 60}
        )
    ).ok(201)
    (await tocsin.client.post("/v1/secrets", {"name": "key", "value": "a secret value"})).ok(201)
    (await tocsin.client.post("/v1/members", {"user_id": "mia", "role": "viewer"})).ok(201)
    source = (await tocsin.client.post("/v1/sources", {"kind": "github", "name": "ci"})).ok(201)
    (await (await tocsin.operator()).post("/v1/tenants", {"id": "ml", "name": "ml"})).ok(201)
    told = {"notifications": [{"webhook_id": webhook["id"]}]}
    (await tocsin.client.request("PUT", "/v1/pipelines/etl/notifications", told)).ok()
    return {
        "/v1/webhooks/{id}": (f"/v1/webhooks/{webhook['id']}", {"description": "other"}),
        "/v1/alert-rules/{id}": (f"/v1/alert-rules/{rule['id']}", {"name": "other"}),
        "/v1/silences/{id}": (f"/v1/silences/{silence['id']}", {"reason": "other"}),
        "/v1/preferences": ("/v1/preferences", {"slack_enabled": False}),
        "/api/v1/notifications/preferences": ("/api/v1/notifications/preferences", {"email_enabled": False}),
        "/v1/secrets/{name}": ("/v1/secrets/key", {"value": "another secret value"}),
        "/v1/sources/{id}": (f"/v1/sources/{source['id']}", {"name": "other"}),
        "/v1/members/{user}": ("/v1/members/mia", {"name": "Mia"}),
        "/v1/settings": ("/v1/settings", {"time_zone": "Europe/Berlin"}),
        "/v1/tenants/{tenant}": ("/v1/tenants/ml", {"name": "ML"}),
        "/v1/tenants/{tenant}/limits": ("/v1/tenants/ml/limits", {"rules": 7}),
        "/v1/rollout": ("/v1/rollout", {"features": {"slack": {"state": "off"}}}),
        "/v1/pipelines/{name}/notifications": (
            "/v1/pipelines/etl/notifications",
            {"notifications": [told["notifications"][0] | {"events": ["run.failed"]}]},
        ),
    }


async def ask(client: Client, method: str, path: str, body: Any, tag: str) -> Answer:
    return await client.request(method, path, None if method == "DELETE" else body, headers={"if-match": tag})


async def test_what_changes_something_changes_only_what_was_seen(tocsin: Running) -> None:
    known, operator = await things(tocsin), await tocsin.operator()
    for route in sorted(ROUTES, key=lambda route: route.method == "DELETE"):
        if route.method not in ("PATCH", "PUT", "DELETE") or not route.if_match or route.path in UNSEEN:
            continue
        path, body = known[route.path]
        client = operator if route.role == "operator" else tocsin.client
        tag = (await client.get(path)).headers["etag"]
        for stale in ('"0123456789abcdef0123"', f"W/{tag}", '"a", "b"'):
            refused = await ask(client, route.method, path, body, stale)
            problem = refused.problem(412)
            assert problem["current"] == (await client.get(path)).json, route.path
            assert refused.headers["etag"] == tag
        tocsin.clock.move(1)
        done = await ask(client, route.method, path, body, f'"x", {tag}')
        assert done.status in (200, 204), done.body
        if route.method != "DELETE":
            assert done.headers["etag"] == (await client.get(path)).headers["etag"] != tag


def test_every_change_of_one_thing_takes_if_match() -> None:
    ways = [
        route for route in ROUTES if route.method in ("PATCH", "PUT", "DELETE") and not route.path.startswith("/ping/")
    ]
    changing = {(route.method, route.path) for route in ways if not route.if_match}
    assert changing == NO_TAGS


async def test_if_match_that_is_none(tocsin: Running) -> None:
    webhook = await tocsin.webhook(tocsin.receiver.hook("/hook"))
    path = f"/v1/webhooks/{webhook['id']}"
    for tag in ("abc", '"abc', '"a" "b"', "W/abc"):
        (await ask(tocsin.client, "PATCH", path, {"name": "x"}, tag)).problem(400, "If-Match")
        (await tocsin.client.request("GET", path, headers={"if-none-match": tag})).problem(400, "If-None-Match")
    assert (await tocsin.client.get(path)).ok()["name"] == "test"


async def test_of_two_that_saw_the_same_one_wins(tocsin: Running) -> None:
    webhook = await tocsin.webhook(tocsin.receiver.hook("/hook"))
    path = f"/v1/webhooks/{webhook['id']}"
    tag = (await tocsin.client.get(path)).headers["etag"]
    names = [f"name {number}" for number in range(8)]
    answers = await asyncio.gather(*(ask(tocsin.client, "PATCH", path, {"name": name}, tag) for name in names))
    (won,) = [answer for answer in answers if answer.status == 200]
    assert [answer.status for answer in answers].count(412) == 7
    assert (await tocsin.client.get(path)).ok()["name"] == won.json["name"]


async def test_two_changes_at_once_are_both_kept(tocsin: Running) -> None:
    webhook = await tocsin.webhook(tocsin.receiver.hook("/hook"))
    path = f"/v1/webhooks/{webhook['id']}"
    changes = [{"name": "new"}, {"description": "new"}, {"enabled_events": ["run.failed"]}]
    for answer in await asyncio.gather(*(tocsin.client.patch(path, change) for change in changes)):
        answer.ok()
    found = (await tocsin.client.get(path)).ok()
    assert (found["name"], found["description"], found["enabled_events"]) == ("new", "new", ["run.failed"])


async def test_a_delivery_in_between_does_not_refuse_a_change(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    path = f"/v1/webhooks/{webhook['id']}"
    tag = (await tocsin.client.get(path)).headers["etag"]
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    seen = await tocsin.client.get(path)
    assert seen.headers["etag"] != tag  # last_used_at
    (await ask(tocsin.client, "PATCH", path, {"name": "new"}, tag)).ok()


async def test_what_is_known_is_not_sent_again(tocsin: Running) -> None:
    await things(tocsin)
    event = await tocsin.send(pipeline="other")
    await tocsin.settle()
    for path in (
        "/v1/webhooks",
        "/v1/alert-rules",
        f"/v1/events/{event['id']}",
        "/v1/events",
        "/v1/runs",
        "/v1/config",
    ):
        first = await tocsin.client.get(path)
        tag = first.headers["etag"]
        again = await tocsin.client.request("GET", path, headers={"if-none-match": f'"x", W/{tag}'})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag), path
        (await tocsin.client.request("GET", path, headers={"if-none-match": '"x"'})).ok()
    webhooks = (await tocsin.client.get("/v1/webhooks")).headers["etag"]
    await tocsin.webhook(tocsin.receiver.hook("/other"))
    (await tocsin.client.request("GET", "/v1/webhooks", headers={"if-none-match": webhooks})).ok()


async def test_query_parameters_that_are_unknown_or_twice_or_wrong(tocsin: Running) -> None:
    # S4-01
    operator = await tocsin.operator()
    for route in ROUTES:
        if not route.role:
            continue
        path = re.sub(r"{\w+}", "nothing", route.path)
        client = operator if route.role == "operator" else tocsin.client
        answer = await client.request(route.method, path + "?colour=red", {"type": "run.failed"})
        assert answer.status == 400, path
        answer.problem(400, "colour=red" if (route.method, path) == ("POST", "/v1/events") else "colour")
        if "limit" in route.query:
            limit = route.query["limit"]
            assert isinstance(limit, Param)
            beyond = str(get_args(limit.shape)[1].le + 1)
            for wrong in ("0", beyond, "-1", "x", "1.5", "%00", "9" * 50):
                (await client.get(f"{path}?limit={wrong}")).problem(400, "limit")
            (await client.get(f"{path}?limit=1&limit=2")).problem(400, "limit")
        if "cursor" in route.query:
            for wrong in ("%00", "%FF", "x" * 5000, "'; DROP TABLE event; --", "evt_1!", "%C3%A9", "***", "-1"):
                answer = await client.get(f"{path}?cursor={wrong}")
                assert answer.status == 400, (path, wrong)
                answer.problem(400, "cursor")
    assert (await tocsin.client.get("/v1/events?type=")).ok()["items"] == []
