"""Groups, floods and digests, from the event to the receiver: a message that tells of many, and what becomes of it."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.harness import Answer, Hook, Received, Running, Start
from tocsin.fakes.pagerduty import FakePagerDuty
from tocsin.fakes.slack import FakeSlack
from tocsin.model.message import FOLDED
from tocsin.store import noise, queue

pytestmark = pytest.mark.anyio

GROUP = {"by": ["pipeline"], "wait_s": 30, "interval_s": 300}
DAY_S = 86_400
FOREVER: dict[str, Any] = {"max_attempts": 100, "base_s": 60, "cap_s": 60}


async def grouping(tocsin: Running, hook: Hook, **fields: Any) -> dict[str, Any]:
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, **({"group": GROUP} | fields))
    return webhook


async def tell(tocsin: Running, *ids: str, **event: Any) -> None:
    for id_ in ids:
        await tocsin.send(id=id_, **({"pipeline": "etl/orders"} | event))


async def burst(tocsin: Running, count: int, **fields: Any) -> None:
    events = [{"type": "run.failed", "id": f"e{n}", "pipeline": "etl/orders"} | fields for n in range(count)]
    (await tocsin.client.post("/v1/events", {"events": events})).ok(202)


async def replay(tocsin: Running, id_: str) -> Answer:
    return await tocsin.client.post(f"/v1/deliveries/{id_}/replay")


async def by_event(tocsin: Running, **filters: str) -> dict[str, dict[str, Any]]:
    """The deliveries, by the id of their event."""
    return {found["event_id"]: found for found in await tocsin.deliveries(**filters)}


def ids(message: Received) -> list[str]:
    """The events that a message tells of."""
    found = message.json
    return list(found["data"]["folded"]) if found["type"] == FOLDED else [found["id"]]


def ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M}"


# Groups.


async def test_27_all_of_a_window_are_one_message(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook)
    begin_ms = tocsin.clock.now_ms
    await tell(tocsin, "e1", data={"error": "disk full"})
    await tocsin.move(10)
    await tell(tocsin, "e2", data={"error": "exit status 2"})
    await tell(tocsin, "e3", type="run.succeeded")
    await tocsin.move(19.9)
    hook.expect(0)
    await tocsin.move(0.1)
    (message,) = hook.expect(1)
    assert message.at_ms == begin_ms + 30_000
    assert ids(message) == ["e1", "e2", "e3"]
    assert message.json["title"] == "3 events: 2 failed, 1 succeeded — pipeline=etl/orders"
    assert "exit status 2 (2×" in message.json["summary"]
    await tocsin.wait_out()
    found = await by_event(tocsin)
    head = found["e1"]
    assert (head["status"], head["reason"], head["folded"], head["folded_into"]) == ("delivered", "", 2, "")
    for joined in (found["e2"], found["e3"]):
        assert (joined["status"], joined["folded_into"], joined["folded"]) == ("suppressed", head["id"], 0)
        assert joined["reason"] == f"told in {head['id']} (pipeline=etl/orders)"


async def test_28_the_interval_is_exact(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook)
    begin_ms = tocsin.clock.now_ms
    for number in range(100):
        await tell(tocsin, f"e{number}")
        await tocsin.move(10)
    await tocsin.wait_out()
    messages = hook.expect(5)
    assert [(message.at_ms - begin_ms) // 1000 for message in messages] == [30, 330, 630, 930, 1230]
    assert [len(ids(message)) for message in messages] == [3, 30, 30, 30, 7]
    assert [id_ for message in messages for id_ in ids(message)] == [f"e{n}" for n in range(100)]
    assert await tocsin.statuses() == {"delivered": 5, "suppressed": 95}


async def test_groups_are_apart_by_their_key(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook, group={"by": ["pipeline", "labels.env"], "wait_s": 30, "interval_s": 300})
    for number, env in enumerate(("prod", "dev", "prod", "dev", "prod")):
        await tell(tocsin, f"{env}{number}", labels={"env": env})
    await tell(tocsin, "other", pipeline="other", labels={"env": "prod"})
    await tocsin.wait_out()
    told = {tuple(ids(message)): message.json["title"] for message in hook.expect(3)}
    assert set(told) == {("prod0", "prod2", "prod4"), ("dev1", "dev3"), ("other",)}
    assert told["dev1", "dev3"] == "2 events: 2 failed — pipeline=etl/orders, labels.env=dev"
    assert told["other",] == "other failed in prod"


async def test_one_that_stays_alone_is_a_message_like_any_other(tocsin: Running) -> None:
    grouped, usual = tocsin.receiver.hook("/group"), tocsin.receiver.hook("/usual")
    await grouping(tocsin, grouped)
    await tocsin.webhook(usual, enabled_events=["*"])
    await tell(tocsin, "e1", run_id="r1", data={"error": "disk full"})
    waits = (await by_event(tocsin, status="pending"))["e1"]
    due = utc(tocsin.clock.now_ms + 30_000).replace("T", " ")
    assert waits["reason"] == f"waits until {due} UTC for company (pipeline=etl/orders)"
    await tocsin.wait_out()
    ((one,), (two,)) = grouped.expect(1), usual.expect(1)
    assert one.body == two.body


async def test_29_a_restart_neither_repeats_nor_loses_nor_begins_anew(start: Start) -> None:
    one = await start()
    hook = one.receiver.hook("/group")
    await grouping(one, hook)
    begin_ms = one.clock.now_ms
    await tell(one, "e1")
    await one.move(20)
    await one.worker.stop()
    two = await start()
    await tell(two, "e2")
    await two.move(10)
    (message,) = hook.expect(1)
    assert (ids(message), message.at_ms - begin_ms) == (["e1", "e2"], 30_000)
    await two.worker.stop()
    three = await start()
    await three.settle()
    hook.expect(0)
    await tell(three, "e3")
    await three.wait_out()
    (message,) = hook.expect(1)
    assert (ids(message), message.at_ms - begin_ms) == (["e3"], 330_000)


async def test_two_processes_fold_into_one_message(start: Start, store: dict[str, str]) -> None:
    if not store["TOCSIN_DATABASE_URL"]:
        pytest.skip("SQLite is for one process")
    one, two = await start(), await start()
    hook = one.receiver.hook("/group")
    await grouping(one, hook)
    await asyncio.gather(*(tell(tocsin, f"e{n}") for n in range(20) for tocsin in ((one, two)[n % 2],)))
    one.clock.move(31)
    await asyncio.gather(one.settle(), two.settle())
    (message,) = hook.expect(1)
    assert sorted(ids(message)) == sorted(f"e{n}" for n in range(20))


# What is told together is settled with the first attempt.


async def test_retries_carry_the_same_bytes_whatever_comes_in_between(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook)
    hook.answer(500, 500)
    await tell(tocsin, "e1", "e2", run_id="r1")
    await tocsin.move(30)
    hook.expect(1)
    await tell(tocsin, "e3", run_id="r1")
    await tocsin.wait_out()
    again, once_more, later = hook.expect(3)
    assert again.body == once_more.body == hook.received[0].body
    assert again.id == once_more.id == hook.received[0].id
    assert (ids(again), ids(later)) == (["e1", "e2"], ["e3"])
    head = (await by_event(tocsin))["e1"]
    attempts = (await tocsin.client.get(f"/v1/deliveries/{head['id']}")).ok()["log"]
    assert [json.loads(attempt["request_body"]) for attempt in attempts] == [again.json] * 3


async def test_one_that_stays_alone_keeps_its_bytes_while_its_run_goes_on(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook, event_types=["run.warning"])
    hook.answer(500)
    await tell(tocsin, "e1", type="run.warning", run_id="r1")
    await tocsin.move(30)
    await tell(tocsin, "e2", type="run.succeeded", run_id="r1", data={"duration_s": 99})
    await tocsin.wait_out()
    first, second = hook.expect(2)
    assert first.body == second.body


@pytest.mark.parametrize("end", ["fails", "dies"])
async def test_50_nothing_joins_what_was_tried_although_the_clock_goes_back(start: Start, end: str) -> None:
    """A worker that dies may have sent it: what joined it then would never be told."""
    one = await start()
    hook = one.receiver.hook("/group")
    await grouping(one, hook)
    await tell(one, "e1", "e2")
    if end == "fails":
        hook.answer(500)
        await one.move(30)
    else:
        hook.hang()
        one.clock.move(30)
        one.app.deliver.wake()
        await hook.got(1)
    await one.worker.stop()
    two = await start()
    await two.app.sweep.sweep()
    if end == "dies":
        hook.let_go()
        two.clock.move(61)  # its lease ends
        await two.app.sweep.sweep()
    two.clock.move(-90)
    await tell(two, "e3")
    await two.wait_out()
    assert {tuple(ids(message)) for message in hook.all_new()} == {("e1", "e2"), ("e3",)}
    assert len({message.body for message in hook.received}) == 2


def during(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, doing: Callable[[], Any]) -> None:
    """Does something in the middle of a transaction, once."""
    real = getattr(module, name)

    async def interrupted(*args: Any) -> Any:
        monkeypatch.setattr(module, name, real)
        await doing()
        return await real(*args)

    monkeypatch.setattr(module, name, interrupted)


async def test_what_joins_at_the_last_moment_is_told(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Intake has decided, but not committed, when the message falls due."""
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook)
    await tell(tocsin, "e1")
    claims: list[asyncio.Task[float]] = []

    async def due_meanwhile() -> None:
        tocsin.clock.move(30)
        claims.append(asyncio.create_task(tocsin.app.deliver.claim_or_wait_s()))
        await asyncio.sleep(0.1)
        assert hook.received == []

    during(monkeypatch, noise, "save", due_meanwhile)
    await tell(tocsin, "e2")
    await asyncio.gather(*claims)
    await tocsin.wait_out()
    assert claims
    (message,) = hook.expect(1)
    assert ids(message) == ["e1", "e2"]


