"""Trying again: when, how often, until when."""

import pytest

from tests.harness import Reply, Running, Start
from tocsin.stages import sweep

pytestmark = pytest.mark.anyio

STANDARD_S = (2, 4, 8, 60, 300, 1800, 7200, 18_000, 36_000)


def close(steps: list[float], plain: tuple[float, ...]) -> bool:
    """Within 20 % of the plain schedule."""
    return len(steps) == len(plain) and all(0.79 * p <= step <= 1.21 * p for step, p in zip(steps, plain, strict=True))


async def test_the_whole_schedule(tocsin: Running) -> None:
    # S1-04 S4-07 S4-16
    hook = tocsin.receiver.hook("/down")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send()
    steps = await tocsin.wait_out()
    assert close(steps, STANDARD_S), steps
    assert any(abs(step / plain - 1) > 0.001 for step, plain in zip(steps, STANDARD_S, strict=True)), "no jitter"
    hook.expect(10)
    delivery = await tocsin.delivery()
    assert (delivery["status"], delivery["attempts"]) == ("dead", 10)
    assert "all 10 attempts failed" in delivery["reason"]
    # S1-04: every retry is logged
    assert [attempt["number"] for attempt in delivery["log"]] == list(range(1, 11))


async def test_nothing_goes_before_it_is_due(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/down")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    due_s = await tocsin.next_due_s()
    assert due_s is not None
    await tocsin.move(due_s - 0.1)
    hook.expect(0)
    assert (await tocsin.delivery())["status"] == "retrying"
    await tocsin.move(0.1)
    hook.expect(1)


async def test_max_attempts_of_a_rule(tocsin: Running) -> None:
    # S4-07
    hook = tocsin.receiver.hook("/down")
    await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 3})
    hook.always(500)
    await tocsin.send()
    assert close(await tocsin.wait_out(), (2, 4))
    hook.expect(3)
    assert (await tocsin.delivery())["status"] == "dead"


async def test_base_and_cap_of_a_rule(tocsin: Running) -> None:
    # S4-07
    hook = tocsin.receiver.hook("/down")
    await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 6, "base_s": 10, "cap_s": 50})
    hook.always(500)
    await tocsin.send()
    assert close(await tocsin.wait_out(), (10, 20, 40, 50, 50))
    hook.expect(6)


async def test_retry_attempts_from_the_environment(start: Start) -> None:
    # S1-04: WEBHOOK_CUSTOM_RETRY_ATTEMPTS=2 are two retries after the first attempt
    tocsin = await start(WEBHOOK_CUSTOM_RETRY_ATTEMPTS="2")
    hook = tocsin.receiver.hook("/down")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send()
    assert close(await tocsin.wait_out(), (2, 4))
    hook.expect(3)


async def test_slack_retry_attempts_from_the_environment(start: Start) -> None:
    # S1-04: the document's default of 3 is its 2 s, 4 s, 8 s
    tocsin = await start(SLACK_RETRY_ATTEMPTS="3")
    hook = tocsin.receiver.slack()
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send()
    assert close(await tocsin.wait_out(), (2, 4, 8))
    hook.expect(4)


async def test_a_timeout_counts_as_a_failure(start: Start) -> None:
    # S1-04
    tocsin = await start(WEBHOOK_CUSTOM_TIMEOUT_SECONDS="0.2")
    hook = tocsin.receiver.hook("/slow")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(Reply(delay_s=1.0))
    await tocsin.send()
    await tocsin.wait_out()
    hook.expect(2)
    delivery = await tocsin.delivery()
    assert delivery["status"] == "delivered"
    assert "timeout" in delivery["log"][0]["error_message"]
    assert delivery["log"][0]["http_status_code"] is None


@pytest.mark.parametrize("status", [400, 401, 403, 405, 408, 422, 425, 500, 502, 503, 504])
async def test_a_custom_webhook_is_tried_again(tocsin: Running, status: int) -> None:
    # S4-07
    hook = tocsin.receiver.hook("/some")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(status)
    await tocsin.send()
    assert close(await tocsin.wait_out(), (2,))
    hook.expect(2)
    assert (await tocsin.delivery())["status"] == "delivered"


async def test_a_retry_after_is_the_least_that_is_waited(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/busy")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(Reply(503, "", {"retry-after": "120"}))
    await tocsin.send()
    (step,) = await tocsin.wait_out()
    assert 120 <= step <= 121
    hook.expect(2)


async def test_a_message_expires_instead_of_being_sent_too_late(tocsin: Running) -> None:
    # F33
    hook = tocsin.receiver.slack()
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send()
    steps = await tocsin.wait_out()
    assert sum(steps) < 6 * 3600
    hook.all_new()
    delivery = await tocsin.delivery()
    assert delivery["status"] == "expired"
    assert "too old" in delivery["reason"]


async def test_what_waits_for_a_person_expires_too(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/gone")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(410)
    await tocsin.send()
    await tocsin.settle()
    await tocsin.send(id="waits")
    await tocsin.move(3 * 86_400 - 1)
    assert (await tocsin.delivery(event_id="waits"))["status"] == "pending"
    await tocsin.move(1)
    delivery = await tocsin.delivery(event_id="waits")
    assert delivery["status"] == "expired"
    assert delivery["reason"]
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    await tocsin.settle()
    hook.expect(1)


async def test_cancel(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/down")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.always(500)
    await tocsin.send()
    await tocsin.settle()
    delivery = await tocsin.delivery()
    cancelled = (await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/cancel")).ok()
    assert cancelled["status"] == "cancelled"
    assert cancelled["reason"].startswith("cancelled by ")
    await tocsin.wait_out()
    hook.expect(1)
    (await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/cancel")).problem(409)


async def test_cancelled_while_it_is_being_sent(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/slow")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.hang()
    await tocsin.send()
    await hook.got(1)
    (delivery,) = await tocsin.deliveries()
    (await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/cancel")).ok()
    hook.let_go()
    await tocsin.wait_out()
    hook.expect(1)
    assert (await tocsin.delivery())["status"] == "cancelled"


async def test_a_lease_that_was_lost_returns(tocsin: Running) -> None:
    """A worker that died holds deliveries until its lease ends; then somebody else sends them."""
    # F24 F25
    hook = tocsin.receiver.hook("/slow")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.hang()
    await tocsin.send()
    await hook.got(1)
    tocsin.clock.move(61)
    await tocsin.app.sweep.sweep()
    tocsin.app.deliver.wake()
    await hook.got(2)
    hook.let_go()
    await tocsin.wait_out()
    first, second = hook.expect(2)
    assert first.id == second.id
    delivery = await tocsin.delivery()
    assert delivery["status"] == "delivered"
    assert delivery["attempts"] == 1
    assert len(delivery["log"]) == 1
    assert tocsin.app.deliver.measured.lease_lost == 1


async def test_a_message_that_kills_its_workers_ends(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # F38
    monkeypatch.setattr(sweep, "LEASE_LOSSES", 2)
    hook = tocsin.receiver.hook("/slow")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.hang()
    await tocsin.send()
    for times in (1, 2):
        await hook.got(times)
        tocsin.clock.move(61)
        await tocsin.app.sweep.sweep()
        tocsin.app.deliver.wake()
    hook.let_go()
    await tocsin.wait_out()
    hook.expect(2)
    delivery = await tocsin.delivery()
    assert delivery["status"] == "dead"
    assert "died" in delivery["reason"]
