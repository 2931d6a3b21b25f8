"""One place that says why somebody was told, or was not (S1-20); and rules that are tried before they are trusted."""

from typing import Any

import pytest

from tests.harness import Running, Start

pytestmark = pytest.mark.anyio


async def why(tocsin: Running, event_id: str = "e1") -> dict[str, Any]:
    found: dict[str, Any] = (await tocsin.client.get(f"/v1/events/{event_id}/why")).ok()
    assert found["event_id"] == event_id
    assert found["summary"].endswith(".")
    assert "\n" not in found["summary"]
    return found


async def test_no_rules(tocsin: Running) -> None:
    await tocsin.send(id="e1")
    assert (await why(tocsin))["summary"].startswith("Nobody was told: there is no rule")


async def test_event_not_enabled(tocsin: Running) -> None:
    await tocsin.webhook("https://example.com/hook", name="orders", enabled_events=["training.*"])
    await tocsin.send(id="e1", type="workflow.failed")
    found = await why(tocsin)
    assert found["summary"] == "Nobody was told: none of the 1 rules asks for this event."
    (decision,) = found["decisions"]
    assert (decision["rule"], decision["verdict"]) == ("events of orders", "not_matched")
    assert decision["reason"] == "the type workflow.failed (kind run.failed) is not one of training.*"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"pipelines": ["etl/*"]}, "the pipeline ml/train is not one of etl/*"),
        ({"labels": {"env": "prod"}}, "the label env is dev, not prod"),
        ({"labels": {"team": "*"}}, "the event has no label team"),
        ({"condition": "data.rows < 10"}, "the condition is false"),
        ({"condition": "data.missing > 1"}, "data.missing is missing"),
        ({"condition": 'run.status == "failed"'}, "run.status is missing"),
    ],
)
async def test_not_matched_and_why(tocsin: Running, rule: dict[str, Any], reason: str) -> None:
    webhook = await tocsin.webhook("https://example.com/hook")
    await tocsin.rule(webhook, name="mine", **rule)
    await tocsin.send(id="e1", pipeline="ml/train", labels={"env": "dev"}, data={"rows": 12})
    found = await why(tocsin)
    (decision,) = found["decisions"]
    assert decision["verdict"] == "not_matched"
    assert reason in decision["reason"]
    assert found["deliveries"] == []
    assert "Nobody was told" in found["summary"]


async def test_matched(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook)
    rule = await tocsin.rule(webhook, name="few rows", condition="data.rows < 20 && event.severity == 'error'")
    await tocsin.send(id="e1", data={"rows": 12})
    await tocsin.settle()
    hook.expect(1)
    found = await why(tocsin)
    assert found["decisions"] == [
        {"rule_id": rule["id"], "rule": "few rows", "verdict": "matched", "reason": "", "webhooks": [webhook["id"]]}
    ]
    assert found["summary"] == "This event led to 1 notification: 1 delivered."
    assert [(d["status"], d["attempts"]) for d in found["deliveries"]] == [("delivered", 1)]


