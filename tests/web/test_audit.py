"""The audit trail: every change is one entry, whoever makes it, and so is what was refused."""

import json
from typing import Any

import pytest

from tests.harness import Client, Running

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
