"""Endpoints that fail: counted, warned about, switched off, told elsewhere; and hosts, of which nobody is to blame."""

import asyncio
from typing import Any

import pytest

from tests.harness import PATIENCE_S, POLL_S, Hook, Received, Reply, Running, Start

pytestmark = pytest.mark.anyio

ONCE = {"max_attempts": 1}


async def failing(tocsin: Running, hook: Hook, **fields: Any) -> dict[str, Any]:
    """An endpoint with a rule of one attempt: each message that fails counts at once."""
    hook.always(500)
    webhook = await tocsin.webhook(hook, **fields)
    await tocsin.rule(webhook, event_type="run.failed", retry=ONCE)
    return webhook


async def send(tocsin: Running, count: int, prefix: str = "e") -> None:
    for number in range(count):
        await tocsin.send(id=f"{prefix}{number}")
        await tocsin.settle()


async def test_a_warning_at_five_and_off_at_ten(tocsin: Running) -> None:
    # S1-08
    hook, owner = tocsin.receiver.hook("/down"), tocsin.receiver.hook("/owner")
    webhook = await failing(tocsin, hook, name="orders")
    await tocsin.webhook(owner, enabled_events=["endpoint.*"])
    await send(tocsin, 4)
    owner.expect(0)
    await send(tocsin, 1, "fifth")
    (warning,) = owner.expect(1)
    assert warning.json["type"] == "endpoint.failing"
    assert warning.json["severity"] == "warning"
    await send(tocsin, 4, "more")
    owner.expect(0)
    assert (await tocsin.endpoint(webhook))["is_active"] is True
    assert (await tocsin.endpoint(webhook))["consecutive_failures"] == 9
    await send(tocsin, 1, "tenth")
    (notice,) = owner.expect(1)
    assert notice.json["type"] == "endpoint.disabled"
    assert "orders" in notice.json["title"]
    hook.expect(10)
    shown = await tocsin.endpoint(webhook)
    assert shown["is_active"] is False
    assert shown["disabled_reason"] == "10 failures in a row"
    assert "500" in shown["last_error"]
    # Nothing goes there any more, whatever comes; and nobody is told twice.
    await send(tocsin, 3, "later")
    await tocsin.move(3600)
    hook.expect(0)
    owner.expect(0)
    event = (await tocsin.client.get("/v1/events?type=endpoint.disabled")).ok()["items"]
    assert [e["data"]["webhook_id"] for e in event] == [webhook["id"]]


