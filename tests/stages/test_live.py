"""One message per run: posted once, edited as the run goes on, answered beneath; whatever happens in between."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Running, Start
from tocsin.fakes import Answer
from tocsin.fakes.slack import FakeSlack
from tocsin.provider_kit.provider import Limit
from tocsin.store.database import StoreUnavailable

pytestmark = pytest.mark.anyio

TOKEN = "xoxb-1234567890-tocsin-fake-workspace"
STAGES = ("extract", "check", "load", "train", "evaluate", "publish")


def at(tocsin: Running, ms: int = 0) -> str:
    """The clock's time as events carry it."""
    return datetime.fromtimestamp((tocsin.clock.now_ms + ms) / 1000, UTC).isoformat()


async def bot(tocsin: Running, **settings: Any) -> FakeSlack:
    """A channel that a bot tells everything."""
    slack = FakeSlack(limits=True)
    tocsin.receiver.play(slack)
    body = {
        "provider_type": "slack_bot",
        "name": "alerts",
        "enabled_events": ["*"],
        "settings": {"bot_token": TOKEN, "channel": "#alerts", "mention_on_failure": "U0ONCALL"} | settings,
    }
    (await tocsin.client.post("/v1/webhooks", body)).ok(201)
    return slack


async def tell(tocsin: Running, type_: str, stage: str = "", **event: Any) -> None:
    about = {"pipeline": "etl/orders", "run_id": "r1", "time": at(tocsin)} | ({"stage": stage} if stage else {})
    await tocsin.send(type=type_, **about | event)


async def test_a_run_of_six_stages_is_one_message(tocsin: Running) -> None:
    # S0-01, S0-06
    slack = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.settle()
    (root,) = slack.messages
    for stage in STAGES:
        await tell(tocsin, "stage.started", stage)
        await tocsin.move(4)
        await tell(tocsin, "stage.succeeded", stage)
        await tocsin.move(4)
    await tell(tocsin, "run.succeeded")
    await tocsin.wait_out()
    (root,) = slack.messages
    assert "succeeded" in root.text
    assert all(later - earlier >= 3000 for earlier, later in zip(root.edited_ms, root.edited_ms[1:], strict=False))
    assert root.reactions == ["white_check_mark"]
    told = " ".join(reply.text + str(reply.blocks) for reply in root.replies)
    assert all(stage in told for stage in STAGES)
    assert not any("U0ONCALL" in reply.text + str(reply.blocks) for reply in root.replies)
    assert set(await tocsin.statuses()) == {"delivered"}


async def test_fifty_updates_in_five_seconds_are_two_edits(tocsin: Running) -> None:
    # S0-06
    slack = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.settle()
    start_ms = tocsin.clock.now_ms
    for number in range(50):
        await tell(tocsin, "run.progress", data={"step": number, "rows": number * 100})
        await tocsin.move(0.1)
    in_time = [ms for ms in slack.messages[0].edited_ms if ms <= start_ms + 5000]
    assert len(in_time) <= 2
    await tocsin.wait_out()
    (root,) = slack.messages
    assert "4,900" in str(root.blocks) + root.text  # the newest state is the last
    assert len(root.edited_ms) <= 3
    assert await tocsin.statuses() == {"delivered": 51}


async def test_a_failure_is_a_reply_that_wakes_and_the_recovery_closes_it(tocsin: Running) -> None:
    # S0-01, S1-17
    slack = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.move(5)
    await tell(tocsin, "run.failed", data={"error": "CUDA out of memory"})
    await tocsin.wait_out()
    (root,) = [message for message in slack.messages if not message.broadcast]
    assert "failed" in root.text
    assert "U0ONCALL" not in root.text + str(root.blocks)
    (alarm,) = root.replies
    assert "U0ONCALL" in alarm.text + str(alarm.blocks)
    assert "CUDA out of memory" in alarm.text + str(alarm.blocks)
    assert root.reactions == ["x"]
    # The run is taken up again, and gets through.
    await tocsin.move(60)
    await tell(tocsin, "run.succeeded", data={"error": ""})
    await tocsin.wait_out()
    assert "succeeded" in root.text
    assert len(root.replies) == 2
    assert "ecovered" in root.replies[1].text + str(root.replies[1].blocks)
    assert "U0ONCALL" not in root.replies[1].text + str(root.replies[1].blocks)


async def test_a_failure_without_a_start_is_one_message_that_wakes(tocsin: Running) -> None:
    slack = await bot(tocsin)
    await tell(tocsin, "run.failed", data={"error": "no space left"})
    await tocsin.wait_out()
    (root,) = slack.messages
    assert "U0ONCALL" in root.text + str(root.blocks)
    assert root.replies == []


@pytest.mark.parametrize("word", ["message_not_found", "cant_update_message", "edit_window_closed"])
async def test_a_message_that_is_gone_is_posted_anew(tocsin: Running, word: str) -> None:
    slack = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.move(5)
    slack.next.append(Answer(200, b'{"ok":false,"error":"%s"}' % word.encode()))
    await tell(tocsin, "run.succeeded")
    await tocsin.wait_out()
    first, second = slack.messages
    assert "succeeded" in second.text
    assert first.edits == []
    assert set(await tocsin.statuses()) == {"delivered"}


