"""Dead letters, and sending them again."""

from datetime import UTC, datetime

import pytest

from tests.harness import Running, Start

pytestmark = pytest.mark.anyio


def rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


async def test_a_dead_letter_goes_again_with_the_same_id_and_bytes(tocsin: Running) -> None:
    # S4-07
    hook = tocsin.receiver.hook("/down")
    await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 2})
    hook.answer(500, 500)
    await tocsin.send()
    await tocsin.wait_out()
    delivery = await tocsin.delivery(status="dead")
    answer = await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/replay")
    assert answer.ok(202)["status"] in ("retrying", "sending", "delivered")
    await tocsin.settle()
    messages = hook.expect(3)
    assert len({(m.id, m.body) for m in messages}) == 1
    again = await tocsin.delivery()
    assert (again["status"], again["attempts"]) == ("delivered", 3)
    assert [attempt["status"] for attempt in again["log"]] == ["failed", "failed", "sent"]


async def test_a_replay_has_a_whole_schedule(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/down")
    await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 3})
    hook.always(500)
    await tocsin.send()
    await tocsin.wait_out()
    hook.expect(3)
    (await tocsin.client.post(f"/v1/deliveries/{(await tocsin.delivery())['id']}/replay")).ok(202)
    assert len(await tocsin.wait_out()) == 2
    hook.expect(3)
    delivery = await tocsin.delivery()
    assert (delivery["status"], delivery["attempts"]) == ("dead", 6)


async def test_what_is_on_its_way_is_not_replayed(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/slow")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(500)
    await tocsin.send()
    await tocsin.settle()
    delivery = await tocsin.delivery(status="retrying")
    (await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/replay")).problem(409)
    await tocsin.wait_out()
    hook.expect(2)


async def test_replay_by_filter(tocsin: Running) -> None:
    # S4-07 F47
    first, second = tocsin.receiver.hook("/first"), tocsin.receiver.hook("/second")
    webhooks = []
    for hook in (first, second):
        webhooks.append(await tocsin.webhook(hook))
        await tocsin.rule(webhooks[-1], retry={"max_attempts": 1})
        hook.always(500)
    begin = rfc3339(tocsin.clock.now_ms)
    for number in range(4):
        await tocsin.send(id=f"e{number}")
        await tocsin.move(10)
    first.expect(4)
    second.expect(4)
    first.always(200)
    second.always(200)
    asked = {"webhook_id": webhooks[0]["id"]}
    dry = (await tocsin.client.post("/v1/deliveries/replay", asked | {"dry_run": True})).ok()
    assert dry == {"count": 4, "replayed": 0, "dry_run": True}
    await tocsin.wait_out()
    first.expect(0)
    real = (await tocsin.client.post("/v1/deliveries/replay", asked)).ok(202)
    assert real == {"count": 4, "replayed": 4, "dry_run": False}
    await tocsin.settle()
    assert len({m.id for m in first.expect(4)}) == 4
    assert await tocsin.statuses(webhook_id=webhooks[1]["id"]) == {"dead": 4}
    # A span of time: the second and the third.
    span = {"since": rfc3339(tocsin.clock.now_ms - 31_000), "until": rfc3339(tocsin.clock.now_ms - 15_000)}
    recover = await tocsin.client.post(f"/v1/webhooks/{webhooks[1]['id']}/recover", span)
    assert recover.ok(202)["replayed"] == 2
    await tocsin.settle()
    assert {m.json["id"] for m in second.expect(2)} == {"e1", "e2"}
    # All of what was delivered, on purpose.
    all_of_it = {"since": begin, "status": ["delivered"]}
    assert (await tocsin.client.post("/v1/deliveries/replay", all_of_it)).ok(202)["replayed"] == 6
    await tocsin.settle()
    first.expect(4)
    second.expect(2)


async def test_replay_by_filter_asks_for_a_filter(tocsin: Running) -> None:
    (await tocsin.client.post("/v1/deliveries/replay", {})).problem(400, "")
    (await tocsin.client.post("/v1/deliveries/replay", {"status": ["pending"]})).problem(400)
    (await tocsin.client.post("/v1/deliveries/replay", {"tenant_id": "x"})).problem(400, "tenant_id")


async def test_replays_of_more_than_a_page(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/down")
    webhook = await tocsin.webhook(hook, is_active=False)
    await tocsin.rule(webhook)
    count = 1203
    for start in range(0, count, 401):
        events = [{"type": "run.failed", "id": f"e{n}"} for n in range(start, start + 401)]
        (await tocsin.client.post("/v1/events", {"events": events})).ok(202)
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    asked = {"webhook_id": webhook["id"], "status": ["suppressed"]}
    assert (await tocsin.client.post("/v1/deliveries/replay", asked)).ok(202)["replayed"] == count
    await tocsin.settle()
    assert len({m.json["id"] for m in hook.expect(count)}) == count


async def test_a_replay_does_not_go_round_a_flag(start: Start) -> None:
    # S1-05: off is off
    tocsin = await start(NOTIFICATIONS_WEBHOOK_ENABLED="false")
    hook = tocsin.receiver.hook("/off")
    await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.send()
    await tocsin.settle()
    delivery = await tocsin.delivery(status="suppressed")
    await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/replay")
    await tocsin.settle()
    hook.expect(0)
    assert "NOTIFICATIONS_WEBHOOK_ENABLED" in (await tocsin.delivery())["reason"]
