"""PagerDuty and its like: an alarm is opened once, and closed by the recovery, whatever comes in between."""

import json
from typing import Any

import pytest

from tests.harness import Running
from tocsin.fakes import Answer
from tocsin.fakes.pagerduty import FakePagerDuty

pytestmark = pytest.mark.anyio

KEY = "0123456789abcdef0123456789abcdef"


async def pager(tocsin: Running, **fields: Any) -> FakePagerDuty:
    """An on-call service that is told of failures only."""
    fake = FakePagerDuty()
    tocsin.receiver.play(fake)
    body = {
        "provider_type": "pagerduty",
        "name": "on-call",
        "enabled_events": ["run.failed"],
        "settings": {"routing_key": KEY},
    }
    (await tocsin.client.post("/v1/webhooks", body | fields)).ok(201)
    return fake


async def told(tocsin: Running) -> list[tuple[str, str]]:
    """What was sent, in order: the action and its key."""
    found = []
    for delivery in reversed(await tocsin.deliveries()):
        whole = (await tocsin.client.get(f"/v1/deliveries/{delivery['id']}")).ok()
        for attempt in whole["log"]:
            if attempt["status"] == "sent":
                sent = json.loads(attempt["request_body"])
                found.append((sent["event_action"], sent["dedup_key"]))
    return found


async def fails(tocsin: Running, run_id: str = "r1") -> None:
    await tocsin.send(type="run.failed", pipeline="etl/orders", run_id=run_id, data={"error": "boom"})


async def gets_through(tocsin: Running, run_id: str = "r2") -> None:
    await tocsin.send(type="run.succeeded", pipeline="etl/orders", run_id=run_id)


async def test_a_success_resolves_what_a_failure_triggered(tocsin: Running) -> None:
    # S4-15; the endpoint asks for failures only
    await pager(tocsin)
    await fails(tocsin)
    await tocsin.settle()
    await gets_through(tocsin)
    await tocsin.settle()
    (first, key), (second, same) = await told(tocsin)
    assert (first, second) == ("trigger", "resolve")
    assert key == same
    # Nothing is open any more: the next success has nothing to say.
    await gets_through(tocsin, "r3")
    await tocsin.settle()
    assert len(await told(tocsin)) == 2


async def test_only_what_was_announced_is_resolved(tocsin: Running) -> None:
    # case 25
    await pager(tocsin, enabled_events=["*"])
    await gets_through(tocsin)
    await tocsin.settle()
    assert await told(tocsin) == []
    (delivery,) = await tocsin.deliveries()
    assert (delivery["status"], delivery["reason"]) == ("suppressed", "there is no alarm to close")


async def test_a_second_failure_is_the_same_alarm(tocsin: Running) -> None:
    await pager(tocsin)
    for number in range(3):
        await fails(tocsin, f"r{number}")
        await tocsin.settle()
    await gets_through(tocsin, "r9")
    await tocsin.settle()
    actions = await told(tocsin)
    assert [action for action, _ in actions] == ["trigger"] * 3 + ["resolve"]
    assert len({key for _, key in actions}) == 1


async def test_what_is_over_before_it_could_be_sent_wakes_nobody(tocsin: Running) -> None:
    # case 2: the trigger is held up, the recovery comes meanwhile
    fake = await pager(tocsin)
    fake.next.append(Answer(500, b"{}"))
    await fails(tocsin)
    await tocsin.settle()
    await gets_through(tocsin)
    await tocsin.wait_out()
    assert [action for action, _ in await told(tocsin)] in ([], ["resolve"])
    statuses = await tocsin.statuses()
    assert statuses == {"cancelled": 1, "delivered": 1}


async def test_other_pipelines_do_not_resolve_it(tocsin: Running) -> None:
    await pager(tocsin)
    await fails(tocsin)
    await tocsin.send(type="run.succeeded", pipeline="etl/other", run_id="x")
    await tocsin.settle()
    assert [action for action, _ in await told(tocsin)] == ["trigger"]


async def test_alarms_of_two_tenants_are_apart(tocsin: Running) -> None:
    # case 39
    await pager(tocsin)
    stranger = await tocsin.as_("admin", "other")
    await fails(tocsin)
    await tocsin.settle()
    await tocsin.send(stranger, type="run.succeeded", pipeline="etl/orders", run_id="r2")
    await tocsin.settle()
    assert [action for action, _ in await told(tocsin)] == ["trigger"]


async def test_a_silence_does_not_keep_an_alarm_ringing(tocsin: Running) -> None:
    # case 26, the other way round: what was told is closed
    await pager(tocsin, enabled_events=["*"])
    await fails(tocsin)
    await tocsin.settle()
    body = {"matchers": [{"field": "pipeline", "value": "etl/*"}], "duration_s": 3600, "reason": "deploy"}
    (await tocsin.client.post("/v1/silences", body)).ok(201)
    await gets_through(tocsin)
    await tocsin.settle()
    assert [action for action, _ in await told(tocsin)] == ["trigger", "resolve"]


async def test_an_alarm_that_cannot_be_closed_now_is_closed_later(tocsin: Running) -> None:
    await pager(tocsin)
    await fails(tocsin)
    await tocsin.settle()
    (webhook,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/disable")).ok()
    await gets_through(tocsin)
    await tocsin.settle()
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    await gets_through(tocsin, "r3")
    await tocsin.settle()
    assert [action for action, _ in await told(tocsin)] == ["trigger", "resolve"]


async def pager_of_two(tocsin: Running) -> None:
    """An on-call service that is told of every failure of a pipeline, and of two in a row."""
    await pager(tocsin, enabled_events=[])
    (webhook,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    window = {"kind": "failures", "count": 2}
    await tocsin.rule(webhook, event_types=["run.*"], pipelines=["etl/orders"], window=window)
    await tocsin.rule(webhook, event_types=["run.failed"])


async def test_of_two_alarms_that_a_success_ends_none_goes_on_ringing(tocsin: Running) -> None:
    await pager_of_two(tocsin)
    await fails(tocsin)
    await fails(tocsin, "r2")
    await tocsin.settle()
    (one, first), (other, second) = await told(tocsin)
    assert (one, other) == ("trigger", "trigger")
    assert first != second
    await gets_through(tocsin, "r3")
    await gets_through(tocsin, "r4")  # one event makes one message at one place
    await tocsin.settle()
    assert {key for action, key in await told(tocsin) if action == "resolve"} == {first, second}


async def test_an_alarm_is_closed_though_a_rule_has_nothing_to_say_of_it(tocsin: Running) -> None:
    await pager_of_two(tocsin)
    await fails(tocsin)
    await tocsin.settle()
    await gets_through(tocsin)
    await tocsin.settle()
    (opened, key), (closed, same) = await told(tocsin)
    assert ((opened, closed), key) == (("trigger", "resolve"), same)


async def test_a_silence_does_not_keep_a_rules_alarm_ringing(tocsin: Running) -> None:
    await pager_of_two(tocsin)
    await fails(tocsin)
    await fails(tocsin, "r2")
    await tocsin.settle()
    body = {"matchers": [{"field": "pipeline", "value": "etl/*"}], "duration_s": 3600}
    (await tocsin.client.post("/v1/silences", body)).ok(201)
    await gets_through(tocsin, "r3")
    await gets_through(tocsin, "r4")
    await tocsin.settle()
    found = await told(tocsin)
    assert [action for action, _ in found] == ["trigger", "trigger", "resolve", "resolve"]
    assert {key for _, key in found[:2]} == {key for _, key in found[2:]}