async def test_what_comes_while_it_is_taken_on_is_told_in_the_next(
    tocsin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has claimed, but not committed, when another event comes, by a clock that is behind."""
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook)
    await tell(tocsin, "e1", "e2")
    late: list[asyncio.Task[None]] = []

    async def comes_meanwhile() -> None:
        tocsin.clock.move(-10)
        late.append(asyncio.create_task(tell(tocsin, "e3")))
        await asyncio.sleep(0.1)
        tocsin.clock.move(10)

    during(monkeypatch, queue, "requeue", comes_meanwhile)
    await tocsin.move(30)
    await asyncio.gather(*late)
    await tocsin.wait_out()
    assert late
    assert [ids(message) for message in hook.expect(2)] == [["e1", "e2"], ["e3"]]


# Floods.


async def test_the_flood_of_a_rule_becomes_one_summary(tocsin: Running) -> None:
    hook, other = tocsin.receiver.hook("/flood"), tocsin.receiver.hook("/other")
    await grouping(tocsin, hook, group=None, flood={"count": 5, "per_s": 60})
    await tocsin.webhook(other, enabled_events=["*"])
    await burst(tocsin, 100)
    await tocsin.settle()
    assert len(hook.expect(5)) == 5
    other.expect(100)
    steps = await tocsin.wait_out()
    assert sum(steps) == pytest.approx(12, abs=0.1)
    (summary,) = hook.expect(1)
    assert summary.json["title"] == "95 events: 95 failed — more than 5 in 60 s"
    assert (summary.json["data"]["count"], len(ids(summary))) == (95, 95)
    told = {message.json["id"] for message in hook.received[:5]} | set(ids(summary))
    assert told == {f"e{n}" for n in range(100)}


async def test_more_than_a_hundred_ids_are_counted(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/flood")
    await grouping(tocsin, hook)
    await burst(tocsin, 700)
    await tocsin.wait_out()
    (summary,) = hook.expect(1)
    assert (summary.json["data"]["count"], len(ids(summary))) == (700, 101)
    assert "700 events: 700 failed" in summary.json["title"]


async def test_the_limit_of_every_endpoint(start: Start) -> None:
    tocsin = await start(TOCSIN_FLOOD_PER_MINUTE="10")
    hook, other = tocsin.receiver.hook("/one"), tocsin.receiver.hook("/two")
    one, two = await tocsin.webhook(hook), await tocsin.webhook(other)
    await tocsin.rule(one, pipelines=["a"])
    await tocsin.rule(one, two, pipelines=["b"])
    for number in range(16):
        await tell(tocsin, f"e{number}", pipeline="ab"[number % 2])
    await tocsin.settle()
    hook.expect(10)
    assert len(other.expect(8)) == 8  # it has room of its own
    await tocsin.wait_out()
    (summary,) = hook.expect(1)
    assert summary.json["title"].endswith("6 failed — more than 10 in 60 s at this endpoint")
    assert ids(summary) == [f"e{n}" for n in range(10, 16)]
    assert await tocsin.statuses(webhook_id=one["id"]) == {"delivered": 11, "suppressed": 5}


async def test_04_a_burst_to_a_slack_channel(tocsin: Running) -> None:
    # S1-03: paced, none lost, the rest in one message
    slack = tocsin.receiver.slack()
    await grouping(tocsin, slack, group=None, flood={"count": 20, "per_s": 60})
    await burst(tocsin, 100, data={"error": "disk full"})
    await tocsin.wait_out()
    messages = slack.expect(21)
    assert min(later.at_ms - earlier.at_ms for earlier, later in pairwise(messages)) >= 999
    (summary,) = [message for message in messages if b"80 events" in message.body]
    shown = json.dumps(summary.json, ensure_ascii=False)
    assert "80 events: 80 failed — more than 20 in 60 s" in shown
    assert "disk full (80×" in shown
    assert await tocsin.statuses() == {"delivered": 21, "suppressed": 79}


async def test_alarms_are_never_folded(start: Start) -> None:
    tocsin = await start(TOCSIN_FLOOD_PER_MINUTE="1")
    pagerduty = FakePagerDuty()
    tocsin.receiver.play(pagerduty)
    body = {
        "provider_type": "pagerduty",
        "name": "pager",
        "enabled_events": ["*"],
        "settings": {"routing_key": "e93facc04764012d7bfb002500d5d1a6"},
        "digest": {},
    }
    (await tocsin.client.post("/v1/webhooks", body)).ok(201)
    for pipeline in "abc":
        await tell(tocsin, pipeline, pipeline=pipeline)
    await tocsin.settle()
    assert len(pagerduty.alerts) == 3


async def test_what_joins_does_not_use_up_the_rate_of_its_rule(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook, rate_limit={"count": 1, "per_s": 60})
    await burst(tocsin, 50)
    steps = await tocsin.wait_out()
    assert sum(steps) == pytest.approx(30, abs=0.1)
    hook.expect(1)


# Digests.


async def test_30_a_daily_digest_keeps_its_hour_when_the_clocks_change(tocsin: Running) -> None:
    # S1-17
    tocsin.clock.now_ms = ms("2027-03-26T12:00:00Z")
    hook = tocsin.receiver.hook("/digest")
    digest = {"every": "day", "at": "09:00", "time_zone": "Europe/Berlin"}
    created = await tocsin.webhook(hook, enabled_events=["*"], digest=digest)
    assert digest | created["digest"] == digest
    for day in range(3):
        await tell(tocsin, f"a{day}", f"b{day}")
        for _ in range(24):
            await tocsin.move(3600)
    await tocsin.wait_out()
    messages = hook.expect(3)
    assert [utc(message.at_ms) for message in messages] == [
        "2027-03-27T08:00", "2027-03-28T07:00", "2027-03-29T07:00",
    ]  # fmt: skip
    assert [ids(message) for message in messages] == [["a0", "b0"], ["a1", "b1"], ["a2", "b2"]]
    assert messages[0].json["title"] == "2 events: 2 failed — the daily digest"


async def test_30_an_hour_that_there_is_not_and_one_that_there_is_twice(tocsin: Running) -> None:
    for name, day, due in (("none", "2027-03-27", "2027-03-28T01:00"), ("twice", "2027-10-30", "2027-10-31T00:30")):
        tocsin.clock.now_ms = ms(f"{day}T12:00:00Z")
        hook = tocsin.receiver.hook(f"/{name}")
        webhook = await tocsin.webhook(
            hook, enabled_events=[name], digest={"at": "02:30", "time_zone": "Europe/Berlin"}
        )
        await tell(tocsin, name, type=name)
        await tocsin.wait_out()
        (message,) = hook.expect(1)
        assert utc(message.at_ms) == due
        (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)


async def test_29_a_restart_keeps_a_weekly_digest_whole(start: Start) -> None:
    one = await start(TOCSIN_RETENTION_DAYS="1")
    one.clock.now_ms = ms("2027-01-05T10:00:00Z")  # a Tuesday
    hook = one.receiver.hook("/digest")
    await one.webhook(hook, enabled_events=["*"], digest={"every": "week", "at": "08:00", "weekday": 0})
    running = one
    for day in range(5):
        if day in (0, 1, 4):
            await tell(running, f"e{day}", pipeline="abc"[day % 3])
        await running.move(DAY_S)  # and what is older than a day goes, unless it waits
        await running.worker.stop()
        running = await start(TOCSIN_RETENTION_DAYS="1")
    hook.expect(0)
    await running.wait_out()
    (message,) = hook.expect(1)
    assert utc(message.at_ms) == "2027-01-11T08:00"
    assert ids(message) == ["e0", "e1", "e4"]
    assert message.json["title"] == "3 events: 3 failed — the weekly digest"
    await running.move(14 * DAY_S)
    hook.expect(0)


async def test_critical_waits_for_no_digest(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/digest")
    await tocsin.webhook(hook, enabled_events=["*"], digest={})
    await tell(tocsin, "usual")
    await tell(tocsin, "grave", severity="critical")
    await tocsin.settle()
    assert ids(hook.expect(1)[0]) == ["grave"]
    await tocsin.wait_out()
    assert ids(hook.expect(1)[0]) == ["usual"]


async def test_41_a_test_message_is_never_folded(start: Start) -> None:
    tocsin = await start(TOCSIN_FLOOD_PER_MINUTE="1")
    hook = tocsin.receiver.hook("/digest")
    webhook = await tocsin.webhook(hook, enabled_events=["*"], digest={})
    await tell(tocsin, "e1")
    for _ in range(2):
        (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/test")).ok()
    assert all(message.json["type"] != FOLDED for message in hook.expect(2))
    await tocsin.wait_out()
    assert ids(hook.expect(1)[0]) == ["e1"]


async def test_a_digest_that_is_taken_back_leaves_what_waits_for_its_hour(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/digest")
    webhook = await tocsin.webhook(hook, enabled_events=["*"], digest={})
    await tell(tocsin, "e1", "e2")
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"digest": None})).ok()
    await tell(tocsin, "e3")
    await tocsin.settle()
    assert ids(hook.expect(1)[0]) == ["e3"]
    await tocsin.wait_out()
    assert ids(hook.expect(1)[0]) == ["e1", "e2"]


# What becomes of it.


async def test_40_an_endpoint_that_is_switched_off_gets_it_when_it_is_back(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    webhook = await grouping(tocsin, hook)
    await tell(tocsin, "e1", "e2")
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/disable")).ok()
    await tell(tocsin, "e3")
    await tocsin.move(3600)
    hook.expect(0)
    found = await by_event(tocsin)
    assert found["e2"]["reason"] == f"waits to be told in {found['e1']['id']} (pipeline=etl/orders)"
    assert (found["e3"]["status"], found["e3"]["folded_into"]) == ("suppressed", "")
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    await tocsin.settle()
    assert ids(hook.expect(1)[0]) == ["e1", "e2"]


async def test_40_an_endpoint_that_is_deleted_cancels_it_with_all_that_joined(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    webhook = await grouping(tocsin, hook)
    await tell(tocsin, "e1", "e2")
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    await tocsin.move(60)
    hook.expect(0)
    found = await by_event(tocsin)
    assert found["e1"]["status"] == "cancelled"
    assert found["e2"]["reason"].endswith("but that message is cancelled: the webhook was deleted")


async def test_a_person_cancels_it_and_the_next_one_begins_anew(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook)
    await tell(tocsin, "e1", "e2")
    head = (await by_event(tocsin))["e1"]
    (await tocsin.client.post(f"/v1/deliveries/{head['id']}/cancel")).ok()
    await tell(tocsin, "e3", "e4")
    await tocsin.wait_out()
    assert ids(hook.expect(1)[0]) == ["e3", "e4"]
    assert "is cancelled: cancelled by" in (await by_event(tocsin))["e2"]["reason"]


async def test_its_age_counts_from_when_it_is_due(start: Start) -> None:
    """A custom webhook's messages expire after three days, and the digest is weekly."""
    tocsin = await start(TOCSIN_RETENTION_DAYS="365")
    tocsin.clock.now_ms = ms("2027-01-05T10:00:00Z")
    hook = tocsin.receiver.hook("/digest")
    webhook = await tocsin.webhook(hook, enabled_events=["*"], digest={"every": "week", "at": "08:00", "weekday": 0})
    await tell(tocsin, "e1", "e2")
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"is_active": False})).ok()
    await tocsin.move(ms("2027-01-14T07:59:00Z") / 1000 - tocsin.clock.now_s)
    assert (await by_event(tocsin))["e1"]["status"] == "pending"
    await tocsin.move(120)
    found = await by_event(tocsin)
    assert found["e1"]["status"] == "expired"
    assert found["e2"]["reason"].endswith("but that message is expired: too old to be worth saying")


