"""An event becomes a message: what is sent, how it is signed, and what is kept of it."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import WebhookVerificationError

from tests.harness import Received, Reply, Running
from tocsin.rules.fair_queue import MOST_IN_FLIGHT

pytestmark = pytest.mark.anyio

FAILED: dict[str, Any] = {
    "id": "orders-4711",
    "type": "workflow.failed",
    "source": "airflow",
    "pipeline": "etl/orders",
    "run_id": "2026-11-21T02:00",
    "stage": "load",
    "time": "2026-11-21T02:14:32Z",
    "labels": {"env": "prod"},
    "data": {"rows": 12, "error": "disk full", "password": "not for everybody"},
    "links": {"run": "https://airflow.example/run/4711"},
}


def hex_signature(secret: str, body: bytes) -> str:
    """What a receiver does to check X-Exosphere-Signature: the standard library is enough."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verified(message: Received, secret: str) -> bool:
    """As the published library for Standard Webhooks sees it."""
    try:
        StandardWebhook(secret).verify(message.body, dict(message.headers))
    except WebhookVerificationError:
        return False
    return True


async def test_a_failing_workflow_causes_exactly_one_post(tocsin: Running) -> None:
    # S4-06 S4-14
    hook = tocsin.receiver.hook("/alerts?team=data")
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, event_type="workflow.failed")
    started = FAILED | {"id": "orders-1", "type": "workflow.started", "time": "2026-11-21T02:00:00Z"}
    assert await tocsin.send(**started) == {"id": "orders-1", "duplicate": False}
    assert await tocsin.send(**FAILED) == {"id": "orders-4711", "duplicate": False}
    await tocsin.settle()
    await tocsin.move(3 * 86_400)
    (message,) = hook.expect(1)
    assert message.method == "POST"
    assert message.headers["content-type"] == "application/json"
    assert message.headers["user-agent"].startswith("Tocsin/")
    assert message.json == {
        "schema": "tocsin.event/1",
        "id": "orders-4711",
        "type": "workflow.failed",
        "kind": "run.failed",
        "source": "airflow",
        "time": "2026-11-21T02:14:32.000Z",
        "severity": "error",
        "status": "failed",
        "title": message.json["title"],
        "summary": message.json["summary"],
        "pipeline": "etl/orders",
        "run_id": "2026-11-21T02:00",
        "stage": "load",
        "duration_s": 872.0,
        "links": {"run": "https://airflow.example/run/4711"},
    }
    assert "disk full" in message.json["summary"]
    assert b"not for everybody" not in message.body


async def test_the_body_of_the_ml_dashboard(tocsin: Running) -> None:
    # S1-13
    hook = tocsin.receiver.hook("/simple")
    await tocsin.webhook(hook, enabled_events=["training.complete"], settings={"format": "simple"})
    await tocsin.send(
        type="training.complete",
        title="Training Complete - ResNet34_Test",
        data={"experiment_name": "ResNet34_Test", "accuracy": 0.968, "duration": "14m 32s"},
        actions=[{"label": "View Results", "url": "http://localhost:8050/experiments/1234", "style": "primary"}],
    )
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.json == {
        "event_type": "training.complete",
        "title": "Training Complete - ResNet34_Test",
        "body": "",
        "priority": "medium",
        "data": {"experiment_name": "ResNet34_Test", "accuracy": 0.968, "duration": "14m 32s"},
        "actions": [
            {"label": "View Results", "url": "http://localhost:8050/experiments/1234", "style": "primary"},
        ],
    }


async def test_enabled_events_alone_are_enough(tocsin: Running) -> None:
    # S1-07 S1-12
    hook = tocsin.receiver.hook("/some")
    await tocsin.webhook(hook, enabled_events=["training.failed", "hpo.*"])
    for type_ in ("training.started", "training.failed", "hpo.trial_complete", "hpo.campaign_failed", "hpotrial.x"):
        await tocsin.send(type=type_)
    await tocsin.settle()
    assert {m.json["type"] for m in hook.expect(3)} == {"training.failed", "hpo.trial_complete", "hpo.campaign_failed"}


async def test_a_rule_may_match_the_kind(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/kind")
    await tocsin.rule(await tocsin.webhook(hook), event_types=["run.failed"])
    for type_ in ("training.failed", "workflow.failed", "hpo.campaign_failed", "workflow.succeeded"):
        await tocsin.send(type=type_)
    await tocsin.settle()
    assert len({m.id for m in hook.expect(3)}) == 3


async def test_signatures(tocsin: Running) -> None:
    # S4-08
    hook = tocsin.receiver.hook("/signed")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.send(**FAILED)
    await tocsin.settle()
    (message,) = hook.expect(1)
    secret = webhook["secret"]
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) >= 24
    assert verified(message, secret)
    assert message.headers["x-exosphere-signature"] == hex_signature(secret, message.body)
    delivery = await tocsin.delivery()
    assert message.id == delivery["id"]
    assert int(message.headers["webhook-timestamp"]) == tocsin.clock.now_ms // 1000
    assert not verified(Received("POST", "", "", message.headers, message.body + b" ", 0), secret)
    assert not verified(message, "whsec_" + base64.b64encode(bytes(32)).decode())