async def test_failed(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 1})
    hook.always(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    assert "1 dead" in (await why(tocsin))["summary"]
    assert "HTTP 500" in (await why(tocsin))["summary"]


async def test_covered_by_an_earlier_rule(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.rule(webhook, name="first")
    await tocsin.rule(webhook, name="second")
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    found = {decision["rule"]: decision["verdict"] for decision in (await why(tocsin))["decisions"]}
    assert found == {"first": "matched", "second": "covered", "events of test": "covered"}


async def test_too_many_failures(tocsin: Running) -> None:
    # S1-20: the endpoint was switched off
    hook = tocsin.receiver.hook("/gone")
    await tocsin.webhook(hook, enabled_events=["run.*"])
    hook.answer(410)
    await tocsin.send(id="e0")
    await tocsin.settle()
    hook.expect(1)
    await tocsin.send(id="e1")
    await tocsin.settle()
    found = await why(tocsin)
    assert "pending" in found["summary"]
    assert "switched off" in found["summary"] or "HTTP 410" in found["summary"], found["summary"]


async def test_switched_off(tocsin: Running) -> None:
    await tocsin.webhook("https://example.com/hook", enabled_events=["*"], is_active=False)
    await tocsin.send(id="e1")
    assert "the webhook is switched off" in (await why(tocsin))["summary"]


async def test_flag_off(start: Start) -> None:
    tocsin = await start(NOTIFICATIONS_WEBHOOK_ENABLED="false")
    await tocsin.webhook("https://example.com/hook", enabled_events=["*"])
    await tocsin.send(id="e1")
    assert "NOTIFICATIONS_WEBHOOK_ENABLED is off" in (await why(tocsin))["summary"]


async def test_a_rule_without_endpoints(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook")
    await tocsin.rule(webhook, name="orphan")
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    await tocsin.send(id="e1")
    assert (await why(tocsin))["summary"] == (
        "Nobody was told: orphan matched: its endpoints were deleted, or it has none."
    )


async def test_what_was_decided_stays_what_was_decided(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook")
    rule = await tocsin.rule(webhook, name="mine", condition="data.rows < 10")
    await tocsin.send(id="e1", data={"rows": 12})
    (await tocsin.client.patch(f"/v1/alert-rules/{rule['id']}", {"condition": "data.rows < 20"})).ok()
    later = await tocsin.rule(webhook, name="later")
    found = {decision["rule_id"]: decision for decision in (await why(tocsin))["decisions"]}
    assert found[rule["id"]]["reason"] == "the condition is false"
    assert found[later["id"]]["reason"] == "it was made or changed after the event came in"


async def test_a_test_message_says_so(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook)
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/test")).ok()
    hook.expect(1)
    (event,) = (await tocsin.client.get("/v1/events?type=tocsin.test")).ok()["items"]
    found = await why(tocsin, event["id"])
    assert found["decisions"][0]["rule"] == "test message"


EVENTS: list[dict[str, Any]] = [
    {"id": "a", "type": "run.failed", "pipeline": "etl/orders", "data": {"rows": 5}, "labels": {"env": "prod"}},
    {"id": "b", "type": "run.failed", "pipeline": "etl/orders", "data": {"rows": 50}, "labels": {"env": "prod"}},
    {"id": "c", "type": "run.succeeded", "pipeline": "etl/orders", "data": {"rows": 5}, "labels": {"env": "prod"}},
    {"id": "d", "type": "training.failed", "pipeline": "ml/train", "data": {}, "labels": {"env": "prod"}},
    {"id": "e", "type": "run.failed", "pipeline": "etl/x", "data": {"rows": 5}, "labels": {"env": "dev"}},
]
RULE: dict[str, Any] = {
    "name": "few rows",
    "event_types": ["run.failed"],
    "pipelines": ["etl/*"],
    "labels": {"env": "prod"},
    "condition": "data.rows < 10",
}


async def test_preview_test_and_production_agree(tocsin: Running) -> None:
    # design 1.6
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook)
    for event in EVENTS:
        await tocsin.send(**event | {"source": "before"})
    preview = (await tocsin.client.post("/v1/alert-rules/preview", RULE)).ok()
    rule = await tocsin.rule(webhook, **RULE)
    saved = (await tocsin.client.post(f"/v1/alert-rules/{rule['id']}/preview")).ok()
    assert preview == saved
    assert (preview["events"], preview["matched"]) == (5, 1)
    for event in EVENTS:
        await tocsin.send(**event | {"source": "after"})
    await tocsin.settle()
    sent = {message.json["id"] for message in hook.expect(1)}
    for event, said in zip(reversed(EVENTS), preview["items"], strict=True):
        asked = {name: value for name, value in event.items() if name != "id"}
        tested = (await tocsin.client.post(f"/v1/alert-rules/{rule['id']}/test", asked)).ok()
        found = (await tocsin.client.get(f"/v1/events/{event['id']}/why?source=after")).ok()
        (decision,) = found["decisions"]
        verdict = event["id"] in sent
        assert said["event_id"] == event["id"]
        assert said["matched"] == tested["matched"] == verdict == (decision["verdict"] == "matched")
        assert said["reason"] == tested["reason"] == decision["reason"]
    assert (await tocsin.client.get("/v1/events")).ok()["items"][0]["id"] == "e"


async def test_preview_and_production_agree_about_runs(tocsin: Running) -> None:
    """A condition over the run sees the run, wherever it is asked."""
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook)
    body = {"name": "long", "event_types": ["run.failed"], "condition": "run.duration_s > 3600.0"}
    times = {"run.started": "2026-11-21T02:00:00Z", "run.failed": "2026-11-21T04:00:00Z"}
    for type_, time in times.items():
        await tocsin.send(id=type_, type=type_, pipeline="etl", run_id="r1", time=time)
    preview = (await tocsin.client.post("/v1/alert-rules/preview", body)).ok()
    assert {item["event_id"]: item["matched"] for item in preview["items"]} == {
        "run.started": False,
        "run.failed": True,
    }
