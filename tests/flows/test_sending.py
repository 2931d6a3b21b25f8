"""What a flow's task sends in a server is a delivery like any other: durable, tried again, paced, in the log."""

import asyncio
import json
from typing import Any

import pytest

from tests.flows.test_engine import World
from tests.flows.test_messages import KEY, task
from tests.harness import Hook, Reply, Running
from tocsin.fakes.pagerduty import FakePagerDuty
from tocsin.flows.engine import execute
from tocsin.flows.execution import Execution
from tocsin.flows.reading import read_flow
from tocsin.flows.tasks import HANDLERS

pytestmark = pytest.mark.anyio


async def run(tocsin: Running, text: str, id_: str = "exe1") -> Execution:
    execution = Execution(read_flow("f.yml", text), World(), id_=id_, inputs={}, server=tocsin.app.inside("default"))
    await execute(execution, HANDLERS)
    return execution


def say(hook: Hook, **fields: Any) -> str:
    return task(
        "slack.SlackIncomingWebhook", url=hook.url, payload='{"text": "{{ execution.id }}", "blocks": []}', **fields
    )


async def test_a_message_is_a_delivery(tocsin: Running) -> None:  # S2-03
    hook = tocsin.receiver.slack()
    execution = await run(tocsin, say(hook))
    assert execution.state == "SUCCESS", execution.log_tail
    (message,) = hook.expect(1)
    assert message.json == {"text": "exe1", "blocks": []}
    await tocsin.settle()
    delivery = await tocsin.delivery()
    assert (delivery["status"], delivery["provider_type"], delivery["rule_id"]) == ("delivered", "slack", "flow")
    assert delivery["event_type"] == "flow.message"
    why = (await tocsin.client.get(f"/v1/events/{delivery['event_id']}/why")).ok()
    assert "the flow dev.f, task say" in json.dumps(why)
    (webhook,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    assert (webhook["enabled_events"], webhook["webhook_url"]) == ([], "…" + hook.url[-10:])
    assert hook.url not in json.dumps(webhook)
    assert (await tocsin.client.get("/v1/config")).ok()["endpoints"] == []  # nobody set it up, so no file has it
    audited = (await tocsin.client.get("/v1/audit?action=webhook.create")).ok()["items"]
    assert [entry["id"] for entry in audited] == [webhook["id"]]


async def test_all_flows_share_the_endpoint_of_a_place_and_its_pace(tocsin: Running) -> None:
    hook = tocsin.receiver.slack()
    running = [asyncio.create_task(run(tocsin, say(hook), f"exe{number}")) for number in range(3)]
    for _ in range(4):
        await asyncio.sleep(0)
        await tocsin.settle()
        await tocsin.move(1)
    await until_done(tocsin, running)
    assert len(hook.all_new()) == 3
    assert len((await tocsin.client.get("/v1/webhooks")).ok()["items"]) == 1


async def until_done(tocsin: Running, running: list["asyncio.Task[Execution]"]) -> None:
    while not all(one.done() for one in running):
        await tocsin.move(1)
        await asyncio.sleep(0.02)


async def test_what_fails_is_tried_again_and_the_task_waits_for_it(tocsin: Running) -> None:
    hook = tocsin.receiver.slack()
    hook.answer(503, 503)
    running = asyncio.create_task(run(tocsin, say(hook)))
    await hook.got(1)
    await until_done(tocsin, [running])
    assert running.result().state == "SUCCESS"
    assert len(hook.all_new()) == 3
    assert len((await tocsin.delivery())["log"]) == 3


async def test_what_is_refused_fails_the_task_and_is_a_dead_letter(tocsin: Running) -> None:
    hook = tocsin.receiver.slack()
    hook.always(Reply(400, "invalid_blocks"))
    execution = await run(tocsin, say(hook))
    assert execution.state == "FAILED"
    assert "its message is dead: invalid_blocks" in execution.log_tail
    hook.expect(1)
    assert (await tocsin.delivery())["status"] == "dead"


async def test_a_retry_of_the_task_sends_a_dead_letter_again_and_nothing_twice(tocsin: Running) -> None:
    hook = tocsin.receiver.slack()
    hook.answer(Reply(400, "invalid_blocks"))
    retry = {"type": "constant", "interval": "PT1S", "maxAttempts": 3}
    running = asyncio.create_task(run(tocsin, say(hook, retry=retry)))
    await hook.got(1)
    await until_done(tocsin, [running])
    assert running.result().state == "SUCCESS", running.result().log_tail
    hook.expect(2)
    assert (await tocsin.delivery())["status"] == "delivered"


async def test_what_a_person_has_switched_off_is_not_written_to(tocsin: Running) -> None:
    hook = tocsin.receiver.slack()
    await run(tocsin, say(hook))
    (webhook,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/disable")).ok()
    execution = await run(tocsin, say(hook), "exe2")
    assert execution.state == "FAILED"
    assert "its message is suppressed: the webhook is switched off" in execution.log_tail
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    execution = await run(tocsin, say(hook), "exe3")
    assert "somebody deleted the webhook" in execution.log_tail
    hook.expect(1)


async def test_keys_are_sealed_and_stand_in_no_body(tocsin: Running) -> None:
    fake = FakePagerDuty()
    tocsin.receiver.play(fake)
    payload = {"routing_key": KEY, "event_action": "trigger",
               "payload": {"summary": "x", "source": "y", "severity": "error"}}  # fmt: skip
    text = task("pagerduty.PagerDutyAlert", url="https://events.pagerduty.com/v2/enqueue", payload=json.dumps(payload))
    execution = await run(tocsin, text)
    assert execution.state == "SUCCESS", execution.log_tail
    await tocsin.settle()
    assert KEY not in json.dumps(await tocsin.delivery())
    assert KEY not in json.dumps((await tocsin.client.get("/v1/webhooks")).ok())


async def test_a_private_address_is_not_reached(tocsin: Running) -> None:
    text = task("slack.SlackIncomingWebhook", url="http://10.1.2.3/hook", payload='{"text": "x"}', timeout="PT1S")
    execution = await run(tocsin, text)
    assert execution.state == "FAILED"
    (delivery,) = await tocsin.deliveries()
    assert "10.1.2.3" not in (delivery["error_message"] or "") or "not allowed" in delivery["error_message"]
    assert delivery["status"] != "delivered"
