"""The document's own requests, byte for byte, and its own answers: `/api/v1/notifications`."""

import json
from typing import Any

import pytest

from tests.harness import Running, Start
from tests.web.slack_and_mail import platform

pytestmark = pytest.mark.anyio

PREFERENCES = "/api/v1/notifications/preferences"


def shape(value: Any) -> Any:
    """Names in order, and types."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


async def test_reading_the_preferences(tocsin: Running) -> None:
    # S3-05
    user = await tocsin.as_("viewer", user="user-uuid")
    said = """{
"user_id": "user-uuid",
"slack_enabled": true,
"email_enabled": true,
"notify_on_safety_rollback": true,
"notify_on_experiment_lifecycle": true,
"notify_on_rollout_advance": false,
"slack_channel": null,
"email_address": null
}"""
    answer = await user.get(PREFERENCES)
    assert list(answer.ok().items()) == list(json.loads(said).items())
    assert answer.headers["content-type"] == "application/json"


async def test_changing_a_part_of_them(tocsin: Running) -> None:
    # S3-05
    user = await tocsin.as_("viewer", user="user-uuid")
    sent = b"""{
"slack_enabled": true,
"email_enabled": false,
"notify_on_rollout_advance": true,
"slack_channel": "#my-team-alerts"
}"""
    headers = {"content-type": "application/json"}
    changed = (await user.request("PUT", PREFERENCES, data=sent, headers=headers)).ok()
    assert changed == (await user.get(PREFERENCES)).ok()
    assert changed == {
        "user_id": "user-uuid",
        "slack_enabled": True,
        "email_enabled": False,
        "notify_on_safety_rollback": True,
        "notify_on_experiment_lifecycle": True,
        "notify_on_rollout_advance": True,
        "slack_channel": "#my-team-alerts",
        "email_address": None,
    }


async def test_the_delivery_log_and_the_test(start: Start) -> None:
    # S3-07 S3-08
    here = await platform(start)
    ana = await here.user("ana@example.com", role="developer")
    sent = (await ana.request("POST", "/api/v1/notifications/test", data=b'{"channel": "slack"}')).ok()
    assert list(sent) == ["success", "message"]
    assert sent == {"success": True, "message": "Test notification sent to #platform-alerts"}
    here.slack.channels.clear()
    await here.happens("safety_rollback")
    said = """{"items": [{"id": "log-uuid", "event_type": "safety_rollback", "channel": "slack", "status": "failed",
"error": "channel_not_found", "created_at": "2026-03-02T14:32:00Z"}], "total": 3, "page": 1, "limit": 20}"""
    answer = await here.tocsin.client.get("/api/v1/notifications/delivery-log?status=failed")
    found = answer.ok()
    assert shape(found) == shape(json.loads(said))
    assert found["items"][0]["error"] == "channel_not_found"
    assert list(found["items"][0]) == list(json.loads(said)["items"][0])


async def test_who_may_do_what(tocsin: Running) -> None:
    # S3-06 S3-09
    needs = {
        ("GET", PREFERENCES): "viewer",
        ("PUT", PREFERENCES): "viewer",
        ("POST", "/api/v1/notifications/test"): "developer",
        ("GET", "/api/v1/notifications/admin/preferences"): "admin",
        ("GET", "/api/v1/notifications/delivery-log"): "admin",
    }
    roles = ["viewer", "developer", "admin"]
    for role in roles:
        client = await tocsin.as_(role, user=f"{role}@example.com")
        for (method, path), needed in needs.items():
            body = {"channel": "email"} if method == "POST" else {} if method == "PUT" else None
            answer = await client.request(method, path, body)
            allowed = roles.index(role) >= roles.index(needed)
            assert answer.status == (200 if allowed else 403), (role, method, path)
    for method, path in needs:
        assert (await tocsin.client.with_token("").request(method, path)).status == 401
