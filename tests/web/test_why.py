"""One place that says why somebody was told of an event, or was not (S1-20)."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.harness import Reply, Running, Start
from tocsin.rules.hours import utc as minute

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
    reason = "the type workflow.failed (kind run.failed) is not one of training.*"
    assert found["summary"] == f"Nobody was told: rule events of orders: {reason}."
    (decision,) = found["decisions"]
    assert (decision["rule"], decision["verdict"]) == ("events of orders", "not_matched")
    assert decision["reason"] == reason


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
    at = minute(tocsin.clock.now_ms)
    assert found["summary"] == f"test was told at {at}, by rule few rows."
    (delivery,) = found["deliveries"]
    told = {
        "webhook": "test",
        "status": "delivered",
        "attempts": 1,
        "reason": "",
        "fate": f"told at {at}",
        "told_in": "",
    }
    assert {name: delivery[name] for name in told} == told


async def test_failed(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 1})
    hook.always(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    assert (await why(tocsin))["summary"] == "Nobody was told: rule test: dead after 1 attempt: HTTP 500."


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
    assert (await why(tocsin))["summary"] == (
        "test is not told yet: it waits, since the webhook was switched off: HTTP 410."
    )


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
        "Nobody was told: rule orphan matched, but its endpoints were deleted, or it has none."
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


async def test_of_many_rules_the_nearest_is_named(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook")
    await tocsin.rule(webhook, name="other type", event_types=["training.*"])
    await tocsin.rule(webhook, name="other team", event_types=["run.*"], labels={"team": "ml"})
    await tocsin.rule(webhook, name="other pipeline", pipelines=["ml/*"])
    await tocsin.send(id="e1", pipeline="etl/orders", labels={"team": "data"})
    nearest = "other team: the label team is data, not ml"
    assert (await why(tocsin))["summary"] == (
        f"Nobody was told: none of the 3 rules asks for this event; nearest is {nearest}."
    )


async def test_a_condition_that_failed_is_nearer_than_a_pattern(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook")
    await tocsin.rule(webhook, name="other team", labels={"team": "ml"})
    await tocsin.rule(webhook, name="few rows", condition="data.rows < 10")
    await tocsin.send(id="e1", data={"rows": 12})
    assert (await why(tocsin))["summary"].endswith("nearest is few rows: the condition is false.")


async def test_a_rule_that_is_switched_off(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook")
    await tocsin.rule(webhook, name="asleep", is_active=False)
    await tocsin.send(id="e1")
    found = await why(tocsin)
    assert found["summary"] == "Nobody was told: rule asleep: the rule is switched off."
    assert [decision["verdict"] for decision in found["decisions"]] == ["not_matched"]


async def test_too_many_failures_in_a_row(tocsin: Running) -> None:
    # S1-20: 10 consecutive failures
    hook = tocsin.receiver.hook("/hook")
    await tocsin.rule(await tocsin.webhook(hook, name="orders"), retry={"max_attempts": 1})
    hook.always(500)
    for number in range(10):
        await tocsin.send(id=f"f{number}")
        await tocsin.settle()
    hook.expect(10)
    await tocsin.send(id="e1")
    await tocsin.settle()
    assert (await why(tocsin))["summary"] == (
        "orders is not told yet: it waits, since the webhook was switched off: 10 failures in a row."
    )


async def test_a_rate_limit_of_the_provider(tocsin: Running) -> None:
    # S1-20: rate limited
    hook = tocsin.receiver.slack()
    await tocsin.webhook(hook, name="#ops", enabled_events=["*"])
    hook.answer(Reply(429, "", {"retry-after": "120"}))
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    at = minute(tocsin.clock.now_ms + 120_000)
    summary = (await why(tocsin))["summary"]
    assert summary.startswith(f"#ops is not told yet: attempt 1 failed, and it is tried again at {at}: HTTP 429")
    await tocsin.send(id="e2")
    await tocsin.settle()
    assert (await why(tocsin, "e2"))["summary"] == (
        f"#ops is not told yet: it waits until {at}: the provider's rate limit is used up."
    )
    await tocsin.move(120)
    await tocsin.move(2)
    hook.expect(2)
    assert (await why(tocsin, "e2"))["summary"].startswith("#ops was told at ")


async def test_a_rate_limit_of_the_rule(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.rule(await tocsin.webhook(hook, name="orders"), rate_limit={"count": 1, "per_s": 600})
    await tocsin.send(id="e0")
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    at = minute(tocsin.clock.now_ms + 600_000)
    assert (await why(tocsin))["summary"] == (
        f"orders is not told yet: it waits until {at}: the rule's rate limit is used up."
    )


async def test_a_retry(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, name="orders", enabled_events=["*"])
    hook.answer(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    summary = (await why(tocsin))["summary"]
    assert summary.startswith("orders is not told yet: attempt 1 failed, and it is tried again at ")
    assert summary.endswith("HTTP 500.")


async def test_expired(tocsin: Running) -> None:
    hook = tocsin.receiver.slack()
    await tocsin.webhook(hook, name="#ops", enabled_events=["*"])
    hook.always(500)
    await tocsin.send(id="e1")
    await tocsin.wait_out()
    await tocsin.move(86_400)
    hook.all_new()
    assert "Nobody was told: rule events of #ops: expired after " in (await why(tocsin))["summary"]


async def test_cancelled_by_a_person_and_replayed(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, name="orders", enabled_events=["*"])
    hook.answer(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    (delivery,) = await tocsin.deliveries()
    ana = await tocsin.as_("admin", user="ana")
    (await ana.post(f"/v1/deliveries/{delivery['id']}/cancel", {})).ok()
    assert (await why(tocsin))["summary"] == (
        "Nobody was told: rule events of orders: cancelled by ana after 1 attempt."
    )
    (await tocsin.client.post("/v1/webhooks/" + delivery["webhook_id"] + "/disable", {})).ok()
    (await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/replay", {})).ok(202)
    await tocsin.settle()
    assert "it was replayed" in (await why(tocsin))["summary"]
    (await tocsin.client.post("/v1/webhooks/" + delivery["webhook_id"] + "/enable", {})).ok()
    await tocsin.settle()
    hook.expect(1)
    assert (await why(tocsin))["summary"].startswith("orders was told at ")


async def test_a_webhook_that_was_deleted_meanwhile(tocsin: Running) -> None:
    # case 40
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, name="orders", enabled_events=["*"])
    hook.answer(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    assert (await why(tocsin))["summary"] == (
        "Nobody was told: rule events of orders: cancelled after 1 attempt: the webhook was deleted."
    )


async def test_a_flag_that_was_switched_off_while_it_waited(start: Start) -> None:
    tocsin = await start()
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, name="orders", enabled_events=["*"])
    hook.answer(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    tocsin.app.tuning["webhook"] = replace(tocsin.app.tuning["webhook"], off="NOTIFICATIONS_WEBHOOK_ENABLED is off")
    await tocsin.wait_out()
    assert (await why(tocsin))["summary"] == (
        "Nobody was told: rule events of orders: NOTIFICATIONS_WEBHOOK_ENABLED is off."
    )


async def test_an_event_that_came_twice_is_one(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, name="orders", enabled_events=["*"])
    await tocsin.send(id="e1")
    assert (await tocsin.send(id="e1"))["duplicate"] is True
    await tocsin.settle()
    hook.expect(1)
    assert len((await why(tocsin))["deliveries"]) == 1


async def test_of_two_sources_with_one_id_the_source_says_which(tocsin: Running) -> None:
    await tocsin.send(id="e1", source="airflow", type="run.failed")
    await tocsin.send(id="e1", source="dagster", type="run.succeeded")
    for source, type_ in (("airflow", "run.failed"), ("dagster", "run.succeeded")):
        found = (await tocsin.client.get(f"/v1/events/e1/why?source={source}")).ok()
        assert found["event_type"] == type_


async def test_some_were_told_and_some_were_not(tocsin: Running) -> None:
    one, two, three = (tocsin.receiver.hook(f"/{name}") for name in ("one", "two", "three"))
    for name, hook in (("one", one), ("two", two)):
        await tocsin.webhook(hook, name=name, enabled_events=["*"])
    await tocsin.webhook(three, name="three", enabled_events=["*"], is_active=False)
    two.answer(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    one.expect(1)
    two.expect(1)
    summary = (await why(tocsin))["summary"]
    told, waits, silent = summary.removesuffix(".").split("; ")
    assert told.startswith("one was told at ")
    assert told.endswith(", by rule events of one")
    assert waits.startswith("two is not told yet: attempt 1 failed")
    assert silent == "three was not told: the webhook is switched off"


async def test_many_were_told(tocsin: Running) -> None:
    hooks = [tocsin.receiver.hook(f"/{number}") for number in range(5)]
    made = [await tocsin.webhook(hook, name=f"w{number}") for number, hook in enumerate(hooks)]
    await tocsin.rule(*made, name="all")
    await tocsin.send(id="e1")
    await tocsin.settle()
    for hook in hooks:
        hook.expect(1)
    assert (await why(tocsin))["summary"] == "w0, w1, w2 and 2 more were told, by rule all."


async def test_hostile_names_stay_on_one_line(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/hook", name="a\nb\u202ec")
    await tocsin.rule(webhook, name="x\r\ny" + "z" * 190, labels={"l": "1"})
    await tocsin.send(id="e1", labels={"l": "2\n3" + "4" * 200})
    summary = (await why(tocsin))["summary"]
    assert "\u202e" not in summary
    assert len(summary) < 600


async def test_another_tenants_event_is_not_there(tocsin: Running) -> None:
    await tocsin.send(id="e1")
    other = await tocsin.as_("admin", tenant="other")
    (await other.get("/v1/events/e1/why")).problem(404)
