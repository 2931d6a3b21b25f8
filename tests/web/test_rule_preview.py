"""Rules are tried before they are trusted: previews and tests say what production would do."""

from typing import Any

import pytest

from tests.harness import Client, Running

pytestmark = pytest.mark.anyio

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


async def previewed(tocsin: Running, rule: dict[str, Any], client: Client | None = None, **more: Any) -> dict[str, Any]:
    """Of an unsaved rule."""
    found: dict[str, Any] = (await (client or tocsin.client).post("/v1/alert-rules/preview", rule | more)).ok()
    return found


async def of_saved(tocsin: Running, rule: dict[str, Any], **patch: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await tocsin.client.post(f"/v1/alert-rules/{rule['id']}/preview", patch)).ok()
    return found


async def test_preview_test_and_production_agree(tocsin: Running) -> None:
    # design 1.6
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, name="orders")
    for event in EVENTS:
        await tocsin.send(**event | {"source": "before"})
    preview = await previewed(tocsin, RULE, webhook_endpoint_id=webhook["id"])
    rule = await tocsin.rule(webhook, **RULE)
    saved = await of_saved(tocsin, rule)
    assert preview["items"] == [item | {"before": []} for item in saved["items"]]
    assert (preview["events"], preview["matched"], preview["notifications"]) == (5, 1, 1)
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
        assert said["notifies"] == (["orders"] if verdict else [])
        assert said["reason"] == tested["reason"] == decision["reason"]
    assert (await tocsin.client.get("/v1/events")).ok()["items"][0]["id"] == "e"


async def test_preview_and_production_agree_about_runs(tocsin: Running) -> None:
    """A condition over the run sees the run, wherever it is asked, as it was then."""
    body = {"name": "long", "event_types": ["run.failed"], "condition": "run.duration_s > 3600.0"}
    times = {"run.started": "2026-11-21T02:00:00Z", "run.failed": "2026-11-21T04:00:00Z"}
    for type_, time in times.items():
        await tocsin.send(id=type_, type=type_, pipeline="etl", run_id="r1", time=time)
    for last in (2, 1):
        preview = await previewed(tocsin, body, last=last)
        assert preview["events"] == last
        assert [item["event_id"] for item in preview["items"] if item["matched"]] == ["run.failed"]


async def test_a_change_says_what_it_would_change(tocsin: Running) -> None:
    """31 → 9: the saved version tells of every failure, the changed one of the first of each trouble."""
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, name="orders")
    rule = await tocsin.rule(webhook, event_types=["run.*"])
    for number in range(6):
        await tocsin.send(id=f"f{number}", pipeline="etl", run_id=f"r{number}")
    await tocsin.send(id="ok", type="run.succeeded", pipeline="etl", run_id="r9")
    await tocsin.settle()
    hook.expect(7)
    same = await of_saved(tocsin, rule)
    assert (same["before"], same["notifications"]) == (7, 7)
    found = await of_saved(tocsin, rule, changes={})
    assert found["change"] == "last 7 events: 7 → 2 notifications"
    assert (found["matched"], found["suppressed"]) == (7, 5)
    told = {item["event_id"]: item["notifies"] for item in found["items"]}
    assert told == {"ok": ["orders"], "f0": ["orders"]} | {f"f{number}": [] for number in range(1, 6)}
    assert all(item["before"] == ["orders"] for item in found["items"])
    assert found["items"][1]["reason"].startswith("still failing since ")
    (await tocsin.client.patch(f"/v1/alert-rules/{rule['id']}", {"changes": {}})).ok()
    again = await of_saved(tocsin, rule)
    assert (again["before"], again["notifications"]) == (2, 2)


