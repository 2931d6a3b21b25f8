"""`/v1/secrets`, and `secret:NAME` wherever a webhook may hold a secret."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Running, Start
from tests.web.test_secrets import everything_stored
from tocsin.provider_kit import signing
from tocsin.settings import read_settings

pytestmark = pytest.mark.anyio

VALUE = "canaryINnamed-8f3a21c0d9"
SIGNING = "whsec_" + base64.b64encode(b"canaryINnamed-0123456789abcdef!!").decode()


async def secret(tocsin: Running, name: str, value: str, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await tocsin.client.post("/v1/secrets", {"name": name, "value": value, **fields})).ok(201)
    return made


async def put(tocsin: Running, name: str, **fields: Any) -> dict[str, Any]:
    changed: dict[str, Any] = (await tocsin.client.request("PUT", f"/v1/secrets/{name}", fields)).ok()
    return changed


async def test_a_secret_lives(tocsin: Running, tmp_path: Path) -> None:
    # S4-12
    client = tocsin.client
    made = await secret(tocsin, "slack.main-1_A", VALUE, description="of the main workspace")
    assert made["source"] == "store"
    assert made["used_by"] == []
    assert made["usable_by"] == "admin"
    (listed,) = (await client.get("/v1/secrets")).ok()["items"]
    assert listed == made == (await client.get("/v1/secrets/slack.main-1_A")).ok()
    tocsin.clock.move(60)
    changed = await put(tocsin, "slack.main-1_A", value=VALUE + "2")
    assert changed["description"] == "of the main workspace"
    assert changed["updated_at"] > made["updated_at"]
    assert changed["created_at"] == made["created_at"]
    revealed = await client.post("/v1/secrets/slack.main-1_A/reveal")
    assert revealed.ok() == {"name": "slack.main-1_A", "value": VALUE + "2"}
    assert revealed.headers["cache-control"] == "no-store"
    assert VALUE.encode() not in b"".join(a.body for a in client.history if a is not revealed)
    stored = await everything_stored(tocsin, tmp_path / "data")
    assert b"slack.main-1_A" in stored
    assert VALUE.encode() not in stored
    (await client.delete("/v1/secrets/slack.main-1_A")).ok(204)
    for answer in (
        await client.get("/v1/secrets/slack.main-1_A"),
        await client.delete("/v1/secrets/slack.main-1_A"),
        await client.post("/v1/secrets/slack.main-1_A/reveal"),
        await client.request("PUT", "/v1/secrets/slack.main-1_A", {"value": "x"}),
    ):
        answer.problem(404)
    again = await secret(tocsin, "slack.main-1_A", "another")
    assert again["created_at"] >= made["created_at"]


async def test_what_is_refused(tocsin: Running) -> None:
    client = tocsin.client
    await secret(tocsin, "A", "x")
    (await client.post("/v1/secrets", {"name": "A", "value": "y"})).problem(409)
    for name in ("", "a b", "ä", "a" * 65, "a/b", "A\n"):
        (await client.post("/v1/secrets", {"name": name, "value": "y"})).problem(400, "name")
    for value in ("", "x" * 65_537, "ä" * 40_000, "a\0b"):
        problem = (await client.post("/v1/secrets", {"name": "B", "value": value})).problem(400, "value")
        assert "xx" not in json.dumps(problem)
    (await client.post("/v1/secrets", {"name": "B", "value": 7})).problem(400, "value")
    (await client.request("PUT", "/v1/secrets/A", {"name": "B"})).problem(400, "name")
    (await client.get("/v1/secrets/a b")).problem(404)
    await secret(tocsin, "B", "ä" * 32_768)


async def test_pages_and_tenants(tocsin: Running) -> None:
    # S03
    other = await tocsin.as_("admin", "other")
    for number in range(5):
        await secret(tocsin, f"S{number}", "x")
    (await other.post("/v1/secrets", {"name": "S1", "value": "theirs"})).ok(201)
    page = (await tocsin.client.get("/v1/secrets?limit=3")).ok()
    rest = (await tocsin.client.get(f"/v1/secrets?limit=3&cursor={page['next']}")).ok()
    assert [one["name"] for one in page["items"] + rest["items"]] == [f"S{n}" for n in range(5)]
    assert rest["next"] is None
    assert (await other.post("/v1/secrets/S1/reveal")).ok()["value"] == "theirs"
    (await other.post("/v1/secrets/S2/reveal")).problem(404)
    hook = tocsin.receiver.hook("/x")
    body = {"provider_type": "webhook", "name": "x", "webhook_url": hook.url, "headers": {"X-A": "secret:S2"}}
    (await other.post("/v1/webhooks", body)).problem(400, "headers")


async def test_every_place_of_a_webhook(tocsin: Running, tmp_path: Path) -> None:
    # S4-12 S2-03: address, header, signing secret; replacing changes what is used at once
    hook, moved = tocsin.receiver.hook("/in/canaryINnamedpath"), tocsin.receiver.hook("/in/canaryINnamedother")
    await secret(tocsin, "URL", hook.url)
    await secret(tocsin, "TOKEN", VALUE)
    await secret(tocsin, "SIGNING", SIGNING)
    webhook = await tocsin.webhook(
        "secret:URL",
        enabled_events=["*"],
        secret="secret:SIGNING",
        headers={"Authorization": "Bearer secret:TOKEN", "X-Plain": "not-secret:TOKEN"},
    )
    assert webhook["webhook_url"] == "secret:URL"
    assert webhook["secret"] == "secret:SIGNING"
    await tocsin.send()
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.headers["authorization"] == f"Bearer {VALUE}"
    assert message.headers["x-plain"] == "not-secret:TOKEN"
    assert signing.verify((SIGNING,), message.headers, message.body, tocsin.clock.now_s)
    for name in ("URL", "TOKEN", "SIGNING"):
        assert (await tocsin.client.get(f"/v1/secrets/{name}")).ok()["used_by"] == [
            {"id": webhook["id"], "name": "test"}
        ]
        assert "test" in (await tocsin.client.delete(f"/v1/secrets/{name}")).problem(409)["detail"]
    await put(tocsin, "URL", value=moved.url)
    await put(tocsin, "TOKEN", value="new-" + VALUE)
    await tocsin.send()
    await tocsin.settle()
    (message,) = moved.expect(1)
    assert message.headers["authorization"] == f"Bearer new-{VALUE}"
    preview = {"webhook_id": webhook["id"], "sample": "failed"}
    shown = (await tocsin.client.post("/v1/webhooks/preview", preview)).ok()
    assert shown["headers"]["Authorization"] == "***"
    # What is said of it holds none of it.
    for delivery in await tocsin.deliveries():
        (await tocsin.client.get(f"/v1/deliveries/{delivery['id']}")).ok()
    everything = b"".join(answer.body for answer in tocsin.client.history)
    everything += await everything_stored(tocsin, tmp_path / "data")
    for canary in (VALUE, SIGNING, "canaryINnamedpath"):
        assert canary.encode() not in everything
    # Nobody refers to them any more.
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"headers": {}})).ok()
    (await tocsin.client.delete("/v1/secrets/TOKEN")).ok(204)
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    (await tocsin.client.delete("/v1/secrets/URL")).ok(204)


async def test_secret_settings(tocsin: Running) -> None:
    # S4-12: a setting whose shape is checked
    await secret(tocsin, "KEY", "k" * 32)
    await secret(tocsin, "SHORT", "k" * 31)
    body = {"provider_type": "pagerduty", "name": "pd", "settings": {"routing_key": "secret:KEY"}}
    webhook = (await tocsin.client.post("/v1/webhooks", body)).ok(201)
    assert webhook["settings"]["routing_key"] == "secret:KEY"
    body["settings"] = {"routing_key": "secret:SHORT"}
    problem = (await tocsin.client.post("/v1/webhooks", body)).problem(400, "settings.routing_key")
    assert "kkk" not in json.dumps(problem)
    # as it is shown, it comes back
    same = {"settings": webhook["settings"]}
    assert (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", same)).ok()["settings"] == webhook["settings"]
    # and a new value has to fit where it is used
    problem = (await tocsin.client.request("PUT", "/v1/secrets/KEY", {"value": "short"})).problem(400, "value")
    assert "pd" in problem["detail"]
    await put(tocsin, "KEY", value="j" * 32)


async def test_addresses_are_checked_behind_names(tocsin: Running) -> None:
    # S4-12 S12: on save, on replacing, and when sending
    await secret(tocsin, "PRIVATE", "http://10.0.0.1/x")
    await secret(tocsin, "ODD", "canaryINnamed")
    for name in ("PRIVATE", "ODD", "NOWHERE", "", "a b", "ä"):
        body = {"provider_type": "webhook", "name": "x", "webhook_url": f"secret:{name}"}
        problem = (await tocsin.client.post("/v1/webhooks", body)).problem(400, "webhook_url")
        assert "canary" not in json.dumps(problem)
    hook = tocsin.receiver.hook("/x")
    await secret(tocsin, "URL", hook.url)
    webhook = await tocsin.webhook("secret:URL", enabled_events=["*"])
    for url in ("http://10.0.0.1/x", "http://169.254.169.254/", "junk"):
        (await tocsin.client.request("PUT", "/v1/secrets/URL", {"value": url})).problem(400, "value")
    # straight in the database
    app = tocsin.app
    async with app.db.transaction() as tx:
        (row,) = await tx.fetch("sealed_secret", {"tenant_id": "default", "name": "URL"})
        from tocsin.store import secrets

        sealed = app.keyring.seal("http://10.0.0.1/x", secrets.place("default", row[0]))
        values = {"tenant_id": "default", "id": row[0], "description": "", "usable_by": "admin", "by": "", "now": 0}
        await tx.fetch("update_secret", values | {"value_sealed": sealed})
    await tocsin.send()
    await tocsin.settle()
    delivery = await tocsin.delivery(webhook_id=webhook["id"])
    assert delivery["status"] in ("retrying", "dead")
    assert "not public" in delivery["reason"] or "not allowed" in delivery["reason"], delivery["reason"]


async def test_one_that_is_gone_is_a_failure_with_a_reason(tocsin: Running) -> None:
    # S4-12: and with it back, what waits is sent
    hook = tocsin.receiver.hook("/x")
    await secret(tocsin, "URL", hook.url)
    await tocsin.webhook("secret:URL", enabled_events=["*"])
    async with tocsin.app.db.transaction() as tx:
        (row,) = await tx.fetch("sealed_secret", {"tenant_id": "default", "name": "URL"})
        await tx.fetch("delete_secret", {"tenant_id": "default", "id": row[0], "by": "", "now": 1})
    await tocsin.send()
    await tocsin.settle()
    delivery = await tocsin.delivery()
    assert delivery["status"] == "retrying"
    assert "no secret URL" in delivery["reason"]
    assert delivery["log"][0]["error_message"] == delivery["reason"]
    await secret(tocsin, "URL", hook.url)
    await tocsin.wait_out()
    hook.expect(1)
    assert (await tocsin.delivery())["status"] == "delivered"


async def test_who_may_use_one(tocsin: Running) -> None:
    # S02: a developer must not read an admin's secret by having it sent to their own receiver
    developer = await tocsin.as_("developer", user="dev")
    hook, other = tocsin.receiver.hook("/x"), tocsin.receiver.hook("/theirs")
    await secret(tocsin, "ADMINS", VALUE)
    await secret(tocsin, "ALL", VALUE, usable_by="developer")
    for method, path in (("GET", ""), ("GET", "/ALL"), ("POST", "/ALL/reveal"), ("PUT", "/ALL"), ("DELETE", "/ALL")):
        (await developer.request(method, f"/v1/secrets{path}", {"value": "x"})).problem(403)
    body = {"provider_type": "webhook", "name": "x", "webhook_url": hook.url, "headers": {"X-A": "secret:ADMINS"}}
    assert "ADMINS" in (await developer.post("/v1/webhooks", body)).problem(403)["detail"]
    body["headers"] = {"X-A": "secret:ALL"}
    path = "/v1/webhooks/" + (await developer.post("/v1/webhooks", body)).ok(201)["id"]
    (await tocsin.client.patch(path, {"headers": {"X-A": "secret:ADMINS"}})).ok()
    changes: tuple[dict[str, Any], ...] = ({"webhook_url": other.url}, {"headers": {}}, {"settings": {}})
    for change in changes:
        (await developer.patch(path, change)).problem(403)
    (await developer.patch(path, {"name": "y"})).ok()


async def test_those_of_the_environment(start: Start) -> None:
    # S2-03
    given = {
        "SECRET_HOOK_TOKEN": base64.b64encode(VALUE.encode()).decode(),
        "SECRET_KEY": "not base64!",
        "SECRET_": "",
    }
    tocsin = await start(**given)
    settings = read_settings(given)
    assert settings.secrets == {"HOOK_TOKEN": VALUE}
    assert settings.odd_secrets == ("SECRET_KEY",)
    assert VALUE not in repr(settings) + repr(tocsin.app.vault)
    await secret(tocsin, "A", "x")
    items = (await tocsin.client.get("/v1/secrets")).ok()["items"]
    assert [(one["name"], one["source"]) for one in items] == [("A", "store"), ("HOOK_TOKEN", "environment")]
    hook = tocsin.receiver.hook("/x")
    await tocsin.webhook(hook, enabled_events=["*"], headers={"X-A": "secret:HOOK_TOKEN"})
    await tocsin.send()
    await tocsin.settle()
    assert hook.expect(1)[0].headers["x-a"] == VALUE
    (await tocsin.client.request("PUT", "/v1/secrets/HOOK_TOKEN", {"value": "x"})).problem(409)
    (await tocsin.client.delete("/v1/secrets/HOOK_TOKEN")).problem(409)
    (await tocsin.client.post("/v1/secrets", {"name": "HOOK_TOKEN", "value": "x"})).problem(409)
    assert (await tocsin.client.post("/v1/secrets/HOOK_TOKEN/reveal")).ok()["value"] == VALUE
    other = await tocsin.as_("admin", "other")
    assert (await other.get("/v1/secrets")).ok()["items"] == []
    (await other.post("/v1/secrets/HOOK_TOKEN/reveal")).problem(404)


async def test_every_act_is_in_the_audit_trail(tocsin: Running) -> None:
    # S4-09 S4-12
    await secret(tocsin, "A", VALUE)
    await put(tocsin, "A", value=VALUE + "2", description="new")
    (await tocsin.client.post("/v1/secrets/A/reveal")).ok()
    (await tocsin.client.delete("/v1/secrets/A")).ok(204)
    entries = (await tocsin.client.get("/v1/audit?kind=secret")).ok()["items"][::-1]
    assert [one["action"] for one in entries] == ["secret.create", "secret.update", "secret.reveal", "secret.delete"]
    assert {one["id"] for one in entries} == {"A"}
    assert entries[1]["before"]["value"] == entries[1]["after"]["value"] == "***"
    assert VALUE not in json.dumps(entries)