async def test_the_name_of_the_signature_header(tocsin: Running) -> None:
    # S4-08: configurable per endpoint
    hook = tocsin.receiver.hook("/named")
    webhook = await tocsin.webhook(hook, enabled_events=["*"], settings={"signature_header": "X-Acme-Signature"})
    await tocsin.send()
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.headers["x-acme-signature"] == hex_signature(webhook["secret"], message.body)
    assert "x-exosphere-signature" not in message.headers


async def test_the_operators_name_of_the_signature_header_survives_other_changes(start: Any) -> None:
    # S4-08: configurable for all
    tocsin = await start(TOCSIN_SIGNATURE_HEADER="X-House-Signature")
    hook = tocsin.receiver.hook("/house")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.send()
    await tocsin.settle()
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"settings": {"include": ["data"]}})).ok()
    await tocsin.send()
    await tocsin.settle()
    for message in hook.expect(2):
        assert message.headers["x-house-signature"] == hex_signature(webhook["secret"], message.body)


async def test_rotation_signs_with_both_secrets_until_the_old_one_ends(tocsin: Running) -> None:
    # S4-12
    hook = tocsin.receiver.hook("/rotated")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    old = webhook["secret"]
    await tocsin.send()
    await tocsin.settle()
    rotated = (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/rotate-secret", {"overlap_s": 240})).ok()
    new = rotated["secret"]
    assert new != old
    await tocsin.send()
    await tocsin.move(239)
    await tocsin.send()
    await tocsin.move(0)
    before, *during = hook.expect(3)
    assert verified(before, old)
    assert not verified(before, new)
    for message in during:
        assert verified(message, old)
        assert verified(message, new)
        assert len(message.headers["webhook-signature"].split(" ")) == 2
        assert message.headers["x-exosphere-signature"] == hex_signature(new, message.body)
    await tocsin.move(1)
    await tocsin.send()
    await tocsin.settle()
    (after,) = hook.expect(1)
    assert verified(after, new)
    assert not verified(after, old)
    assert len(after.headers["webhook-signature"].split(" ")) == 1


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/leaked")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    given = "whsec_" + base64.b64encode(b"0123456789" * 4).decode()
    answer = await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/rotate-secret", {"overlap_s": 0, "secret": given})
    assert answer.ok() == {"id": webhook["id"], "secret": given, "old_secret_until": None}
    await tocsin.send()
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert verified(message, given)
    assert not verified(message, webhook["secret"])


async def test_headers_of_the_user_go_along_and_override_nothing(tocsin: Running) -> None:
    # S4-12 S14
    hook = tocsin.receiver.hook("/headers")
    mine = {"Authorization": "Bearer of-the-receiver", "X-Team": "data", "Content-Type": "text/plain"}
    shown = await tocsin.webhook(hook, enabled_events=["*"], headers=mine)
    assert shown["headers"] == {"Authorization": "***", "X-Team": "***", "Content-Type": "***"}
    await tocsin.send()
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.headers["authorization"] == "Bearer of-the-receiver"
    assert message.headers["x-team"] == "data"
    assert message.headers["content-type"] == "application/json"


async def test_what_is_kept_of_a_delivery(tocsin: Running) -> None:
    # S1-09
    hook = tocsin.receiver.hook("/log")
    webhook = await tocsin.webhook(hook)
    rule = await tocsin.rule(webhook, event_types=["run.failed"])
    hook.answer(Reply(503, "later"), Reply(200, "thanks"))
    await tocsin.send(id="e1")
    await tocsin.move(2.5)
    messages = hook.expect(2)
    delivery = await tocsin.delivery()
    attempts = delivery.pop("log")
    assert delivery | {"created_at": 0, "delivered_at": 0} == {
        "title": delivery["title"],
        "pipeline": "",
        "run_id": "",
        "duration_ms": attempts[-1]["duration_ms"],
        "id": messages[0].id,
        "event_id": "e1",
        "event_type": "run.failed",
        "rule_id": rule["id"],
        "webhook_id": webhook["id"],
        "provider_type": "webhook",
        "status": "delivered",
        "reason": "",
        "attempts": 2,
        "http_status_code": 200,
        "error_message": "",
        "next_attempt_at": None,
        "created_at": 0,
        "delivered_at": 0,
        "folded": 0,
        "folded_into": "",
    }
    assert [(a["number"], a["status"], a["http_status_code"], a["response_body"]) for a in attempts] == [
        (1, "failed", 503, "later"),
        (2, "sent", 200, "thanks"),
    ]
    assert attempts[0]["error_message"] == "HTTP 503: later"
    assert [a["request_body"].encode() for a in attempts] == [m.body for m in messages]
    shown = await tocsin.endpoint(webhook)
    assert shown["last_used_at"] is not None
    assert shown["consecutive_failures"] == 0


async def test_every_retry_carries_the_same_id_and_the_same_bytes(tocsin: Running) -> None:
    # S4-07
    hook = tocsin.receiver.hook("/same")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(500, 502, 400)
    await tocsin.send(**FAILED)
    await tocsin.wait_out()
    # Another state of the run meanwhile does not change what was fixed when it was planned.
    messages = hook.expect(4)
    assert len({m.id for m in messages}) == 1
    assert len({m.body for m in messages}) == 1
    assert len({m.headers["webhook-timestamp"] for m in messages}) == 4
    assert all(verified(m, webhook["secret"]) for m in messages)


async def test_chat_shows_the_newest_state_of_the_run(tocsin: Running) -> None:
    # design 1.7
    hook = tocsin.receiver.slack()
    await tocsin.webhook(hook, enabled_events=["run.started"])
    hook.answer(500)
    await tocsin.send(type="run.started", pipeline="etl", run_id="1", time="2026-11-21T02:00:00Z")
    await tocsin.settle()
    await tocsin.send(
        type="stage.failed",
        pipeline="etl",
        run_id="1",
        stage="load",
        data={"error": "disk full"},
    )
    await tocsin.send(type="run.failed", pipeline="etl", run_id="1", time="2026-11-21T02:10:00Z")
    await tocsin.wait_out()
    first, second = hook.expect(2)
    assert b"failed" not in first.body
    assert second.headers["host"] == "hooks.slack.com"
    assert json.loads(second.body)["text"]


async def test_a_message_goes_on_where_another_fails(tocsin: Running) -> None:
    # S0-07 S1-06 S3-04
    bad, good = tocsin.receiver.hook("/bad"), tocsin.receiver.hook("/good")
    for hook in (bad, good):
        await tocsin.webhook(hook, enabled_events=["*"])
    bad.always(500)
    for number in range(5):
        assert (await tocsin.send(id=f"e{number}"))["duplicate"] is False
    await tocsin.settle()
    assert len(good.expect(5)) == 5
    assert len(bad.all_new()) >= 5


async def test_a_hanging_receiver_delays_nobody(start: Any) -> None:
    # F29
    tocsin = await start(WEBHOOK_CUSTOM_TIMEOUT_SECONDS="30")
    slow, quick = tocsin.receiver.hook("/slow", "127.0.0.2"), tocsin.receiver.hook("/quick")
    for hook in (slow, quick):
        await tocsin.webhook(hook, enabled_events=["*"])
    slow.hang()
    for number in range(60):
        await tocsin.send(id=f"e{number}")
    await quick.got(60)
    assert slow.most_under_way <= MOST_IN_FLIGHT
    slow.let_go()
    await tocsin.wait_out()
    quick.expect(60)
    assert len({m.id for m in slow.all_new()}) == 60
    assert await tocsin.statuses() == {"delivered": 120}


@pytest.mark.parametrize(
    "body", [b"\x00\x01\x02", b"\xff\xfe\xed", "\ud800".encode("utf-8", "surrogatepass"), b"<script>", b"x" * 100_000]
)
@pytest.mark.parametrize("status", [200, 500])
async def test_hostile_answers_are_recorded(tocsin: Running, body: bytes, status: int) -> None:
    """PostgreSQL takes no NUL and no broken UTF-8: one such answer must not keep the others from being recorded."""
    bad, good = tocsin.receiver.hook("/bad"), tocsin.receiver.hook("/good")
    for hook in (bad, good):
        await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 1})
    bad.always(Reply(status, body))
    await tocsin.send()
    await tocsin.settle()
    bad.expect(1)
    good.expect(1)
    assert await tocsin.statuses() == {"delivered": 2} if status == 200 else {"delivered": 1, "dead": 1}
    for delivery in await tocsin.deliveries():
        whole = (await tocsin.client.get(f"/v1/deliveries/{delivery['id']}")).ok()
        assert len(whole["log"]) == 1
        assert len(whole["log"][0]["response_body"]) <= 2000
        assert "\x00" not in whole["log"][0]["response_body"] + whole["error_message"]


async def test_a_redirect_is_not_followed(tocsin: Running) -> None:
    # S12
    hook, other = tocsin.receiver.hook("/moved"), tocsin.receiver.hook("/elsewhere")
    await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 1})
    hook.always(Reply(302, "", {"location": other.url}))
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    delivery = await tocsin.delivery()
    assert delivery["status"] == "dead"
    assert "redirect" in delivery["reason"]