async def test_a_thread_that_is_locked_gets_the_alarm_as_a_new_message(tocsin: Running) -> None:
    slack = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.move(5)
    slack.next.append(Answer(200, b'{"ok":false,"error":"restricted_action_thread_locked"}'))
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    assert len(slack.messages) == 2
    assert "U0ONCALL" in slack.messages[1].text + str(slack.messages[1].blocks)


async def test_a_limit_of_one_method_holds_for_all_channels_of_the_token(tocsin: Running) -> None:
    """A second channel of the same bot waits too, and what is paced is not lost."""
    slack = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.settle()
    slack.next.append(Answer(429, b'{"ok":false,"error":"ratelimited"}', {"retry-after": "30"}))
    await tocsin.move(5)
    await tell(tocsin, "run.succeeded")
    await tocsin.settle()
    assert slack.messages[0].edits == []
    await tocsin.wait_out()
    assert "succeeded" in slack.messages[0].text
    assert set(await tocsin.statuses()) == {"delivered"}


async def test_a_clock_that_is_set_back_does_not_hold_a_shared_limit_for_as_long(tocsin: Running) -> None:
    turns, limit = tocsin.app.deliver.conversations, (Limit("of a token", 1, 1.0),)
    assert await turns._take_limits("default", limit) == 0
    tocsin.clock.move(-10 * 3600)
    held_ms = await turns._take_limits("default", limit) - tocsin.clock.now_ms
    assert held_ms == 15 * 60_000
    tocsin.clock.move(held_ms / 1000)
    assert await turns._take_limits("default", limit) == 0
    assert await turns._take_limits("default", limit) == tocsin.clock.now_ms + 1000


async def test_a_crash_between_post_and_record_costs_one_message_more_at_the_most(tocsin: Running) -> None:
    # F03
    slack = await bot(tocsin)
    talking = tocsin.app.deliver.conversations
    note = talking._note

    async def dies(*_: Any) -> bool:
        talking._note = note  # type: ignore[method-assign]
        raise StoreUnavailable("gone between post and record")

    for type_, seen in (("run.started", 2), ("run.failed", 2)):
        talking._note = dies  # type: ignore[method-assign,assignment]
        await tell(tocsin, type_)
        await tocsin.wait_out()
        roots = [message for message in slack.messages if not message.thread_ts]
        assert len(roots) == seen  # one of them is left behind, once
    assert len(roots[-1].replies) <= 2
    assert "failed" in roots[-1].text
    assert await tocsin.statuses() == {"delivered": 2}


async def test_two_workers_write_one_message(start: Start) -> None:
    one = await start()
    if one.dialect == "sqlite":
        pytest.skip("one process alone uses SQLite")
    two = await start()
    slack = await bot(one)
    for number in range(12):
        await tell(one if number % 2 else two, "run.progress", data={"rows": number})
        await one.move(1)
        await two.settle()
    await tell(one, "run.succeeded")
    await one.wait_out()
    await two.wait_out()
    (root,) = slack.messages
    assert "succeeded" in root.text


async def test_the_environment_alone_is_enough(start: Start) -> None:
    # S3-01
    tocsin = await start(SLACK_BOT_TOKEN=TOKEN, SLACK_DEFAULT_CHANNEL="#alerts", SLACK_ENABLED="true")
    slack = FakeSlack(limits=True)
    tocsin.receiver.play(slack)
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    assert len(slack.messages) == 1
    shown = (await tocsin.client.get("/v1/webhooks")).body
    assert TOKEN.encode() not in shown


async def test_slack_switched_off(start: Start) -> None:
    # S3-01
    tocsin = await start(SLACK_BOT_TOKEN=TOKEN, SLACK_DEFAULT_CHANNEL="#alerts", SLACK_ENABLED="false")
    slack = FakeSlack()
    tocsin.receiver.play(slack)
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    assert slack.messages == []
    (delivery,) = await tocsin.deliveries()
    assert (delivery["status"], delivery["reason"]) == ("suppressed", "SLACK_ENABLED is off")


async def test_secret_settings_are_sealed_and_come_back_masked(tocsin: Running) -> None:
    # S1-14
    await bot(tocsin)
    (shown,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    assert shown["settings"]["bot_token"] == "…" + TOKEN[-10:]
    assert TOKEN not in str(await tocsin.app.db.read("sealed_endpoints", {"after": "", "limit": 10}))
    # What comes back as it is shown stays as it is.
    changed = shown["settings"] | {"mention_on_failure": False}
    (await tocsin.client.patch(f"/v1/webhooks/{shown['id']}", {"settings": changed})).ok()
    slack = FakeSlack()
    tocsin.receiver.play(slack)
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    assert len(slack.messages) == 1
