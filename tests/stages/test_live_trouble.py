"""One message per run when things go wrong: two workers, stale claims, refusals in the middle, settings that change."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import Running, Start
from tests.stages.test_live import TOKEN, at, tell
from tocsin.fakes import Answer, Asked
from tocsin.fakes.slack import Channel, FakeSlack, Message
from tocsin.stages.deliver.conversation import Held, Over, Said

pytestmark = pytest.mark.anyio

OTHER = "C0TOCSIN02"
WHOM = "U0ONCALL"


class Listening(FakeSlack):
    """Slack, with what it was asked. `refuses` says with which word a request is refused, "" for not at all."""

    def __init__(self) -> None:
        super().__init__(limits=True)
        self.channels[OTHER] = Channel(OTHER, "other")
        self.asked: list[Asked] = []
        self.refuses: Callable[[Asked], str] = lambda _: ""

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if word := self.refuses(asked):
            return Answer(200, b'{"ok":false,"error":"%s"}' % word.encode())
        return super().answer(asked)

    @property
    def roots(self) -> list[Message]:
        return [one for channel in self.channels.values() for one in channel.messages if not one.thread_ts]


async def bot(tocsin: Running, events: tuple[str, ...] = ("*",), **settings: Any) -> tuple[Listening, dict[str, Any]]:
    slack = Listening()
    tocsin.receiver.play(slack)
    body = {
        "provider_type": "slack_bot",
        "name": "alerts",
        "enabled_events": list(events),
        "settings": {"bot_token": TOKEN, "channel": "#alerts", "mention_on_failure": WHOM} | settings,
    }
    return slack, (await tocsin.client.post("/v1/webhooks", body)).ok(201)


async def begins(tocsin: Running) -> None:
    """The run's message is posted, long enough ago to be edited."""
    await tell(tocsin, "run.started")
    await tocsin.settle()
    await tocsin.move(5)


def seen(message: Message) -> str:
    return message.text + str(message.blocks) + str(message.attachments)


def is_reply(asked: Asked) -> bool:
    return asked.path.endswith("chat.postMessage") and b"thread_ts" in asked.body


# What was claimed a while ago.