async def test_a_person_switches_it_on_again_and_what_waited_goes(tocsin: Running) -> None:
    # S1-08
    hook = tocsin.receiver.hook("/down")
    webhook = await failing(tocsin, hook)
    await send(tocsin, 10)
    hook.expect(10)
    await send(tocsin, 3, "waits")
    hook.expect(0)
    assert await tocsin.statuses() == {"dead": 10, "pending": 3}
    hook.always(200)
    shown = (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    assert (shown["is_active"], shown["disabled_reason"], shown["consecutive_failures"]) == (True, "", 0)
    await tocsin.settle()
    assert {m.json["id"] for m in hook.expect(3)} == {"waits0", "waits1", "waits2"}
    assert await tocsin.statuses() == {"dead": 10, "delivered": 3}


async def test_a_success_forgets_the_failures(tocsin: Running) -> None:
    # S1-08: consecutive
    hook, owner = tocsin.receiver.hook("/flaky"), tocsin.receiver.hook("/owner")
    webhook = await failing(tocsin, hook)
    await tocsin.webhook(owner, enabled_events=["endpoint.*"])
    for round_ in range(3):
        await send(tocsin, 9, f"round{round_}.")
        hook.answer(200)
        await tocsin.move(1)
        await send(tocsin, 1, f"good{round_}.")
        assert (await tocsin.endpoint(webhook))["consecutive_failures"] == 0
    hook.expect(30)
    assert (await tocsin.endpoint(webhook))["is_active"] is True
    # Each time it began to fail anew, somebody was told.
    assert [m.json["type"] for m in owner.expect(3)] == ["endpoint.failing"] * 3


async def test_one_message_that_is_retried_is_one_failure(tocsin: Running) -> None:
    """A failure is a message whose quick round is used up, not an attempt."""
    hook = tocsin.receiver.hook("/down")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send()
    await tocsin.wait_out(30)
    hook.expect(4)
    assert (await tocsin.endpoint(webhook))["consecutive_failures"] == 1
    await tocsin.wait_out()
    hook.expect(6)
    assert (await tocsin.endpoint(webhook))["consecutive_failures"] == 1


async def test_ten_at_once_switch_it_off_once(tocsin: Running) -> None:
    hook, owner = tocsin.receiver.hook("/down"), tocsin.receiver.hook("/owner")
    webhook = await failing(tocsin, hook)
    await tocsin.webhook(owner, enabled_events=["endpoint.disabled"])
    (await tocsin.client.post("/v1/events", {"events": [{"type": "run.failed", "id": f"e{n}"} for n in range(60)]})).ok(
        202
    )
    await tocsin.settle()
    owner.expect(1)
    assert (await tocsin.endpoint(webhook))["is_active"] is False
    sent = len(hook.all_new())
    # What was in flight when it was switched off ends; the rest waits.
    assert 10 <= sent < 30
    assert await tocsin.statuses(event_type="run.failed") == {"dead": sent, "pending": 60 - sent}


@pytest.mark.parametrize("status", [404, 410])
async def test_an_endpoint_that_is_gone_is_switched_off_at_once(tocsin: Running, status: int) -> None:
    # S4-07
    hook, owner = tocsin.receiver.hook("/gone"), tocsin.receiver.hook("/owner")
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, event_type="run.failed")
    await tocsin.webhook(owner, enabled_events=["endpoint.disabled"])
    hook.answer(status)
    await tocsin.send()
    await tocsin.wait_out()
    hook.expect(1)
    owner.expect(1)
    delivery = await tocsin.delivery(webhook_id=webhook["id"])
    assert (delivery["status"], delivery["http_status_code"]) == ("dead", status)
    assert (await tocsin.endpoint(webhook))["is_active"] is False
    # The dead letter can be replayed once it is back.
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    (await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/replay")).ok(202)
    await tocsin.settle()
    (again,) = hook.expect(1)
    assert again.id == delivery["id"]


async def test_the_owner_is_told_though_they_look_at_the_failing_one_too(tocsin: Running) -> None:
    """The notice is an event like any other: at the endpoint that was switched off it waits."""
    hook = tocsin.receiver.hook("/gone")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(410)
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    assert (await tocsin.delivery(event_type="endpoint.disabled"))["status"] == "pending"
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    await tocsin.settle()
    (notice,) = hook.expect(1)
    assert notice.json["type"] == "endpoint.disabled"


async def test_when_a_host_is_down_nobody_is_switched_off(tocsin: Running) -> None:
    # design 4: an outage of the host
    hooks = [tocsin.receiver.hook(f"/team{n}", "127.0.0.2") for n in range(4)]
    healthy = tocsin.receiver.hook("/elsewhere")
    webhooks = [await tocsin.webhook(hook, enabled_events=["*"]) for hook in [*hooks, healthy]]
    for hook in hooks:
        hook.always(503)
    for number in range(15):
        await tocsin.send(id=f"e{number}")
        await tocsin.settle()
    healthy.expect(15)
    for _ in range(20):
        await tocsin.move(5)
    # One probe at a time asks whether it is back: not every message its own question.
    asked = sum(len(hook.all_new()) for hook in hooks)
    assert asked <= 3 * 15 + 4 + 20 + 2
    assert all([(await tocsin.endpoint(webhook))["is_active"] for webhook in webhooks])
    for hook in hooks:
        hook.always(200)
    await tocsin.wait_out()
    assert sum(len({m.json["id"] for m in hook.all_new()}) for hook in hooks) == 60
    assert await tocsin.statuses() == {"delivered": 75}
    assert [(await tocsin.endpoint(webhook))["consecutive_failures"] for webhook in webhooks] == [0] * 5


async def test_a_host_that_comes_back_is_met_with_a_ramp(tocsin: Running) -> None:
    # F32
    hooks = [tocsin.receiver.hook(f"/team{n}", "127.0.0.2") for n in range(12)]
    for hook in hooks:
        await tocsin.webhook(hook, enabled_events=["*"])
        hook.always(503)
    for number in range(10):
        await tocsin.send(id=f"e{number}")
    await tocsin.settle()
    before = sum(len(hook.all_new()) for hook in hooks)
    seen: list[tuple[int, int]] = []

    def up_again(_: Received) -> Reply:
        under_way = sum(hook.under_way for hook in hooks)
        seen.append((under_way, sum(len(hook.received) for hook in hooks) - before - under_way))
        return Reply(200)

    for hook in hooks:
        hook.always(up_again)
        hook.hang()
    tocsin.clock.move(86_400)  # every one of them is due
    all_sent = asyncio.create_task(tocsin.settle())
    for together in (1, 2, 8):  # no answer before so many are under way
        async with asyncio.timeout(PATIENCE_S):
            while sum(hook.under_way for hook in hooks) < together:
                await asyncio.sleep(POLL_S)
        for hook in hooks:
            hook.let_go()
            hook.hang()
    for hook in hooks:
        hook.let_go()
    await all_sent
    await tocsin.wait_out()
    assert sum(len(hook.all_new()) for hook in hooks) == 120
    assert await tocsin.statuses() == {"delivered": 120}
    # One probe; then at most twice as many at once for each answer that came.
    assert seen[0] == (1, 0)
    assert all(under_way <= 2**answered for under_way, answered in seen), seen


async def test_messages_that_cannot_be_made_do_not_hold_a_host(tocsin: Running, logs: list[dict[str, Any]]) -> None:
    """A crash of ours between asking a recovering host's ramp and sending must not use up the ramp."""
    hosts = tocsin.app.deliver.hosts
    hook = tocsin.receiver.hook("/ramp", "127.0.0.3")
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, retry=ONCE)
    host = f"127.0.0.3:{tocsin.receiver.port}"
    for endpoint_id in "abc":
        hosts.ended(host, endpoint_id, ok=False, now_ms=tocsin.clock.now_ms)
    tocsin.clock.move(6)
    assert hosts.wait_s(host, tocsin.clock.now_ms) == 0
    hosts.ended(host, "a", ok=True, now_ms=tocsin.clock.now_ms)
    provider = tocsin.app.deliver
    whole = provider._send_fixed
    provider._send_fixed = lambda *_: 1 / 0  # type: ignore[assignment, method-assign]
    for number in range(4):
        await tocsin.send(id=f"poison{number}")
    await tocsin.wait_out(60)
    assert await tocsin.statuses() == {"dead": 4}
    provider._send_fixed = whole  # type: ignore[method-assign]
    assert [entry["event"] for entry in logs if entry.get("exc_info")] == ["deliver.failed"] * 4
    logs.clear()
    await tocsin.send(id="good")
    await tocsin.wait_out(60)
    assert (await tocsin.delivery(event_id="good"))["status"] == "delivered"
    hook.expect(1)