async def test_windows_groups_and_limits_fold(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook", name="orders")
    for number in range(10):
        await tocsin.send(id=f"f{number}", pipeline="etl", run_id=f"r{number}")
    asks = {"name": "x", "webhook_endpoint_id": webhook["id"]}
    row = await previewed(tocsin, asks | {"window": {"kind": "failures", "count": 3}})
    assert row["change"] == "last 10 events: 0 → 1 notifications"
    assert [item["event_id"] for item in row["items"] if item["notifies"]] == ["f2"]
    assert row["items"][-1]["reason"] == "1 of 3 failures in a row"
    grouped = await previewed(tocsin, asks | {"group": {"by": ["pipeline"]}})
    assert (grouped["matched"], grouped["suppressed"], grouped["notifications"]) == (10, 9, 1)
    assert grouped["items"][0]["reason"] == "told together with f0 (pipeline=etl)"
    flood = await previewed(tocsin, asks | {"flood": {"count": 4, "per_s": 3600}})
    assert (flood["matched"], flood["notifications"]) == (10, 5)


async def test_silences_and_switches_count(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook", name="orders")
    silence = {"matchers": [{"field": "pipeline", "value": "etl"}], "duration_s": 3600, "reason": "deploy"}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    await tocsin.send(id="e1", pipeline="etl")
    asks = {"name": "x", "webhook_endpoint_id": webhook["id"]}
    found = await previewed(tocsin, asks)
    assert (found["matched"], found["suppressed"], found["notifications"]) == (1, 1, 0)
    assert "deploy" in found["items"][0]["reason"]
    off = await tocsin.webhook("https://example.com/off", name="off", is_active=False)
    await tocsin.send(id="e2", pipeline="ml")
    found = await previewed(tocsin, {"name": "x", "webhook_endpoint_id": off["id"]})
    assert found["items"][0]["reason"] == "the webhook is switched off"
    assert (await tocsin.deliveries()) == []


async def test_another_rule_that_leads_there_already_counts(tocsin: Running) -> None:
    """A rule that narrows what its webhook is told anyway changes nothing, and the preview says so."""
    webhook = await tocsin.webhook(tocsin.receiver.hook("/hook"), name="orders", enabled_events=["*"], is_active=True)
    for number in range(3):
        await tocsin.send(id=f"e{number}")
    await tocsin.settle()
    tocsin.receiver.hooks["127.0.0.1", "/hook"].expect(3)
    found = await previewed(tocsin, {"name": "x", "webhook_endpoint_id": webhook["id"], "condition": "false"})
    assert found["change"] == "last 3 events: 3 → 3 notifications"


async def test_an_earlier_rule_covers_it(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, name="orders")
    await tocsin.rule(webhook, name="first")
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    found = await previewed(tocsin, {"name": "x", "webhook_endpoint_id": webhook["id"]})
    assert found["items"][0]["reason"] == "an earlier rule already leads to its endpoints"
    assert found["change"] == "last 1 events: 1 → 1 notifications"


async def test_a_rule_that_is_off_tells_nobody_until_it_is_on(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook", name="orders")
    rule = await tocsin.rule(webhook, is_active=False)
    await tocsin.send(id="e1")
    switched_on = await of_saved(tocsin, rule)
    assert switched_on["change"] == "last 1 events: 0 → 1 notifications"
    still_off = await of_saved(tocsin, rule, name="renamed")
    assert still_off["change"] == "last 1 events: 0 → 0 notifications"
    assert still_off["items"][0]["reason"] == "the rule is switched off"


async def test_what_the_clock_would_have_brought(tocsin: Running) -> None:
    """A watch that was not there is tried: the run that hung, at the time at which it would have been told."""
    webhook = await tocsin.webhook("https://example.com/hook", name="orders")
    await tocsin.send(id="s", type="run.started", pipeline="etl", run_id="r1")
    await tocsin.move(7200)
    await tocsin.send(id="e", type="run.succeeded", pipeline="etl", run_id="r1")
    rule = {"name": "x", "webhook_endpoint_id": webhook["id"], "event_types": ["run.exceeded"]}
    found = await previewed(tocsin, rule | {"watch": {"exceeded_s": 3600}})
    (late,) = [item for item in found["items"] if item["by_clock"]]
    assert (late["event_type"], late["pipeline"], late["notifies"]) == ("run.exceeded", "etl", ["orders"])
    assert found["events"] == 2
    assert found["notifications"] >= 1


async def test_nothing_is_stored_by_a_preview(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook")
    rule = await tocsin.rule(webhook, is_active=False, window={"kind": "failures", "count": 3})
    for number in range(3):
        await tocsin.send(id=f"e{number}", pipeline="etl", run_id=str(number))
    await of_saved(tocsin, rule)
    await previewed(tocsin, {"name": "x", "webhook_endpoint_id": webhook["id"], "group": {}})
    for table in ("rule_state", "fold", "timer", "hidden", "delivery"):
        assert await count(tocsin, table) == 0, table


async def count(tocsin: Running, table: str) -> int:
    db: Any = tocsin.app.db
    if tocsin.dialect == "sqlite":
        return int(next(iter(db.writer.execute(f"SELECT count(*) FROM {table}")))[0])
    async with db.pool.acquire() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_it_looks_at_so_many_events(tocsin: Running) -> None:
    for number in range(60):
        await tocsin.send(id=f"e{number}")
    assert (await previewed(tocsin, {"name": "x"}))["events"] == 50
    assert (await previewed(tocsin, {"name": "x"}, last=7))["events"] == 7
    for wrong in (0, 501, "ten"):
        (await tocsin.client.post("/v1/alert-rules/preview", {"name": "x", "last": wrong})).problem(400, "last")


async def test_no_events_no_change(tocsin: Running) -> None:
    found = await previewed(tocsin, {"name": "x"})
    assert (found["events"], found["items"], found["change"]) == (0, [], "last 0 events: 0 → 0 notifications")


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"condition": "data.rows <"}, "condition"),
        ({"webhook_endpoint_ids": ["whk_1"]}, "webhook_endpoint_ids[0]"),
        ({"window": {"kind": "failures", "count": 0}}, "window.count"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_changes_that_cannot_be(standing: Running, patch: dict[str, Any], field: str) -> None:
    rule = await standing.rule(name="x")
    (await standing.client.post(f"/v1/alert-rules/{rule['id']}/preview", patch)).problem(400, field)


async def test_another_tenants_rules_and_events_are_not_there(tocsin: Running) -> None:
    rule = await tocsin.rule(name="x")
    await tocsin.send(id="e1")
    other = await tocsin.as_("admin", tenant="other")
    (await other.post(f"/v1/alert-rules/{rule['id']}/preview", {})).problem(404)
    (await other.post(f"/v1/alert-rules/{rule['id']}/test", {"type": "run.failed"})).problem(404)
    assert (await previewed(tocsin, {"name": "x"}, other))["events"] == 0


async def test_a_test_takes_one_event(tocsin: Running) -> None:
    rule = await tocsin.rule(name="x", is_active=False, condition='run.status == "failed"')
    path = f"/v1/alert-rules/{rule['id']}/test"
    found = (await tocsin.client.post(path, {"type": "run.failed", "pipeline": "etl", "run_id": "r1"})).ok()
    assert (found["matched"], found["kind"]) == (True, "run.failed")
    (await tocsin.client.post(path, {"events": [{"type": "a"}, {"type": "b"}]})).problem(400, "events")
    assert (await tocsin.client.get("/v1/events")).ok()["items"] == []
