"""The audit trail: every change is one entry, whoever makes it, and so is what was refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Client, Running, Start
from tocsin.model.access import RANKS
from tocsin.model.audit import MOST_BYTES
from tocsin.web.denials import BY_TOKEN
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio


async def entries(tocsin: Running, client: Client | None = None, query: str = "") -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = (await (client or tocsin.client).get(f"/v1/audit?limit=100{query}")).ok()["items"]
    return found[::-1]


async def test_a_webhooks_life(tocsin: Running) -> None:
    # S4-09
    ana = await tocsin.as_("developer", user="ana")
    hook = tocsin.receiver.hook("/a")
    before = len(await entries(tocsin))
    webhook = await tocsin.webhook(hook, ana, headers={"x-key": "s3cr3t-value"})
    path = f"/v1/webhooks/{webhook['id']}"
    (await ana.patch(path, {"name": "renamed", "headers": {"x-key": "another-s3cr3t"}})).ok()
    (await ana.post(f"{path}/disable")).ok()
    (await ana.post(f"{path}/rotate-secret", {})).ok()
    (await ana.delete(path)).ok(204)
    found = (await entries(tocsin))[before:]
    assert [one["action"] for one in found] == [
        "webhook.create", "webhook.update", "webhook.disable", "webhook.rotate_secret", "webhook.delete",
    ]  # fmt: skip
    assert {(one["actor"], one["role"], one["address"], one["kind"], one["id"]) for one in found} == {
        ("ana", "developer", "127.0.0.1", "webhook", webhook["id"])
    }
    created, updated, disabled, rotated, deleted = found
    assert created["before"] is None
    assert created["after"]["name"] == "test"
    assert updated["before"] == {"name": "test", "headers": {"x-key": "***"}}
    assert updated["after"] == {"name": "renamed", "headers": {"x-key": "***"}}
    assert (disabled["before"], disabled["after"]) == ({"is_active": True}, {"is_active": False})
    assert rotated["after"]["secret"] == "***"
    assert (deleted["before"]["name"], deleted["after"]) == ("renamed", None)
    said = json.dumps(found)
    for secret in (webhook["secret"], "s3cr3t", hook.url):
        assert secret not in said


async def test_the_trail_is_whole_and_can_be_exported(tocsin: Running) -> None:
    for _ in range(3):
        await tocsin.rule()
    verdict = (await tocsin.client.get("/v1/audit/verify")).ok()
    lines = [json.loads(line) for line in (await tocsin.client.get("/v1/audit/export")).body.splitlines()]
    assert verdict["ok"]
    assert (verdict["first"], verdict["last"], verdict["entries"]) == (1, len(lines), len(lines))
    assert lines == await entries(tocsin)
    assert verdict["head"].split(".")[1] == lines[-1]["hash"]


# Every route that changes something.

UNWRITTEN = {
    "/v1/events": "what pipelines send is the log of events itself",
    "/api/v1/lineage": "what services send is the log of events itself",
    "/v1/ingest/{source}": "what services send is the log of events itself",
    "/v1/ingest/{source}/{key}": "what services send is the log of events itself",
    "/ping/{key}": "what jobs say is the log of events itself",
    "/ping/{key}/{first}": "what jobs say is the log of events itself",
    "/ping/{key}/{first}/{second}": "what jobs say is the log of events itself",
    "/v1/sources/preview": "nothing changes",
    "/v1/webhooks/preview": "nothing changes",
    "/v1/alert-rules/preview": "nothing changes",
    "/v1/alert-rules/{id}/preview": "nothing changes",
    "/v1/alert-rules/{id}/test": "nothing changes",
    "/v1/silences/preview": "nothing changes",
    "/v1/config/compare": "nothing changes",
    "/v1/config/preview": "nothing changes",
    "/v1/inbox/read": "what one has read is one's own",
    "/v1/inbox/{id}/read": "what one has read is one's own",
    "/slack/interactivity": "nothing changes",
    "/auth/login": "a session's: see test_sessions.py",
    "/auth/logout": "a session's: see test_sessions.py",
    "/auth/session": "a session's: see test_sessions.py",
    "/auth/sessions": "a session's: see test_sessions.py",
    "/auth/sessions/{id}": "a session's: see test_sessions.py",
    "/auth/password": "a session's: see test_sessions.py",
}
"""What is not GET and leaves no entry, each with its reason."""

LATELY = {"since": "2020-01-01T00:00:00Z", "status": ["dead"]}
BODIES: dict[str, Any] = {
    "webhook.create": {"provider_type": "webhook", "name": "new", "webhook_url": "URL"},
    "webhook.update": {"description": "changed"},
    "webhook.rotate_secret": {},
    "webhook.recover": LATELY,
    "rule.create": {"name": "new", "webhook_endpoint_ids": ["WEBHOOK"]},
    "rule.update": {"name": "changed"},
    "silence.create": {"matchers": [{"field": "pipeline", "value": "x"}], "duration_s": 60},
    "silence.update": {"reason": "changed"},
    "delivery.replay_many": LATELY,
    "pipeline.update": {"notifications": [{"webhook_id": "WEBHOOK"}]},
    "preferences.update": {"email_enabled": False},
    "notification.test": {"channel": "email"},
    "token.create": {"name": "new", "role": "viewer"},
    "token.rotate": {},
    "webhook.change_many": {"action": "enable", "ids": ["WEBHOOK"], "expected": 1},
    "rule.change_many": {"action": "delete", "name": "no such", "expected": 0},
    "silence.end_many": {"action": "end", "reason": "no such", "expected": 0},
    "delivery.cancel_many": {"since": "2999-01-01T00:00:00Z", "expected": 0},
    "delivery.discard_many": {"since": "2999-01-01T00:00:00Z", "expected": 0},
    "member.create": {"user_id": "new", "role": "viewer"},
    "member.update": {"role": "developer"},
    "secret.create": {"name": "new", "value": "s3cr3t"},
    "secret.update": {"value": "an0ther"},
    "flow.execute": {"inputs": {}},
    "source.create": {"kind": "github", "name": "new", "secret": "s3cr3t"},
    "source.update": {"name": "changed"},
    "tenant.settings": {"time_zone": "Europe/Berlin"},
    "member.sign_in_link": {"email": "new@example.org"},
}
"""By action. A route that changes something and is not here has no body. URL and WEBHOOK: what the test has made."""


class Furniture:
    """Makes what a route is called for, anew for each."""

    def __init__(self, tocsin: Running) -> None:
        self.tocsin = tocsin
        self.hook = tocsin.receiver.hook("/furniture")
        self.webhook: dict[str, Any] = {}
        self.count = 0

    async def id_for(self, path: str, action: str) -> str:
        """A new one of the kind that is meant."""
        client, self.count = self.tocsin.client, self.count + 1
        resource = path.split("/")[2]
        if resource == "webhooks":
            made = await self.tocsin.webhook(self.hook)
            if action == "webhook.restore":
                (await client.delete(f"/v1/webhooks/{made['id']}")).ok(204)
            return str(made["id"])
        if resource == "alert-rules":
            made = await self.tocsin.rule(self.webhook, is_active=False)
            if action == "rule.restore":
                (await client.delete(f"/v1/alert-rules/{made['id']}")).ok(204)
            return str(made["id"])
        if resource == "silences":
            return str((await client.post("/v1/silences", BODIES["silence.create"])).ok(201)["id"])
        if resource == "tokens":
            return str((await client.post("/v1/tokens", BODIES["token.create"])).ok(201)["id"])
        if resource == "members":
            body = {"user_id": f"u{self.count}", "role": "viewer"}
            return str((await client.post("/v1/members", body)).ok(201)["user_id"])
        if resource == "secrets":
            body = {"name": f"s{self.count}", "value": "s3cr3t"}
            return str((await client.post("/v1/secrets", body)).ok(201)["name"])
        if resource == "sources":
            return str((await client.post("/v1/sources", BODIES["source.create"])).ok(201)["id"])
        if resource == "pipelines":
            body = self.filled(BODIES["pipeline.update"])
            (await client.request("PUT", "/v1/pipelines/p/notifications", body)).ok()
            return "p"
        if resource == "flows":
            return "nothing"
        if resource == "deliveries":
            self.hook.always(500 if action == "delivery.cancel" else 200)
            event = await self.tocsin.send(id=f"e{self.count}")
            await self.tocsin.settle()
            return str((await self.tocsin.deliveries(event_id=event["id"]))[0]["id"])
        return "somebody"

    def filled(self, body: Any) -> Any:
        text = json.dumps(body).replace("URL", self.hook.url).replace("WEBHOOK", self.webhook["id"])
        return json.loads(text)


NOTHING = "id: nothing\nnamespace: nothing\ntasks:\n  - {id: a, type: io.kestra.plugin.core.log.Log, message: a}"


async def test_every_route_that_changes_something_makes_one_entry_and_so_does_its_refusal(
    start: Start, tmp_path: Path
) -> None:
    # S4-09; S26 of the security matrix
    (tmp_path / "nothing.yml").write_text(NOTHING)
    mail = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": "9", "SMTP_TLS": "none", "EMAIL_FROM_ADDRESS": "t@example.org"}
    tocsin = await start(TOCSIN_FLOWS=str(tmp_path), **mail)
    made = Furniture(tocsin)
    made.webhook = await tocsin.webhook(made.hook, enabled_events=["run.failed"])
    admin = await tocsin.as_("admin", user="root@example.org")
    viewer = await tocsin.as_("viewer", user="vera")
    seen = set()
    for route in ROUTES:
        if route.method == "GET" or route.path in UNWRITTEN:
            assert not route.action, route.path
            continue
        if route.role == "operator":  # in two trails: see test_operator.py
            continue
        assert route.action, f"{route.method} {route.path} changes something: what does the audit trail call it?"
        body = made.filled(BODIES.get(route.action, {}))
        id_ = await made.id_for(route.path, route.action) if "{" in route.path else ""
        path = re.sub(r"{\w+}", id_, route.path)
        last = (await entries(tocsin))[-1]["number"]
        answer = await admin.request(route.method, path, body, headers={"x-request-id": "req-1"})
        assert answer.status in (200, 201, 202, 204), (route.method, path, answer.body)
        (entry,) = [one for one in await entries(tocsin) if one["number"] > last]
        assert (entry["action"], entry["outcome"], entry["actor"]) == (route.action, "done", "root@example.org"), path
        assert (entry["request_id"], entry["address"], entry["role"]) == ("req-1", "127.0.0.1", "admin")
        assert entry["kind"] in (route.action.partition(".")[0], "webhook"), path
        seen.add(route.action)
        if RANKS[route.role] > RANKS["viewer"]:
            (await viewer.request(route.method, path, body)).problem(403)
            (refused,) = [one for one in await entries(tocsin) if one["number"] > last + 1]
            assert (refused["action"], refused["outcome"], refused["actor"]) == (route.action, "denied", "vera"), path
            assert (refused["id"], refused["before"], refused["after"]) == (id_, None, None)
            assert f"needs the role {route.role}" in refused["reason"]
        tocsin.clock.move(61)  # or there were too many refusals in a minute
    assert set(BODIES) <= seen
    await tocsin.settle()  # the clock was moved: what failed is told as well
    made.hook.all_new()
    assert (await tocsin.client.get("/v1/audit/verify")).ok()["ok"]
    said = (await tocsin.client.get("/v1/audit/export")).body
    assert b"s3cr3t" not in said
    assert b"an0ther" not in said


async def test_what_changes_nothing_and_what_fails_leave_no_entry(tocsin: Running) -> None:
    rule = await tocsin.rule()
    before = await entries(tocsin)
    (await tocsin.client.patch(f"/v1/alert-rules/{rule['id']}", {"name": ""})).problem(400)
    (await tocsin.client.delete("/v1/alert-rules/rul_none")).problem(404)
    (await tocsin.client.post("/v1/alert-rules", {"name": "x", "webhook_endpoint_ids": ["none"]})).problem(400)
    (await tocsin.client.post("/v1/deliveries/replay", LATELY | {"dry_run": True})).ok()
    (await tocsin.client.post("/v1/deliveries/dlv_none/cancel")).problem(404)
    (await tocsin.client.post("/v1/alert-rules/preview", {"name": "x"})).ok()
    assert await entries(tocsin) == before


async def test_many_at_once_are_one_entry_with_their_count(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    hook.always(410)
    webhook = await tocsin.webhook(hook, enabled_events=["run.failed"])
    for _ in range(2):
        await tocsin.send()
        await tocsin.settle()
        (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    hook.expect(2)
    hook.always(200)
    before = len(await entries(tocsin))
    asked = {"since": "2020-01-01T00:00:00Z", "webhook_id": webhook["id"]}
    assert (await tocsin.client.post("/v1/deliveries/replay", asked)).ok(202)["replayed"] == 2
    (entry,) = (await entries(tocsin))[before:]
    assert (entry["action"], entry["id"], entry["after"]["count"]) == ("delivery.replay_many", "", 2)
    assert entry["after"]["webhook_id"] == webhook["id"]
    await tocsin.settle()
    hook.expect(2)


async def test_what_tocsin_does_itself(start: Start) -> None:
    hook_url = "https://hooks.slack.com/services/T0000000A/B0000000A/" + "A" * 24
    tocsin = await start(SLACK_WEBHOOK_URL=hook_url)
    (taken,) = await entries(tocsin, query="&kind=webhook")
    assert (taken["actor"], taken["action"], taken["after"]["name"]) == (
        "environment", "webhook.create", "SLACK_WEBHOOK_URL",
    )  # fmt: skip
    assert "services" not in json.dumps(taken)
    gone = tocsin.receiver.hook("/gone")
    webhook = await tocsin.webhook(gone, enabled_events=["run.succeeded"])
    slack = tocsin.receiver.slack()
    gone.answer(410)
    await tocsin.send(type="run.succeeded")
    await tocsin.settle()
    gone.expect(1)
    slack.all_new()
    (off,) = await entries(tocsin, query=f"&action=webhook.disable&id={webhook['id']}")
    assert (off["actor"], off["role"], off["before"]["is_active"]) == ("tocsin", "", True)
    assert "410" in off["after"]["disabled_reason"]


# What was refused.


async def test_a_token_that_is_not_made_for_it_is_written_down(tocsin: Running) -> None:
    made = (await tocsin.client.post("/v1/tokens", {"name": "ci", "role": "admin", "scopes": ["read"]})).ok(201)
    client = tocsin.client.with_token(made["token"])
    (await client.post("/v1/alert-rules", {"name": "x"})).problem(403)
    (await client.post("/v1/events", {"type": "run.failed"})).problem(403)
    found = await entries(tocsin, query="&outcome=denied")
    assert [(one["action"], one["token_id"]) for one in found] == [
        ("rule.create", made["id"]), ("POST /v1/events", made["id"]),
    ]  # fmt: skip
    assert "scope write" in found[0]["reason"]
    assert "scope ingest" in found[1]["reason"]


async def test_a_flood_of_refusals_is_counted_and_not_written(tocsin: Running) -> None:
    viewer = await tocsin.as_("viewer", user="vera")
    for _ in range(BY_TOKEN + 7):
        (await viewer.post("/v1/webhooks", {})).problem(403)
    found = await entries(tocsin, query="&outcome=denied")
    assert len(found) == BY_TOKEN
    tocsin.clock.move(60)
    (await viewer.post("/v1/webhooks", {})).problem(403)
    last = (await entries(tocsin, query="&outcome=denied"))[-1]
    assert "7 more like it" in last["reason"]
    metrics = (await tocsin.client.get("/metrics")).body.decode()
    assert f'tocsin_audit_entries_total{{outcome="denied"}} {BY_TOKEN + 1}.0' in metrics
    assert "tocsin_audit_denials_unwritten_total 7.0" in metrics


async def test_reading_what_one_may_not_is_refused_without_an_entry(tocsin: Running) -> None:
    viewer = await tocsin.as_("viewer", user="vera")
    for path in ("/v1/audit", "/v1/audit/verify", "/v1/audit/export", "/v1/members"):
        (await viewer.get(path)).problem(403)
    assert await entries(tocsin, query="&outcome=denied") == []


async def test_hostile_callers_are_written_down_harmlessly(tocsin: Running) -> None:
    strange = {"user-agent": "\u202e<script>" + "x" * 500, "x-request-id": "a b\t{}"}
    viewer = await tocsin.as_("viewer", user="vera")
    await viewer.request("DELETE", "/v1/webhooks/%00" + "y" * 900, headers=strange)
    (entry,) = await entries(tocsin, query="&outcome=denied")
    assert len(entry["user_agent"]) == 200
    assert len(entry["id"]) == 200
    assert entry["request_id"].startswith("req_")
    assert "\x00" not in json.dumps(entry)


async def test_a_change_that_is_long_is_told_by_its_size(tocsin: Running) -> None:
    text = "".join(f"{n:05}" for n in range(400))
    webhook = await tocsin.webhook(
        tocsin.receiver.hook("/a"), description=text[:2000], enabled_events=[f"{text[:190]}{n}" for n in range(100)]
    )
    (entry,) = await entries(tocsin, query=f"&id={webhook['id']}")
    assert entry["after"]["omitted_bytes"] > MOST_BYTES
    assert "enabled_events" in entry["after"]["fields"]


# Reading it.


async def test_filters_and_pages(tocsin: Running) -> None:
    ana, ben = await tocsin.as_("admin", user="ana"), await tocsin.as_("admin", user="ben")
    rules = [await tocsin.rule(client=ana), await tocsin.rule(client=ben)]
    tocsin.clock.move(60)
    (await ben.patch(f"/v1/alert-rules/{rules[0]['id']}", {"name": "ben's now"})).ok()
    now = (await entries(tocsin))[-1]["time"]

    async def actions(query: str) -> list[tuple[str, str]]:
        return [(one["actor"], one["action"]) for one in await entries(tocsin, ana, query)]

    assert await actions("&actor=ana") == [("ana", "rule.create")]
    assert await actions(f"&kind=rule&id={rules[0]['id']}") == [("ana", "rule.create"), ("ben", "rule.update")]
    assert await actions("&action=rule.update&outcome=done") == [("ben", "rule.update")]
    assert await actions(f"&since={now}") == [("ben", "rule.update")]
    assert ("ben", "rule.update") not in await actions(f"&until={now}")
    token = (await entries(tocsin, ana, "&actor=ben"))[0]["token_id"]
    assert {actor for actor, _ in await actions(f"&token_id={token}")} == {"ben"}
    pages, cursor = [], ""
    while cursor is not None:
        page = (await ana.get(f"/v1/audit?limit=2&cursor={cursor}")).ok()
        pages += page["items"]
        cursor = page["next"]
    assert pages[::-1] == await entries(tocsin)
    for query, field in [
        ("outcome=maybe", "outcome"),
        ("since=now", "since"),
        ("who=x", "who"),
        ("cursor=-1", "cursor"),
    ]:
        (await ana.get(f"/v1/audit?{query}")).problem(400, field)
    (await ana.get("/v1/audit/verify?head=1.2")).problem(400, "head")


async def test_a_tenant_reads_its_own_trail(tocsin: Running) -> None:
    # S4-10
    theirs = await tocsin.as_("admin", "theirs")
    await tocsin.rule(client=theirs)
    mine = await tocsin.as_("admin", "mine")
    last = (await entries(tocsin, mine))[-1]
    assert last["action"] == "token.create"
    assert "rule.create" not in {one["action"] for one in await entries(tocsin, mine)}
    assert b"rule.create" not in (await mine.get("/v1/audit/export")).body
    head = (await theirs.get("/v1/audit/verify")).ok()["head"]
    verdict = (await mine.get(f"/v1/audit/verify?head={head}")).ok()
    assert (verdict["ok"], verdict["found"]) == (
        False, "the head given is not one of this trail, or was sealed with another key",
    )  # fmt: skip


async def test_heads_go_to_the_log_when_they_have_moved(tocsin: Running, logs: list[dict[str, Any]]) -> None:
    def logged() -> list[str]:
        return [entry["head"] for entry in logs if entry["event"] == "audit.head"]

    await tocsin.move(3600)  # the first look may have been before the token of this test
    before = len(logged())
    assert before > 0
    await tocsin.move(3600)
    assert len(logged()) == before
    await tocsin.rule()
    await tocsin.move(3600)
    assert len(logged()) == before + 1
    verdict = (await tocsin.client.get(f"/v1/audit/verify?head={logged()[-1]}")).ok()
    assert verdict["ok"]
    assert verdict["head"] == logged()[-1]