async def test_a_claim_that_waited_shows_the_newest_state(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run as it was claimed may be older than what the message shows by now."""
    slack, _ = await bot(tocsin)
    await begins(tocsin)
    talking, began = tocsin.app.deliver.conversations, asyncio.Event()
    hold, go_on = talking.hold, asyncio.Event()

    async def late(item: Any, *rest: Any) -> Held | Over | Said:
        if item.event.kind == "run.progress":
            began.set()
            await go_on.wait()
        return await hold(item, *rest)

    monkeypatch.setattr(talking, "hold", late)
    await tell(tocsin, "run.progress", data={"rows": 7})
    await began.wait()
    await tell(tocsin, "run.succeeded")
    for _ in range(500):
        if (await tocsin.statuses()).get("delivered") == 2:
            break
        await asyncio.sleep(0.01)
    assert "succeeded" in slack.roots[0].text
    tocsin.clock.move(5)
    go_on.set()
    await tocsin.wait_out()
    (root,) = slack.roots
    assert "succeeded" in root.text
    assert len(root.edits) == 1
    assert await tocsin.statuses() == {"delivered": 3}


# Two writers.


async def test_a_writer_that_was_taken_over_says_no_more(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease ends while a request is on its way, and another worker does all that was left to do."""
    one = await start()
    if one.dialect == "sqlite":
        pytest.skip("one process alone uses SQLite")
    slack, _ = await bot(one)
    await begins(one)
    talking = one.app.deliver.conversations
    request, sent, go_on = talking._request, asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Held | Said:
        said = await request(*arguments)
        if not sent.is_set():
            sent.set()
            await go_on.wait()
        return said

    monkeypatch.setattr(talking, "_request", slow)
    await tell(one, "run.failed")
    await sent.wait()
    two = await start()
    await two.move(61)
    await two.wait_out()
    (root,) = slack.roots
    assert len(root.replies) == 2  # nobody can know that the first was taken
    asked = len(slack.asked)
    go_on.set()
    await one.wait_out()
    assert len(slack.asked) == asked
    assert await one.statuses() == {"delivered": 2}


async def test_a_conversation_does_not_outlive_its_lease(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request has to be over before somebody else may take the delivery: a slow one leaves the rest for later."""
    slack, _ = await bot(tocsin)
    await begins(tocsin)
    request, at_ms = tocsin.app.deliver.conversations._request, []
    began_ms = tocsin.clock.now_ms

    async def slow(item: Any, *rest: Any) -> Held | Said:
        said = await request(item, *rest)
        if isinstance(said, Said):
            at_ms.append((tocsin.clock.now_ms, item.lease_until_ms))
            tocsin.clock.now_ms += 52_000 if len(at_ms) == 1 else 0
        return said

    monkeypatch.setattr(tocsin.app.deliver.conversations, "_request", slow)
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    assert at_ms[0][0] == began_ms
    assert all(until_ms - ms >= 10_000 for ms, until_ms in at_ms)
    (root,) = slack.roots
    assert "failed" in root.text
    assert len(root.replies) == 1


# Settings that change.


async def test_another_channel_gets_a_message_of_its_own(tocsin: Running) -> None:
    slack, webhook = await bot(tocsin)
    await begins(tocsin)
    moved = webhook["settings"] | {"channel": "#other"}
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"settings": moved})).ok()
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    (old,), (new,) = slack.channels["C0TOCSIN01"].messages, slack.channels[OTHER].messages
    assert (old.edits, old.replies) == ([], [])
    assert "failed" in new.text
    assert WHOM in seen(new)


async def test_another_token_goes_on_with_the_message(tocsin: Running) -> None:
    slack, webhook = await bot(tocsin)
    await begins(tocsin)
    slack.revoked.add(TOKEN)
    rotated = webhook["settings"] | {"bot_token": TOKEN + "-2"}
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"settings": rotated})).ok()
    await tell(tocsin, "run.succeeded")
    await tocsin.wait_out()
    (root,) = slack.roots
    assert "succeeded" in root.text


async def test_one_message_per_run_can_be_switched_off_and_on(tocsin: Running) -> None:
    slack, webhook = await bot(tocsin)

    async def switch(on: bool) -> None:
        settings = webhook["settings"] | {"one_message_per_run": on}
        (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"settings": settings})).ok()

    await begins(tocsin)
    await switch(False)
    await tell(tocsin, "run.progress", data={"rows": 5})
    await tocsin.move(5)
    assert len(slack.roots) == 2
    await switch(True)
    await tell(tocsin, "run.succeeded")
    await tocsin.wait_out()
    first, second = slack.roots
    assert "succeeded" in first.text
    assert second.edits == []


async def test_an_endpoint_that_is_deleted_is_left_alone(tocsin: Running) -> None:
    slack, webhook = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.settle()
    await tell(tocsin, "run.succeeded")  # its edit has to wait
    await tocsin.settle()
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    asked = len(slack.asked)
    await tocsin.wait_out()
    assert len(slack.asked) == asked
    assert await tocsin.statuses() == {"delivered": 1, "cancelled": 1}


# Refusals in the middle.


async def test_too_fast_in_the_middle_goes_on_where_it_was(tocsin: Running) -> None:
    slack, _ = await bot(tocsin)
    await begins(tocsin)
    words = iter(["", "ratelimited"])
    slack.refuses = lambda _: next(words, "")  # the reply is taken, the edit is not
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    (root,) = slack.roots
    assert len(root.replies) == 1
    assert "failed" in root.text
    assert set(await tocsin.statuses()) == {"delivered"}


@pytest.mark.parametrize("word", ["msg_too_long", "internal_error"])
async def test_a_reply_that_is_refused_does_not_keep_the_message_from_its_state(tocsin: Running, word: str) -> None:
    slack, _ = await bot(tocsin)
    await begins(tocsin)
    slack.refuses = lambda asked: word if is_reply(asked) else ""
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    (root,) = slack.roots
    assert "failed" in root.text
    failed, started = await tocsin.deliveries()
    assert started["status"] == "delivered"
    assert failed["status"] in ("dead", "expired")
    assert word in failed["reason"]  # and nobody is told that the alarm got through
    # Sent again by hand, once Slack takes it, it wakes.
    slack.refuses = lambda _: ""
    (await tocsin.client.post(f"/v1/deliveries/{failed['id']}/replay")).ok(202)
    await tocsin.wait_out()
    assert WHOM in seen(root.replies[0])


async def test_blocks_that_are_refused_are_edited_in_plain_words(tocsin: Running) -> None:
    slack, _ = await bot(tocsin)
    await begins(tocsin)
    slack.refuses = lambda asked: "invalid_blocks" if b"rich_text" in asked.body or b"header" in asked.body else ""
    await tell(tocsin, "run.failed", data={"error": "boom"})
    await tocsin.wait_out()
    (root,) = slack.roots
    assert "failed" in root.text
    assert root.blocks == []
    assert WHOM in root.replies[0].text
    assert set(await tocsin.statuses()) == {"delivered"}
    refused = [one for one in slack.asked if slack.refuses(one)]
    assert len(refused) == 3  # the root before, the reply and the edit once each, however often they have to wait


async def test_a_message_in_plain_words_that_has_to_wait_stays_plain(tocsin: Running) -> None:
    slack, _ = await bot(tocsin)
    await begins(tocsin)
    await tell(tocsin, "run.progress", data={"rows": 1})  # an edit: the next one has to wait
    await tocsin.settle()
    slack.refuses = lambda asked: "invalid_blocks" if is_reply(asked) and b'"blocks"' in asked.body else ""
    await tell(tocsin, "run.failed", data={"error": "boom"})
    await tocsin.settle()
    await tocsin.move(2)  # the reply went out in plain words
    slack.refuses = lambda asked: "invalid_blocks" if b"rich_text" in asked.body else ""
    await tocsin.wait_out()
    (failed, *_) = await tocsin.deliveries()
    whole = (await tocsin.client.get(f"/v1/deliveries/{failed['id']}")).ok()
    assert [attempt["status"] for attempt in whole["log"]].count("failed") == 1
    assert "failed" in slack.roots[0].text


async def test_a_message_that_is_gone_does_not_wake_twice(tocsin: Running) -> None:
    """The alarm got through as a reply, and then the edit finds nothing."""
    slack, _ = await bot(tocsin, reply_broadcast=False)
    await begins(tocsin)
    slack.refuses = lambda asked: "message_not_found" if asked.path.endswith("chat.update") else ""
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    first, second = slack.roots
    assert WHOM in seen(first.replies[0])
    assert "failed" in second.text
    assert WHOM not in seen(second)
    # and the recovery is told beneath the new one
    slack.refuses = lambda _: ""
    await tocsin.move(60)
    await tell(tocsin, "run.succeeded")
    await tocsin.wait_out()
    assert "ecovered" in seen(second.replies[0])


# What a run's message does not say.


@pytest.mark.parametrize("type_", ["deploy.note", "alert.resolved"])
async def test_what_the_runs_message_cannot_say_is_told_beneath_it(tocsin: Running, type_: str) -> None:
    slack, _ = await bot(tocsin)
    await begins(tocsin)
    await tell(tocsin, type_, title="The moon is full")
    await tocsin.wait_out()
    (root,) = slack.roots
    assert "The moon is full" in " ".join(map(seen, root.replies))


async def test_an_alert_about_a_run_without_a_message_stands_for_itself(tocsin: Running) -> None:
    slack, _ = await bot(tocsin, events=("alert",))
    await tell(tocsin, "run.started")
    await tell(tocsin, "alert", title="The moon is full", severity="critical")
    await tocsin.wait_out()
    (alone,) = slack.roots
    assert "The moon is full" in seen(alone)
    assert WHOM in seen(alone)
    assert await tocsin.statuses() == {"delivered": 1}


async def test_what_the_rule_found_is_in_the_alarm(tocsin: Running) -> None:
    slack, webhook = await bot(tocsin, events=())
    watched = ["run.failed", "run.succeeded"]
    await tocsin.rule(webhook, event_types=watched, window={"kind": "failures", "count": 2})
    for number in (1, 2):
        await tell(tocsin, "run.failed", run_id=f"r{number}")
        await tocsin.move(5)
    shown = " ".join(seen(one) for root in slack.roots for one in (root, *root.replies))
    assert "2 failures" in shown
    assert WHOM in shown


async def test_the_alarm_is_in_a_persons_own_words(tocsin: Running) -> None:
    slack, webhook = await bot(tocsin, events=())
    watched = ["run.started", "run.failed"]
    await tocsin.rule(webhook, event_types=watched, templates={"title": "Ring the bell for {{ event.pipeline }}"})
    await begins(tocsin)
    await tell(tocsin, "run.failed")
    await tocsin.wait_out()
    assert "Ring the bell for etl/orders" in seen(slack.roots[0].replies[0])


async def test_events_without_a_run_are_messages_of_their_own(tocsin: Running) -> None:
    slack, _ = await bot(tocsin)
    for number in range(2):
        await tocsin.send(type="run.failed", pipeline="etl/orders", data={"error": f"boom {number}"})
        await tocsin.move(2)
    await tocsin.wait_out()
    assert len(slack.roots) == 2


async def test_the_same_run_id_elsewhere_is_another_run(tocsin: Running) -> None:
    slack, _ = await bot(tocsin)
    for pipeline in ("etl/orders", "etl/other", "etl/orders"):
        await tell(tocsin, "run.progress", pipeline=pipeline, data={"at": pipeline})
        await tocsin.move(5)
    await tocsin.wait_out()
    assert len(slack.roots) == 2


# Order.


async def test_a_failure_that_comes_after_the_success_wakes_nobody(tocsin: Running) -> None:
    slack, _ = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.move(20)
    await tell(tocsin, "run.succeeded", time=at(tocsin, -5000))
    await tocsin.move(5)
    await tell(tocsin, "run.failed", time=at(tocsin, -15_000), data={"error": "the first try"})
    await tocsin.wait_out()
    (root,) = [one for one in slack.messages if not one.thread_ts]
    assert "succeeded" in root.text
    assert WHOM not in "".join(map(seen, (root, *root.replies)))
    assert "the first try" in "".join(map(seen, root.replies))


async def test_a_run_of_two_hundred_stages_is_not_told_again_and_again(tocsin: Running) -> None:
    """What replies have said is remembered for every stage that the run shows, whatever else is told."""
    await begins(tocsin)
    about = {"pipeline": "etl/orders", "run_id": "r1", "time": at(tocsin)}
    events = [{"type": "stage.succeeded", "stage": f"step {number}", **about} for number in range(198)]
    (await tocsin.client.post("/v1/events", {"events": events})).ok(202)
    slack, _ = await bot(tocsin)
    for number in range(2):
        told = len(slack.roots[0].replies) if slack.roots else -1  # the first of all posts the root
        await tell(tocsin, "stage.succeeded", f"one more: {number}")
        await tocsin.wait_out()
        assert len(slack.roots[0].replies) == told + 1
        for percent in (90, 91, 92):
            await tell(tocsin, "run.warning", message=f"disk {percent} % full")
            await tocsin.wait_out()
    assert "step 0" not in seen(slack.roots[0].replies[-1])
