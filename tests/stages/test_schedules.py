"""Schedules: a run that should have started, and one that should have ended. The numbers are those of the black-box
cases that systems of this kind are held against."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.harness import Clock, Hook, Received, Running, Start
from tocsin.model.world import Timer
from tocsin.store import noise

pytestmark = pytest.mark.anyio

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
NIGHTLY: dict[str, Any] = {"cron": "0 2 * * *", "start_within_s": 10 * MINUTE}


@pytest.fixture(autouse=True)
def one_in_the_morning(clock: Clock) -> None:
    set_to(clock, "2026-11-18T01:00:00")


def set_to(clock: Clock, local: str, zone: str = "UTC") -> None:
    clock.now_ms = int(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


async def until(tocsin: Running, local: str, zone: str = "UTC") -> None:
    """Lets time pass, in which Tocsin runs."""
    then = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp()
    assert then >= tocsin.clock.now_s
    await tocsin.move(then - tocsin.clock.now_s)


async def tell(tocsin: Running, type_: str, run_id: str = "r1", *, ago: float = 0, **event: Any) -> None:
    when = datetime.fromtimestamp(tocsin.clock.now_s - ago, UTC).isoformat()
    await tocsin.send(type=type_, **{"pipeline": "etl/orders", "run_id": run_id, "time": when} | event)


async def scheduled(tocsin: Running, **schedule: Any) -> Hook:
    hook = tocsin.receiver.hook("/late")
    rule: dict[str, Any] = {"event_types": ["run.missed"], "pipelines": ["etl/orders"], "schedule": schedule}
    await tocsin.rule(await tocsin.webhook(hook), **rule)
    await tocsin.settle()
    return hook


def titles(*messages: Received) -> list[str]:
    return [message.json["title"] for message in messages]


async def timers(tocsin: Running) -> dict[str, Timer]:
    return {timer.kind: timer for _, timer in await noise.due_timers(tocsin.app.db, 2**60, 1000)}


async def test_35_a_start_that_is_missed(tocsin: Running) -> None:
    hook = await scheduled(tocsin, **NIGHTLY)
    await until(tocsin, "2026-11-18T02:09:00")
    hook.expect(0)
    await until(tocsin, "2026-11-18T02:10:01")
    (missed,) = hook.expect(1)
    assert (missed.json["type"], missed.json["kind"]) == ("run.missed", "run.missed")
    assert missed.json["title"] == "etl/orders should have started at 02:00 UTC, 10 minutes ago"
    await tell(tocsin, "run.started")  # late, and heard of: that changes nothing for tomorrow
    await until(tocsin, "2026-11-19T02:00:20")
    await tell(tocsin, "run.started", "r2")
    await until(tocsin, "2026-11-20T02:05:00")
    hook.expect(0)
    await until(tocsin, "2026-11-20T02:11:00")
    hook.expect(1)


@pytest.mark.parametrize("second", [-40, 0, 9 * MINUTE, 9 * MINUTE + 59])
async def test_a_start_in_time_is_one_a_little_early_or_within_the_grace(tocsin: Running, second: int) -> None:
    hook = await scheduled(tocsin, **NIGHTLY)
    await tocsin.move(HOUR + second)
    await tell(tocsin, "run.started")
    await until(tocsin, "2026-11-18T12:00:00")
    hook.expect(0)


async def test_a_run_of_the_hour_before_is_not_the_one_that_is_due(tocsin: Running) -> None:
    hook = await scheduled(tocsin, **NIGHTLY)
    await tocsin.move(30 * MINUTE)
    await tell(tocsin, "run.started")
    await until(tocsin, "2026-11-18T02:11:00")
    hook.expect(1)


async def test_an_end_whose_start_got_lost_is_a_run(tocsin: Running) -> None:
    hook = await scheduled(tocsin, **NIGHTLY)
    await until(tocsin, "2026-11-18T02:05:00")
    await tell(tocsin, "run.failed")
    await until(tocsin, "2026-11-18T03:00:00")
    hook.expect(0)


async def test_a_start_whose_word_comes_late_but_in_time_counts(tocsin: Running) -> None:
    hook = await scheduled(tocsin, **NIGHTLY)
    await until(tocsin, "2026-11-18T02:09:50")
    await tell(tocsin, "run.started", ago=9 * MINUTE)
    await until(tocsin, "2026-11-18T03:00:00")
    hook.expect(0)


async def test_35_the_end_has_a_deadline_of_its_own(tocsin: Running) -> None:
    hook = await scheduled(tocsin, **NIGHTLY, finish_within_s=HOUR)
    await until(tocsin, "2026-11-18T02:00:10")
    await tell(tocsin, "run.started")
    await until(tocsin, "2026-11-18T02:59:00")
    hook.expect(0)
    await until(tocsin, "2026-11-18T03:00:10")
    (overdue,) = hook.expect(1)
    assert (overdue.json["type"], overdue.json["kind"]) == ("run.overdue", "run.missed")
    assert overdue.json["title"] == "etl/orders should have ended by 03:00 UTC; it is still running after 1h 00m"
    assert overdue.json["run_id"] == "r1"
    await tocsin.move(12 * MINUTE)
    await tell(tocsin, "run.succeeded")
    await tocsin.settle()
    (end,) = hook.expect(1)
    assert "Finished 12m 10s late." in end.json["summary"]
    for day in (19, 20):
        await until(tocsin, f"2026-11-{day}T02:00:10")
        await tell(tocsin, "run.started", f"r{day}")
        await until(tocsin, f"2026-11-{day}T02:40:00")
        await tell(tocsin, "run.failed", f"r{day}")
    await until(tocsin, "2026-11-21T01:00:00")
    hook.expect(0)


async def test_35_a_run_that_never_started_is_missed_once(tocsin: Running) -> None:
    hook = await scheduled(tocsin, **NIGHTLY, finish_within_s=HOUR)
    await until(tocsin, "2026-11-18T02:30:00")
    assert titles(*hook.expect(1)) == ["etl/orders should have started at 02:00 UTC, 30 minutes ago"]
    await until(tocsin, "2026-11-19T01:00:00")
    hook.expect(0)


async def test_35_a_run_that_started_too_late_can_still_be_overdue(tocsin: Running) -> None:
    hook = await scheduled(tocsin, **NIGHTLY, finish_within_s=HOUR)
    await until(tocsin, "2026-11-18T02:30:00")
    hook.expect(1)
    await tell(tocsin, "run.started")
    await until(tocsin, "2026-11-18T03:01:00")
    (overdue,) = hook.expect(1)
    assert overdue.json["type"] == "run.overdue"


async def test_every_so_often_after_the_last_start(tocsin: Running) -> None:
    hook = await scheduled(tocsin, every_s=HOUR, start_within_s=10 * MINUTE)
    await until(tocsin, "2026-11-18T01:30:00")
    await tell(tocsin, "run.started")
    await until(tocsin, "2026-11-18T02:39:00")
    hook.expect(0)
    await until(tocsin, "2026-11-18T02:41:00")
    (missed,) = hook.expect(1)
    assert missed.json["title"] == "etl/orders should have started by 02:30 UTC; the last start was at 01:30 UTC"
    await until(tocsin, "2026-11-18T03:00:00")
    await tell(tocsin, "run.started", "r2")
    await until(tocsin, "2026-11-18T04:09:00")
    hook.expect(0)
    await until(tocsin, "2026-11-18T05:11:00")  # nobody starts it any more: it is said for each that is missed
    assert len(hook.all_new()) >= 1


async def test_every_so_often_and_never_a_start(tocsin: Running) -> None:
    hook = await scheduled(tocsin, every_s=HOUR, start_within_s=10 * MINUTE)
    await until(tocsin, "2026-11-18T02:11:00")
    assert titles(*hook.expect(1)) == ["etl/orders should have started by 02:00 UTC; no start is known"]


async def test_the_newest_run_must_end_in_time_where_there_is_no_cron(tocsin: Running) -> None:
    hook = await scheduled(tocsin, every_s=HOUR, start_within_s=10 * MINUTE, finish_within_s=20 * MINUTE)
    await until(tocsin, "2026-11-18T01:15:00")
    await tell(tocsin, "run.started")
    await until(tocsin, "2026-11-18T01:30:00")
    await tell(tocsin, "run.succeeded")
    await until(tocsin, "2026-11-18T02:05:00")
    await tell(tocsin, "run.started", "r2")
    await until(tocsin, "2026-11-18T02:20:00")
    hook.expect(0)
    await until(tocsin, "2026-11-18T02:45:00")
    (overdue,) = hook.expect(1)
    assert (overdue.json["type"], overdue.json["run_id"]) == ("run.overdue", "r2")
    assert "should have ended by 02:25 UTC" in overdue.json["title"]
    await until(tocsin, "2026-11-18T03:04:00")
    hook.expect(0)


async def test_29_a_restart_in_between(start: Start) -> None:
    one = await start()
    hook = await scheduled(one, **NIGHTLY)
    await until(one, "2026-11-18T02:05:00")
    await one.worker.stop()
    two = await start()
    await until(two, "2026-11-18T02:11:00")
    hook.expect(1)
    await two.worker.stop()
    three = await start()
    await until(three, "2026-11-18T05:00:00")
    hook.expect(0)
    assert (await timers(three))["start"].data["at_ms"] == int(datetime(2026, 11, 19, 2, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("gone", "back"), [("01:30", "02:30"), ("01:30", "02:05"), ("02:05", "02:07"), ("01:30", "02:00")]
)
async def test_a_start_that_could_not_be_heard_is_not_missed(
    tocsin: Running, clock: Clock, gone: str, back: str
) -> None:
    hook = await scheduled(tocsin, **NIGHTLY)
    await until(tocsin, f"2026-11-18T{gone}:00")
    set_to(clock, f"2026-11-18T{back}:00")
    await tocsin.settle()
    await until(tocsin, "2026-11-18T03:00:00")
    hook.expect(0)
    await until(tocsin, "2026-11-19T02:11:00")
    hook.expect(1)


async def test_days_of_absence_are_not_days_of_alarms(tocsin: Running, clock: Clock) -> None:
    hook = await scheduled(tocsin, cron="*/5 * * * *", start_within_s=MINUTE)
    set_to(clock, "2026-11-21T01:02:00")
    await tocsin.settle()
    await tocsin.move(62)
    hook.expect(0)
    await until(tocsin, "2026-11-21T01:06:01")
    assert titles(*hook.expect(1)) == ["etl/orders should have started at 01:05 UTC, a minute ago"]


async def test_50_a_clock_that_goes_back_an_hour_asks_for_nothing_twice(tocsin: Running, clock: Clock) -> None:
    hook = await scheduled(tocsin, **NIGHTLY)
    await until(tocsin, "2026-11-18T02:11:00")
    hook.expect(1)
    set_to(clock, "2026-11-18T01:11:00")
    await tocsin.settle()
    await until(tocsin, "2026-11-18T03:00:00")
    hook.expect(0)


@pytest.mark.parametrize(
    ("evening", "due", "said"),
    [
        (
            "2026-03-28T20:00:00",
            "2026-03-29T03:00:00",
            "03:00 Europe/Berlin",
        ),  # 02:30 does not come: an hour later, at once
        ("2026-10-24T20:00:00", "2026-10-25T02:30:00", "02:30 Europe/Berlin"),  # 02:30 comes twice: the first time
    ],
)
async def test_30_the_night_the_clocks_change(start: Start, clock: Clock, evening: str, due: str, said: str) -> None:
    set_to(clock, evening, "Europe/Berlin")
    tocsin = await start()
    schedule = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "start_within_s": 10 * MINUTE}
    hook = await scheduled(tocsin, **schedule)
    await until(tocsin, due, "Europe/Berlin")
    await tocsin.move(9 * MINUTE)
    hook.expect(0)
    await tocsin.move(2 * MINUTE)
    (missed,) = hook.expect(1)
    assert said in missed.json["title"]
    await tocsin.move(12 * HOUR)
    hook.expect(0)


async def test_a_schedule_holds_from_when_the_rule_is_saved(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/late")
    webhook = await tocsin.webhook(hook)
    rule = await tocsin.rule(webhook, event_types=["run.missed"], pipelines=["etl/orders"], is_active=False)
    assert await timers(tocsin) == {}
    path = f"/v1/alert-rules/{rule['id']}"

    async def change(**fields: Any) -> dict[str, Timer]:
        (await tocsin.client.patch(path, fields)).ok()
        await tocsin.settle()
        return await timers(tocsin)

    assert await change(schedule=NIGHTLY) == {}
    found = await change(is_active=True)
    assert found["start"].due_ms == tocsin.clock.now_ms + (HOUR + 10 * MINUTE) * 1000
    found = await change(schedule=NIGHTLY | {"cron": "0 14 * * *", "finish_within_s": HOUR})
    assert found["start"].due_ms == tocsin.clock.now_ms + (13 * HOUR + 10 * MINUTE) * 1000
    assert found["finish"].due_ms == tocsin.clock.now_ms + 14 * HOUR * 1000
    found = await change(schedule=NIGHTLY)
    assert set(found) == {"start"}
    await tocsin.move(HOUR + 5 * MINUTE)
    assert (await change(name="renamed"))["start"].due_ms == found["start"].due_ms  # what was due still is
    await tocsin.move(6 * MINUTE)
    hook.expect(1)
    assert await change(is_active=False) == {}
    await change(is_active=True)
    assert (await tocsin.client.delete(path)).status == 204
    assert await timers(tocsin) == {}
    await tocsin.move(3 * DAY)
    hook.expect(0)


async def test_what_a_schedule_finds_is_for_its_own_people(tocsin: Running) -> None:
    """Two rules watch the same pipeline, each by its own clock; others may ask for what they find."""
    hook = await scheduled(tocsin, **NIGHTLY)
    other, asks = tocsin.receiver.hook("/other"), tocsin.receiver.hook("/asks")
    patient = NIGHTLY | {"start_within_s": HOUR}
    await tocsin.rule(await tocsin.webhook(other), event_types=["run.*"], pipelines=["etl/orders"], schedule=patient)
    await tocsin.rule(await tocsin.webhook(asks), event_types=["run.missed"])
    await until(tocsin, "2026-11-18T02:11:00")
    hook.expect(1)
    asks.expect(1)
    other.expect(0)
    await until(tocsin, "2026-11-18T03:01:00")
    hook.expect(0)
    asks.expect(1)
    other.expect(1)