async def test_inactive_webhooks_get_nothing(tocsin: Running) -> None:
    # S1-10 S1-20
    hook = tocsin.receiver.hook("/off")
    webhook = await tocsin.webhook(hook, enabled_events=["*"], is_active=False)
    await tocsin.send(id="e1")
    await tocsin.settle()
    delivery = await tocsin.delivery()
    assert (delivery["status"], delivery["reason"]) == ("suppressed", "the webhook is switched off")
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"is_active": True})).ok()
    await tocsin.send(id="e2")
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.json["id"] == "e2"


@pytest.mark.parametrize(
    ("flag", "kind"), [("NOTIFICATIONS_SLACK_ENABLED", "slack"), ("NOTIFICATIONS_WEBHOOK_ENABLED", "webhook")]
)
async def test_a_flag_switches_a_provider_off(start: Start, flag: str, kind: str) -> None:
    # S1-05 S1-20
    tocsin = await start(**{flag: "false"})
    slack, custom = tocsin.receiver.slack(), tocsin.receiver.hook("/custom")
    for hook in (slack, custom):
        await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.send(id="e1")
    await tocsin.wait_out()
    (slack if kind == "slack" else custom).expect(0)
    (custom if kind == "slack" else slack).expect(1)
    delivery = await tocsin.delivery(provider_type=kind)
    assert (delivery["status"], delivery["reason"], delivery["attempts"]) == ("suppressed", f"{flag} is off", 0)
    why = (await tocsin.client.get("/v1/events/e1/why")).ok()
    assert f"{flag} is off" in why["summary"]


