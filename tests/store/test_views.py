"""The views for people who look with SQL: the columns and the troubleshooting queries."""

from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest

from tests.harness import Reply, Running
from tests.store.rows import seed_attempt
from tocsin.stages.deliver.opening import kept

pytestmark = pytest.mark.anyio

CONFIGURATIONS = (
    "id", "user_id", "provider_type", "webhook_url", "name", "description", "is_active", "enabled_events", "settings",
    "last_used_at", "last_error", "consecutive_failures", "created_at", "updated_at",
)  # fmt: skip
LOGS = (
    "id", "webhook_config_id", "user_id", "event_type", "provider_type", "webhook_url", "payload", "status",
    "http_status_code", "response_body", "error_message", "retry_count", "sent_at", "created_at",
)  # fmt: skip


async def ask(tocsin: Running, statement: str, folder: Path) -> list[dict[str, Any]]:
    """As somebody with a client of the database's own."""
    dsn = tocsin.app.settings.database_url
    if dsn:
        connection = await asyncpg.connect(dsn)
        try:
            return [dict(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()
    reader = apsw.Connection(str(folder / "data" / "tocsin.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        cursor = reader.execute(statement)
        found = []
        for row in cursor:
            found.append(dict(zip([column[0] for column in cursor.get_description()], row, strict=True)))
        return found
    finally:
        reader.close()


async def test_webhook_configurations(tocsin: Running, tmp_path: Path) -> None:
    # S1-10 S1-14
    hook = tocsin.receiver.hook("/a/long/path/with/canary")
    mia = await tocsin.as_("developer", user="mia")
    webhook = await tocsin.webhook(hook, mia, name="orders", description="d", enabled_events=["training.*"])
    (row,) = await ask(tocsin, f"SELECT {', '.join(CONFIGURATIONS)} FROM webhook_configurations", tmp_path)
    assert row["webhook_url"] == "…ith/canary"
    assert (row["id"], row["user_id"], row["name"], row["description"]) == (webhook["id"], "mia", "orders", "d")
    assert bool(row["is_active"]) is True
    assert row["consecutive_failures"] == 0
    assert row["last_used_at"] is None
    await tocsin.send(mia, type="training.failed")
    await tocsin.settle()
    hook.expect(1)
    hook.answer(410)
    await tocsin.send(mia, type="training.failed")
    await tocsin.settle()
    hook.expect(1)
    # Monitoring, as the document does it: the active webhooks of a user.
    active = (
        "SELECT provider_type, consecutive_failures FROM webhook_configurations WHERE user_id = 'mia' AND is_active"
    )
    assert await ask(tocsin, active, tmp_path) == []
    (row,) = await ask(tocsin, "SELECT * FROM webhook_configurations WHERE user_id = 'mia'", tmp_path)
    assert (row["consecutive_failures"], row["last_error"]) == (1, "HTTP 410")
    assert row["last_used_at"] is not None
    (await mia.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    assert await ask(tocsin, "SELECT * FROM webhook_configurations", tmp_path) == []


async def test_webhook_logs(tocsin: Running, tmp_path: Path) -> None:
    # S1-09 S1-20
    hook, slack = tocsin.receiver.hook("/a/long/path/with/canary"), tocsin.receiver.slack()
    mia = await tocsin.as_("developer", user="mia")
    webhook = await tocsin.webhook(hook, mia, enabled_events=["*"])
    chat = await tocsin.webhook(slack, mia, enabled_events=["*"])
    hook.answer(Reply(429, "slow", {"retry-after": "1"}), Reply(503, "no"), Reply(200, "yes"))
    slack.answer(Reply(200, "ok"))
    await tocsin.send(mia, type="training.failed", title="Grüße 🎉")
    await tocsin.wait_out()
    sent = hook.expect(3)
    slack.expect(1)
    query = (
        f"SELECT {', '.join(LOGS)} FROM webhook_logs WHERE webhook_config_id = '{webhook['id']}' "
        "ORDER BY created_at DESC LIMIT 10"
    )
    rows = await ask(tocsin, query, tmp_path)
    assert [(r["status"], r["http_status_code"], r["retry_count"], r["response_body"]) for r in rows] == [
        ("sent", 200, 2, "yes"),
        ("failed", 503, 1, "no"),
        ("rate_limited", 429, 0, "slow"),
    ]
    assert [r["error_message"] for r in rows] == [None, "HTTP 503: no", "HTTP 429: slow"]
    assert {(r["user_id"], r["event_type"], r["provider_type"]) for r in rows} == {
        ("mia", "training.failed", "webhook")
    }
    assert {r["webhook_url"] for r in rows} == {"…ith/canary"}
    assert all(r["payload"].encode() == sent[0].body for r in rows)
    assert [r["sent_at"] is None for r in rows] == [False, True, True]
    assert len({r["id"] for r in rows}) == 3
    by_user = "SELECT payload FROM webhook_logs WHERE user_id = 'mia' AND provider_type = 'slack' ORDER BY created_at"
    (row,) = await ask(tocsin, by_user, tmp_path)
    assert "Grüße 🎉" in row["payload"]
    (await mia.delete(f"/v1/webhooks/{chat['id']}")).ok(204)
    assert len(await ask(tocsin, by_user, tmp_path)) == 1, "the log outlives the webhook"


@pytest.mark.parametrize("cut_at", range(65_530, 65_540))
async def test_a_long_message_does_not_break_the_log_for_everybody(
    tocsin: Running, tmp_path: Path, cut_at: int
) -> None:
    """What is kept of a request is cut by bytes; the view must read it all the same."""
    body = ("x" * (cut_at - 65_530) + "ü" * 40_000).encode()
    await seed_attempt(tocsin, request_body=kept(body, ()))
    (row,) = await ask(tocsin, "SELECT payload FROM webhook_logs", tmp_path)
    assert body.startswith(row["payload"].encode())
    assert len(row["payload"].encode()) in (65_535, 65_536)
