"""Rate limits: what is paced waits, and is never dropped."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from tests.harness import Hook, Received, Reply, Running, Start

pytestmark = pytest.mark.anyio


def gaps_s(messages: list[Received]) -> list[float]:
    return [(later.at_ms - earlier.at_ms) / 1000 for earlier, later in pairwise(messages)]


async def batch(tocsin: Running, count: int, **fields: Any) -> None:
    events = [{"type": "run.failed", "id": f"e{n}"} | fields for n in range(count)]
    (await tocsin.client.post("/v1/events", {"events": events})).ok(202)


async def test_a_429_pauses_the_endpoint(tocsin: Running) -> None:
    # S1-03
    hook, other = tocsin.receiver.hook("/limited"), tocsin.receiver.hook("/other")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.webhook(other, enabled_events=["*"])
    hook.answer(Reply(429, "slow down", {"retry-after": "2"}))
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    for number in range(2, 6):
        await tocsin.send(id=f"e{number}")
    await tocsin.move(1.9)
    hook.expect(0)
    other.expect(5)
    await tocsin.move(0.2)
    assert {m.json["id"] for m in hook.expect(5)} == {"e1", "e2", "e3", "e4", "e5"}
    delivery = await tocsin.delivery(event_id="e1", webhook_id=webhook["id"])
    assert delivery["status"] == "delivered"
    assert [a["status"] for a in delivery["log"]] == ["rate_limited", "sent"]
    assert (await tocsin.endpoint(webhook))["consecutive_failures"] == 0


async def test_a_pause_holds_for_other_processes_too(start: Start) -> None:
    # S1-03: also for the one that comes after this one
    one = await start()
    hook = one.receiver.hook("/limited")
    await one.webhook(hook, enabled_events=["*"])
    hook.answer(Reply(429, "", {"retry-after": "60"}))
    await one.send(id="e1")
    await one.settle()
    hook.expect(1)
    await one.worker.stop()
    two = await start(works=False)
    await two.send(id="e2")
    await two.worker.stop()
    three = await start()
    await three.move(58)
    hook.expect(0)
    await three.move(3)
    assert {m.json["id"] for m in hook.expect(2)} == {"e1", "e2"}


async def test_429s_use_up_no_attempts(tocsin: Running) -> None:
    # S1-03 S1-08
    hook = tocsin.receiver.hook("/limited")
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, retry={"max_attempts": 2})
    hook.answer(*[Reply(429, "", {"retry-after": "1"})] * 15)
    await tocsin.send()
    assert len(await tocsin.wait_out()) == 15
    hook.expect(16)
    delivery = await tocsin.delivery()
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 16)
    assert (await tocsin.endpoint(webhook))["consecutive_failures"] == 0


async def test_a_429_that_does_not_say_for_how_long(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/limited")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(429)
    await tocsin.send()
    (step,) = await tocsin.wait_out()
    assert 1 <= step <= 60
    hook.expect(2)


async def paced(tocsin: Running, hooks: list[Hook], seconds: float, step_s: float) -> None:
    for _ in range(round(seconds / step_s)):
        await tocsin.move(step_s)


async def test_slack_gets_one_message_a_second(tocsin: Running) -> None:
    # S1-03
    slack, custom = tocsin.receiver.slack(), tocsin.receiver.hook("/custom")
    for hook in (slack, custom):
        await tocsin.webhook(hook, enabled_events=["*"])
    await batch(tocsin, 100)
    await tocsin.settle()
    custom.expect(100)
    assert len(slack.received) == 1
    await paced(tocsin, [slack], 99, 0.25)
    messages = slack.expect(100)
    assert min(gaps_s(messages)) >= 0.999
    assert await tocsin.statuses() == {"delivered": 200}


async def test_slack_gets_one_message_a_second_from_one_at_a_time_too(tocsin: Running) -> None:
    slack = tocsin.receiver.slack()
    await tocsin.webhook(slack, enabled_events=["*"])
    for number in range(10):
        await tocsin.send(id=f"e{number}")
        await tocsin.move(0.3)
    await tocsin.wait_out()
    assert min(gaps_s(slack.expect(10))) >= 0.999


async def test_each_slack_webhook_has_its_own_limit(tocsin: Running) -> None:
    # S1-03: per webhook
    hooks = [tocsin.receiver.slack(name) for name in "ABC"]
    for hook in hooks:
        await tocsin.webhook(hook, enabled_events=["*"])
    await batch(tocsin, 3)
    await tocsin.settle()
    assert [len(hook.all_new()) for hook in hooks] == [1, 1, 1]
    await tocsin.wait_out()
    assert [len(hook.all_new()) for hook in hooks] == [2, 2, 2]


async def test_the_rate_from_the_environment(start: Start) -> None:
    # S1-03
    tocsin = await start(SLACK_RATE_LIMIT_PER_WEBHOOK="4")
    slack = tocsin.receiver.slack()
    await tocsin.webhook(slack, enabled_events=["*"])
    await batch(tocsin, 9)
    await tocsin.settle()
    begin_ms = tocsin.clock.now_ms
    await tocsin.wait_out()
    assert 1.9 <= (tocsin.clock.now_ms - begin_ms) / 1000 <= 2.3
    assert min(gaps_s(slack.expect(9))) >= 0.249


async def test_the_limit_holds_over_all_workers(start: Start, store: dict[str, str]) -> None:
    # S1-03, design 4
    if not store["TOCSIN_DATABASE_URL"]:
        pytest.skip("SQLite is for one process")
    one, two = await start(), await start()
    slack = one.receiver.slack()
    await one.webhook(slack, enabled_events=["*"])
    await asyncio.gather(batch(one, 6), batch(two, 6, source="two"))
    for _ in range(12):
        await asyncio.gather(one.settle(), two.settle())
        one.clock.move(1)
    await asyncio.gather(one.settle(), two.settle())
    assert min(gaps_s(slack.expect(12))) >= 0.999


async def test_a_limit_survives_a_restart(start: Start) -> None:
    one = await start()
    slack = one.receiver.slack()
    await one.webhook(slack, enabled_events=["*"])
    await one.send(id="e1")
    await one.settle()
    await one.worker.stop()
    two = await start()
    await two.send(id="e2")
    await two.settle()
    slack.expect(1)
    await two.wait_out()
    slack.expect(1)


async def test_the_rate_limit_of_a_rule_spaces_its_messages(tocsin: Running) -> None:
    # S4-13
    hook, other = tocsin.receiver.hook("/limited"), tocsin.receiver.hook("/other")
    rule = await tocsin.rule(await tocsin.webhook(hook), rate_limit={"count": 2, "per_s": 10})
    await tocsin.rule(await tocsin.webhook(other))
    await batch(tocsin, 6)
    await tocsin.settle()
    other.expect(6)
    assert len(hook.received) == 2
    steps = await tocsin.wait_out()
    assert steps == pytest.approx([5, 5, 5, 5], abs=0.1)
    hook.expect(6)
    assert await tocsin.statuses(rule_id=rule["id"]) == {"delivered": 6}


async def test_the_rate_limit_of_a_rule_counts_over_requests(tocsin: Running) -> None:
    # S4-13
    hook = tocsin.receiver.hook("/limited")
    await tocsin.rule(await tocsin.webhook(hook), rate_limit={"count": 1, "per_s": 60})
    for number in range(3):
        await tocsin.send(id=f"e{number}")
    await tocsin.settle()
    assert len(hook.received) == 1
    assert await tocsin.wait_out() == pytest.approx([60, 60], abs=0.1)
    hook.expect(3)


async def test_slack_refuses_the_blocks_and_gets_words(tocsin: Running) -> None:
    # design 4
    slack = tocsin.receiver.slack()
    webhook = await tocsin.webhook(slack, enabled_events=["*"])
    slack.answer(Reply(400, "invalid_blocks"))
    await tocsin.send(title="Orders failed")
    await tocsin.wait_out()
    rich, plain = slack.expect(2)
    assert "blocks" in json.dumps(rich.json)
    assert "blocks" not in json.dumps(plain.json)
    assert "Orders failed" in plain.json["text"]
    assert (await tocsin.delivery())["status"] == "delivered"
    # Twice refused is dead, and says nothing about the endpoint.
    slack.answer(Reply(400, "invalid_blocks"), Reply(400, "no_text"))
    await tocsin.send(id="e2")
    await tocsin.wait_out()
    slack.expect(2)
    delivery = await tocsin.delivery(event_id="e2")
    assert (delivery["status"], delivery["attempts"], delivery["reason"]) == ("dead", 2, "no_text")
    assert (await tocsin.endpoint(webhook))["consecutive_failures"] == 0
    assert (await tocsin.endpoint(webhook))["is_active"] is True


@pytest.mark.parametrize("words", ["no_service", "channel_is_archived", "invalid_token"])
async def test_slack_says_that_the_webhook_is_dead(tocsin: Running, words: str) -> None:
    slack = tocsin.receiver.slack()
    webhook = await tocsin.webhook(slack, enabled_events=["run.*"])
    slack.answer(Reply(404, words))
    await tocsin.send()
    await tocsin.wait_out()
    slack.expect(1)
    assert (await tocsin.delivery())["reason"] == words
    assert (await tocsin.endpoint(webhook))["is_active"] is False


async def test_slack_without_rich_formatting(start: Start) -> None:
    # S1-02
    tocsin = await start(NOTIFICATIONS_ENABLE_RICH_FORMATTING="false")
    slack = tocsin.receiver.slack()
    await tocsin.webhook(slack, enabled_events=["*"])
    await tocsin.send()
    await tocsin.settle()
    (message,) = slack.expect(1)
    assert "blocks" not in json.dumps(message.json)


@pytest.mark.parametrize("enabled", [True, False])
async def test_mentions_can_be_switched_off(start: Start, enabled: bool) -> None:
    # S1-05 S1-18
    tocsin = await start(NOTIFICATIONS_ENABLE_MENTIONS=str(enabled).lower())
    slack = tocsin.receiver.slack()
    await tocsin.webhook(slack, enabled_events=["*"], settings={"mention_on_failure": True})
    await tocsin.send()
    await tocsin.settle()
    (message,) = slack.expect(1)
    assert ("<!here>" in message.body.decode()) is enabled


async def test_the_environment_alone_is_enough(start: Start) -> None:
    # S0-08
    url = "https://hooks.slack.com/services/T00000009/B00000009/" + "e" * 24
    tocsin = await start(SLACK_WEBHOOK_URL=url)
    hook = tocsin.receiver._added("hooks.slack.com", url.removeprefix("https://hooks.slack.com"), url)
    for type_ in ("run.started", "run.succeeded", "run.failed"):
        await tocsin.send(type=type_, pipeline="etl", run_id="1")
    await tocsin.wait_out()
    hook.expect(3)
    (shown,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    assert shown["webhook_url"] == "…" + url[-10:]
    # A restart makes no second one; another address replaces the first.
    await tocsin.worker.stop()
    again = await start(SLACK_WEBHOOK_URL=url.replace("eeeeee", "ffffff"))
    items = (await again.client.get("/v1/webhooks")).ok()["items"]
    assert [item["id"] for item in items] == [shown["id"]]
    assert items[0]["webhook_url"].endswith("ffffff")