async def test_what_joined_a_dead_letter_is_found_and_comes_back_with_it(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    webhook = await grouping(tocsin, hook, retry={"max_attempts": 2})
    hook.answer(500, 500)
    await tell(tocsin, "e1", "e2", "e3")
    await tocsin.wait_out()
    (first, _) = hook.expect(2)
    head = (await tocsin.deliveries(status="dead"))[0]
    assert (head["event_id"], head["folded"]) == ("e1", 2)
    joined = await by_event(tocsin, folded_into=head["id"])
    assert set(joined) == {"e2", "e3"}
    for found in joined.values():
        told = f"was to be told in {head['id']} (pipeline=etl/orders), but that message is dead: "
        assert found["reason"].startswith(told)
    why = (await tocsin.client.get("/v1/events/e2/why")).ok()
    assert head["id"] in json.dumps(why)
    # It goes again as it was: the same id, the same bytes, nothing new in it.
    (await replay(tocsin, head["id"])).ok(202)
    await tocsin.settle()
    (again,) = hook.expect(1)
    assert (again.id, again.body) == (first.id, first.body)
    assert (await by_event(tocsin))["e2"]["reason"] == f"told in {head['id']} (pipeline=etl/orders)"
    assert (await tocsin.endpoint(webhook))["is_active"] is True


async def test_one_that_joined_goes_alone_when_it_is_replayed(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook)
    await tell(tocsin, "e1", "e2")
    await tocsin.wait_out()
    hook.expect(1)
    joined = (await by_event(tocsin))["e2"]
    (await replay(tocsin, joined["id"])).ok(202)
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert (message.id, message.json["id"], message.json["type"]) == (joined["id"], "e2", "run.failed")
    found = (await by_event(tocsin))["e2"]
    assert (found["status"], found["folded_into"]) == ("delivered", joined["folded_into"])
    (await replay(tocsin, joined["folded_into"])).ok(202)
    await tocsin.settle()
    assert ids(hook.expect(1)[0]) == ["e1", "e2"]


async def test_replays_by_filter_leave_out_what_was_told(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    webhook = await grouping(tocsin, hook)
    await tell(tocsin, "e1", "e2", "e3")
    await tocsin.wait_out()
    hook.expect(1)
    asked = {"webhook_id": webhook["id"], "dry_run": True}
    assert (await tocsin.client.post("/v1/deliveries/replay", asked)).ok()["count"] == 0


async def test_every_event_has_one_end(start: Start) -> None:
    """Accepted is the sum of what became of it: told, or told in another."""
    tocsin = await start(TOCSIN_FLOOD_PER_MINUTE="3")
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook, flood={"count": 2, "per_s": 10})
    for number in range(60):
        await tell(tocsin, f"e{number}", pipeline="abc"[number % 3])
        await tocsin.move(7)
    await tocsin.wait_out()
    messages = hook.all_new()
    told = [id_ for message in messages for id_ in ids(message)]
    assert sorted(told) == sorted(f"e{n}" for n in range(60))
    statuses = await tocsin.statuses()
    assert statuses == {"delivered": len(messages), "suppressed": 60 - len(messages)}
    assert sum(found["folded"] for found in await tocsin.deliveries()) == statuses["suppressed"]


# Words and places.


async def test_templates_are_for_one_event(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    await grouping(tocsin, hook, templates={"title": "{{ event.pipeline }} is down"})
    await tell(tocsin, "e1", "e2")
    await tocsin.wait_out()
    await tell(tocsin, "e3")
    await tocsin.wait_out()
    many, one = hook.expect(2)
    assert many.json["title"] == "2 events: 2 failed — pipeline=etl/orders"
    assert one.json["title"] == "etl/orders is down"


async def test_titles_that_rules_found_are_listed(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/digest")
    webhook = await tocsin.webhook(hook, digest={}, settings={"include": ["message"]})
    await tocsin.rule(webhook, event_types=["run.*"], changes={"flapping": None})
    await tell(tocsin, "e1")
    await tell(tocsin, "e2", type="run.succeeded")
    await tocsin.wait_out()
    (message,) = hook.expect(1)
    assert ids(message) == ["e1", "e2"]
    assert "recovered" in message.json["message"].lower()


async def test_what_a_window_found_is_told_as_that(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/digest")
    webhook = await tocsin.webhook(hook, digest={}, settings={"include": ["message"]})
    window = {"kind": "metric", "name": "accuracy", "below": 0.9}
    await tocsin.rule(webhook, event_types=["run.succeeded"], window=window)
    for number, pipeline in enumerate(("a", "b", "b")):
        await tell(tocsin, f"e{number}", type="run.succeeded", pipeline=pipeline, data={"accuracy": 0.8})
    await tocsin.wait_out()
    (message,) = hook.expect(1)
    assert message.json["title"] == "2 events: 2 alerts — the daily digest"
    assert message.json["message"].count("accuracy") == 2
    assert message.json["severity"] == "error"


async def test_40_a_silence_that_begins_later_leaves_what_was_decided(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/group")
    webhook = await grouping(tocsin, hook)
    await tell(tocsin, "e1", "e2")
    silence = {"matchers": [{"field": "endpoint", "value": webhook["id"]}], "duration_s": 600, "reason": "upgrade"}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    await tell(tocsin, "e3")
    await tocsin.move(60)
    assert ids(hook.expect(1)[0]) == ["e1", "e2"]
    hidden = (await by_event(tocsin))["e3"]
    assert (hidden["status"], hidden["folded_into"]) == ("suppressed", "")
    assert hidden["reason"].startswith("silenced")


async def test_where_a_run_has_one_message_a_group_has_its_own(tocsin: Running) -> None:
    slack = FakeSlack(limits=True)
    tocsin.receiver.play(slack)
    settings = {"bot_token": "xoxb-1234567890-tocsin-fake-workspace", "channel": "#alerts"}
    body = {"provider_type": "slack_bot", "name": "alerts", "settings": settings}
    webhook = (await tocsin.client.post("/v1/webhooks", body)).ok(201)
    await tocsin.rule(webhook, event_types=["run.started"])
    await tocsin.rule(webhook, event_types=["run.failed"], group=GROUP)
    await tell(tocsin, "s1", type="run.started", run_id="r1")
    await tell(tocsin, "f1", run_id="r1")
    await tocsin.wait_out()
    (root,) = [message for message in slack.messages if not message.thread_ts]
    assert "failed" in root.text  # one alone brings its run's message up to date
    await tell(tocsin, "f2", run_id="r2")
    await tell(tocsin, "f3", run_id="r3")
    await tocsin.wait_out()
    assert "2 events: 2 failed" in slack.messages[-1].text