async def test_what_waited_when_a_flag_went_off_is_suppressed(start: Start, store: dict[str, str]) -> None:
    # S1-05
    tocsin = await start()
    hook = tocsin.receiver.hook("/custom")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    await tocsin.worker.stop()
    later = await start(NOTIFICATIONS_WEBHOOK_ENABLED="false")
    await later.wait_out()
    delivery = await later.delivery()
    assert (delivery["status"], delivery["attempts"]) == ("suppressed", 1)
    assert delivery["reason"] == "NOTIFICATIONS_WEBHOOK_ENABLED is off"


async def test_deleting_a_webhook_ends_what_waits_for_it(tocsin: Running) -> None:
    """A delivery always ends in a state that says why (design 3)."""
    hook = tocsin.receiver.hook("/deleted")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send(id="e1")
    await tocsin.settle()
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    await tocsin.wait_out()
    hook.expect(1)
    delivery = await tocsin.delivery()
    assert (delivery["status"], delivery["reason"]) == ("cancelled", "the webhook was deleted")
    (await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/replay")).problem(409)
    (await tocsin.client.get(f"/v1/webhooks/{webhook['id']}")).problem(404)
    await tocsin.send(id="e2")
    await tocsin.settle()
    assert len(await tocsin.deliveries()) == 1


async def test_a_test_message_goes_to_a_webhook_that_is_off(tocsin: Running) -> None:
    # S1-17
    hook, other = tocsin.receiver.hook("/new"), tocsin.receiver.hook("/other")
    webhook = await tocsin.webhook(hook, is_active=False)
    await tocsin.webhook(other, enabled_events=["*"])
    tested = (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/test")).ok()
    assert (tested["status"], tested["log"][0]["http_status_code"]) == ("delivered", 200)
    (message,) = hook.expect(1)
    assert message.json["type"] == "tocsin.test"
    hook.always(Reply(500, "no such channel"))
    tested = (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/test")).ok()
    assert tested["status"] == "dead"
    assert "no such channel" in tested["log"][0]["error_message"]
    await tocsin.wait_out()
    hook.expect(1)
    other.expect(0)


async def test_two_workers_tell_of_an_endpoint_once(start: Start, store: dict[str, str]) -> None:
    # S1-08: exactly once, over all processes
    if not store["TOCSIN_DATABASE_URL"]:
        pytest.skip("SQLite is for one process")
    one, two = await start(), await start()
    hook, owner = one.receiver.hook("/gone"), one.receiver.hook("/owner")
    await one.rule(await one.webhook(hook), event_type="run.failed")
    await one.webhook(owner, enabled_events=["endpoint.disabled"])
    hook.always(410)
    await asyncio.gather(*(tocsin.send(id=f"e{n}") for n in range(4) for tocsin in (one, two)))
    await one.settle()
    await asyncio.gather(one.app.sweep.sweep(), two.app.sweep.sweep())
    await one.settle()
    await two.settle()
    assert 1 <= len(hook.all_new()) <= 4
    owner.expect(1)


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_a_change_and_a_switching_off_do_not_wait_for_each_other(tocsin: Running) -> None:
    """Somebody changes what is set up while a receiver says that it is gone: both hold the tenant first."""
    hook = tocsin.receiver.hook("/gone")
    hook.always(410)
    webhook = await tocsin.webhook(hook, enabled_events=["run.failed"])
    async with tocsin.app.db.transaction() as tx:
        connection: Any = tx.connection  # type: ignore[attr-defined]
        await connection.execute("SET LOCAL deadlock_timeout = '20ms'")  # who waits in a circle, it is we
        await tx.fetch("bump_config", {"tenant_id": "default"})  # as every change begins
        await tocsin.send(type="run.failed")
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        async with asyncio.timeout(PATIENCE_S):
            while not await connection.fetchval(waits):
                await asyncio.sleep(POLL_S)
        await tx.fetch("clear_failures", {"tenant_id": "default", "id": webhook["id"]})
        await tx.fetch("cancel_waiting", {"tenant_id": "default", "id": webhook["id"], "reason": "x", "now": 0})
    await tocsin.settle()
    hook.expect(1)
    (delivery,) = (await tocsin.client.get("/v1/deliveries")).ok()["items"]
    assert (delivery["status"], delivery["reason"]) == ("cancelled", "x")
