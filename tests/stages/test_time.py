"""Time while it happens: runs that take too long, end too soon or fall silent. The numbers are those of the black-box
cases that systems of this kind are held against."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Hook, Received, Running, Start
from tocsin.model.world import Timer
from tocsin.sources.native import decode_native
from tocsin.store import noise

pytestmark = pytest.mark.anyio

MINUTE = 60
HOUR = 3600


def at(tocsin: Running, seconds: float = 0) -> str:
    """The clock's time as events carry it."""
    return datetime.fromtimestamp(tocsin.clock.now_s + seconds, UTC).isoformat()


async def tell(tocsin: Running, type_: str, run_id: str = "r1", *, ago: float = 0, **event: Any) -> None:
    about = {"pipeline": "etl/orders", "run_id": run_id, "time": at(tocsin, -ago)}
    await tocsin.send(type=type_, **about | event)


async def watching(tocsin: Running, types: tuple[str, ...] = ("run.exceeded",), **watch: Any) -> Hook:
    """Where the people of a rule hear what its watch finds."""
    hook = tocsin.receiver.hook("/watch")
    await tocsin.rule(await tocsin.webhook(hook), event_types=list(types), watch=watch)
    return hook


def said(message: Received) -> str:
    text: str = message.json["summary"]
    return text


async def be_away(tocsin: Running, seconds: float) -> None:
    """Time in which nobody looked: a restart, a machine that slept, a clock that was set."""
    tocsin.clock.move(seconds)
    await tocsin.settle()


async def open_timers(tocsin: Running) -> list[Timer]:
    return [timer for _, timer in await noise.due_timers(tocsin.app.db, 2**60, 1000)]


async def run_of(tocsin: Running, **filters: str) -> dict[str, Any]:
    asked = "&".join(f"{name}={value}" for name, value in filters.items())
    (found,) = (await tocsin.client.get(f"/v1/runs?{asked}")).ok()["items"]
    whole: dict[str, Any] = (await tocsin.client.get(f"/v1/runs/{found['id']}")).ok()
    return whole


async def test_32_a_run_that_takes_too_long_is_told_once_while_it_goes_on(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=15 * MINUTE)
    await tell(tocsin, "run.started", labels={"env": "prod"})
    await tocsin.move(14 * MINUTE)
    hook.expect(0)
    await tocsin.move(2 * MINUTE)
    (late,) = hook.expect(1)
    assert late.json["type"] == "run.exceeded"
    assert said(late) == "etl/orders is taking too long in prod: 16m 00s, expected 15m 00s. Run r1."
    for _ in range(5):
        await tell(tocsin, "run.progress")
        await tocsin.move(HOUR)
    hook.expect(0)
    await tell(tocsin, "run.succeeded")
    await tocsin.settle()
    (end,) = hook.expect(1)
    assert said(end) == "etl/orders succeeded after 5h 16m. Run r1. Finished 5h 01m late."
    assert await open_timers(tocsin) == []
    assert (await run_of(tocsin))["late_s"] == 5 * HOUR + MINUTE


async def test_the_end_says_how_late_to_whoever_is_told_of_it(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    ends = tocsin.receiver.hook("/ends")
    await tocsin.rule(await tocsin.webhook(ends), event_types=["run.failed"])
    await tell(tocsin, "run.started")
    await tocsin.move(28 * MINUTE)
    hook.expect(1)
    await tell(tocsin, "run.failed", data={"error": "disk full"})
    await tocsin.settle()
    for message in (*hook.expect(1), *ends.expect(1)):
        assert "Finished 18m 00s late." in said(message)
    await tell(tocsin, "run.failed", data={"error": "disk full"})  # once more: the end was told
    await tocsin.settle()
    hook.expect(0)
    ends.expect(1)  # a program gets whatever it asks for


async def test_a_run_in_time_is_not_told(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE, stalled_s=8 * MINUTE)
    await tell(tocsin, "run.started")
    await tocsin.move(5 * MINUTE)
    await tell(tocsin, "run.succeeded")
    await tocsin.settle()
    assert await open_timers(tocsin) == []
    await tocsin.move(HOUR)
    hook.expect(0)
    assert (await run_of(tocsin))["late_s"] is None


async def test_26_who_was_not_told_that_it_is_late_is_not_told_that_it_is_over(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    silence = {"matchers": [{"field": "pipeline", "value": "etl/*"}], "duration_s": 5 * HOUR, "reason": "moving house"}
    made = await tocsin.client.post("/v1/silences", silence)
    assert made.status == 201, made.body
    await tell(tocsin, "run.started")
    await tocsin.move(20 * MINUTE)
    (event,) = (await tocsin.client.get("/v1/events?type=run.exceeded")).ok()["items"]
    assert "moving house" in (await tocsin.client.get(f"/v1/events/{event['id']}/why")).ok()["summary"]
    await tocsin.client.delete(f"/v1/silences/{made.json['id']}")
    await tocsin.settle()
    hook.all_new()  # a silence that ends says what it hid
    await tell(tocsin, "run.succeeded")
    await tocsin.settle()
    hook.expect(0)


async def test_31_what_comes_late_twice_or_in_another_order_is_no_alarm(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE, stalled_s=10 * MINUTE, shorter_s=5)
    await tell(tocsin, "run.succeeded", "before", id="end")
    await tell(tocsin, "run.started", "before", ago=5 * MINUTE)
    await tell(tocsin, "run.succeeded", "before", id="end")
    await tell(tocsin, "run.started", "both late", ago=3 * HOUR)
    await tell(tocsin, "run.succeeded", "both late", ago=3 * HOUR - 5 * MINUTE)
    await tell(tocsin, "run.started", "twice", ago=MINUTE)
    await tell(tocsin, "run.started", "twice", ago=MINUTE)
    await tell(tocsin, "run.succeeded", "twice")
    await tocsin.settle()
    assert await open_timers(tocsin) == []
    await tocsin.move(HOUR)
    hook.expect(0)
    assert {run["status"] for run in (await tocsin.client.get("/v1/runs")).ok()["items"]} == {"succeeded"}


async def test_a_start_that_comes_late_waits_for_its_end(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started", "over", ago=2 * HOUR)
    await tell(tocsin, "run.started", "going on", ago=2 * HOUR)
    await tocsin.move(40)
    hook.expect(0)
    await tell(tocsin, "run.succeeded", "over", ago=HOUR)
    await tell(tocsin, "other")  # what comes now comes at once: nothing is held up any more
    await tocsin.move(30)
    (late,) = hook.expect(1)
    assert late.json["run_id"] == "going on"
    assert "2h 01m" in said(late)


async def test_an_end_in_time_whose_word_comes_late_says_so(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started")
    await tocsin.move(11 * MINUTE)
    hook.expect(1)
    await tocsin.move(HOUR)
    await tell(tocsin, "run.succeeded", ago=HOUR + 2 * MINUTE)
    await tocsin.settle()
    (end,) = hook.expect(1)
    assert said(end) == "etl/orders succeeded after 9m 00s. Run r1. It had finished in time; word of it came late."


async def test_a_run_whose_start_got_lost_counts_from_the_first_that_was_heard(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "stage.started", stage="load")
    await tocsin.move(6 * MINUTE)
    await tell(tocsin, "run.progress")
    await tocsin.move(5 * MINUTE)
    hook.expect(1)


async def test_33_overlapping_runs_have_clocks_of_their_own(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started", "one")
    await tocsin.move(6 * MINUTE)
    await tell(tocsin, "run.started", "two")
    await tocsin.move(2 * MINUTE)
    await tell(tocsin, "run.succeeded", "of another name")  # an end that fits no start ends nothing
    await tocsin.move(3 * MINUTE)
    (late,) = hook.expect(1)
    assert late.json["run_id"] == "one"
    await tell(tocsin, "run.succeeded", "two")
    await tocsin.move(HOUR)
    hook.expect(0)
    # and the same run id in another pipeline is another run
    await tell(tocsin, "run.started", "one", pipeline="etl/users")
    await tocsin.move(11 * MINUTE)
    (late,) = hook.expect(1)
    assert late.json["pipeline"] == "etl/users"


async def test_34_a_run_that_ends_too_soon(tocsin: Running) -> None:
    hook = await watching(tocsin, ("run.failed",), shorter_s=5 * MINUTE)
    await tell(tocsin, "run.started", "short")
    await tell(tocsin, "run.started", "long")
    await tell(tocsin, "run.started", "failed")
    await tocsin.move(3)
    await tell(tocsin, "run.succeeded", "short")
    await tell(tocsin, "run.failed", "failed")  # its failure is the news
    await tocsin.move(6 * MINUTE)
    await tell(tocsin, "run.succeeded", "long")
    await tocsin.settle()
    failed, short = sorted(hook.expect(2), key=lambda message: message.json["type"])
    assert failed.json["type"] == "run.failed"
    assert (short.json["type"], short.json["kind"]) == ("run.shorter", "run.warning")
    assert short.json["title"] == "etl/orders took only 3 s; at least 5 minutes were expected"
    assert (await run_of(tocsin, run_id="short"))["status"] == "succeeded"


async def test_a_run_is_held_against_the_last_good_ones(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_p95_of=20, factor=1.5)
    for number in range(6):
        await tell(tocsin, "run.started", f"r{number}")
        await tocsin.move((4 + number) * MINUTE)
        await tell(tocsin, "run.failed" if number == 5 else "run.succeeded", f"r{number}")
    await tell(tocsin, "run.started", "slow")  # five good ones, 4 to 8 minutes
    await tocsin.move(11 * MINUTE)
    hook.expect(0)
    await tocsin.move(2 * MINUTE)
    (late,) = hook.expect(1)
    assert "expected 12m 00s" in said(late)
    assert "The limit is 1.5 times what 95% of its last 5 good runs took at the most." in said(late)
    await tell(tocsin, "run.started", "other", pipeline="new/pipeline")  # nothing to go by
    await tocsin.move(10 * HOUR)
    hook.expect(0)


async def test_a_run_that_falls_silent(tocsin: Running) -> None:
    hook = await watching(tocsin, stalled_s=10 * MINUTE)
    await tell(tocsin, "run.started")
    for _ in range(4):
        await tocsin.move(8 * MINUTE)
        await tell(tocsin, "stage.progress", stage="train")
    hook.expect(0)
    await tocsin.move(11 * MINUTE)
    (silent,) = hook.expect(1)
    assert silent.json["type"] == "run.stalled"
    assert silent.json["title"] == "etl/orders has not been heard of for 10 minutes"
    await tell(tocsin, "run.progress")
    await tocsin.move(HOUR)
    hook.expect(0)  # once a run
    await tell(tocsin, "run.succeeded")
    await tocsin.settle()
    assert len(hook.expect(1)) == 1


async def test_29_a_restart_neither_repeats_nor_forgets(start: Start) -> None:
    one = await start()
    hook = await watching(one, exceeded_s=10 * MINUTE)
    await tell(one, "run.started", "first")
    await one.move(5 * MINUTE)
    await tell(one, "run.started", "second")
    await one.move(6 * MINUTE)
    (late,) = hook.expect(1)
    assert late.json["run_id"] == "first"
    await one.worker.stop()
    two = await start()
    await two.move(5 * MINUTE)
    (late,) = hook.expect(1)
    assert late.json["run_id"] == "second"
    await tell(two, "run.succeeded", "first")
    await two.settle()
    (end,) = hook.expect(1)
    assert "late" in said(end)


async def test_a_crash_after_the_event_does_not_tell_twice(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started")
    (timer,) = await open_timers(tocsin)
    await tocsin.move(11 * MINUTE)
    hook.expect(1)
    async with tocsin.app.db.transaction() as tx:  # as if it had died before it dropped the timer
        await noise.put_timers(tx, "default", [timer])
    await tocsin.settle()
    hook.expect(0)
    assert await open_timers(tocsin) == []


async def test_several_sweeps_at_once_tell_once(start: Start, store: dict[str, str]) -> None:
    one = await start()
    two = await start() if store["TOCSIN_DATABASE_URL"] else one
    hook = await watching(one, exceeded_s=10 * MINUTE)
    for number in range(20):
        await tell(one, "run.started", f"r{number}")
    one.clock.move(11 * MINUTE)
    one.app.timers.seen_ms = two.app.timers.seen_ms = one.clock.now_ms
    await asyncio.gather(*(each.app.sweep.sweep() for each in (one, two, one, two)))
    await one.settle()
    await two.settle()
    assert len({message.json["run_id"] for message in hook.expect(20)}) == 20


async def test_what_fell_due_while_nobody_looked_waits_for_what_was_held_up(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started", "over")
    await tell(tocsin, "run.started", "going on")
    await be_away(tocsin, 2 * HOUR)
    hook.expect(0)
    await tell(tocsin, "run.succeeded", "over", ago=2 * HOUR - 5 * MINUTE)
    await tocsin.move(50)
    hook.expect(0)
    await tocsin.move(15)
    (late,) = hook.expect(1)
    assert late.json["run_id"] == "going on"


async def test_silence_while_nobody_listened_is_not_silence(tocsin: Running) -> None:
    hook = await watching(tocsin, stalled_s=10 * MINUTE)
    await tell(tocsin, "run.started")
    await tocsin.move(5 * MINUTE)
    await be_away(tocsin, 30 * MINUTE)
    await tocsin.move(9 * MINUTE)  # it reports every so often: what it said in between was lost
    hook.expect(0)
    await tell(tocsin, "run.progress")
    await tocsin.move(9 * MINUTE)
    hook.expect(0)
    await tocsin.move(2 * MINUTE)
    hook.expect(1)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_50_a_clock_that_is_set_is_no_alarm(tocsin: Running, jump: int) -> None:
    hook = await watching(tocsin, exceeded_s=90 * MINUTE, stalled_s=50 * MINUTE)
    await tell(tocsin, "run.started")
    await tocsin.move(45 * MINUTE)
    await tell(tocsin, "run.progress")
    await be_away(tocsin, jump)
    await be_away(tocsin, -jump)
    await tocsin.move(40 * MINUTE)
    await tell(tocsin, "run.progress")
    hook.expect(0)
    await tocsin.move(6 * MINUTE)
    (late,) = hook.expect(1)
    assert late.json["type"] == "run.exceeded"


async def test_while_intake_takes_nothing_timers_wait(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started")
    tocsin.app.intake.waiting_events += 10**6
    await tocsin.move(11 * MINUTE)
    hook.expect(0)
    tocsin.app.intake.waiting_events -= 10**6
    await tocsin.move(1)
    hook.expect(1)


async def test_a_timer_that_cannot_be_read_does_not_stop_the_others(
    tocsin: Running, logs: list[dict[str, Any]]
) -> None:
    hook = tocsin.receiver.hook("/late")
    fields: dict[str, Any] = {
        "pipelines": ["etl/orders"],
        "schedule": {"cron": "0 2 1 1 *"},
        "watch": {"exceeded_s": 10 * MINUTE},
    }
    rule = await tocsin.rule(await tocsin.webhook(hook), event_types=["run.exceeded"], **fields)
    await tell(tocsin, "run.started")
    odd = Timer("start:odd", "start", rule["id"], tocsin.clock.now_ms, {"at_ms": "soon"})
    async with tocsin.app.db.transaction() as tx:
        await noise.put_timers(tx, "default", [odd])
    await tocsin.move(11 * MINUTE)
    hook.expect(1)
    failed = [entry for entry in logs if entry["event"] == "timers.failed"]
    assert {entry["timer"] for entry in failed} == {"start:odd"}
    for entry in failed:
        logs.remove(entry)
    assert any(timer.id == "start:odd" and timer.due_ms > tocsin.clock.now_ms for timer in await open_timers(tocsin))


async def test_what_waits_to_be_written_counts(tocsin: Running) -> None:
    """The end is here, in a queue before the store: the sweep waits for it."""
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started")
    tocsin.clock.move(11 * MINUTE)
    tocsin.app.timers.seen_ms = tocsin.clock.now_ms
    end = decode_native(b'{"type":"run.succeeded","pipeline":"etl/orders","run_id":"r1"}')
    async with asyncio.TaskGroup() as both:
        both.create_task(tocsin.app.intake.accept("default", end))
        both.create_task(tocsin.app.sweep.sweep())
    await tocsin.move(HOUR)
    hook.expect(0)


async def test_while_all_events_come_late_nothing_is_concluded(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started")
    await tocsin.move(9 * MINUTE)
    for minute in range(8):  # a bus that catches up: what comes now is five minutes old
        await tell(tocsin, "invoice.paid", f"other {minute}", ago=5 * MINUTE)
        await tocsin.move(30)
    hook.expect(0)
    await tell(tocsin, "run.succeeded", ago=4 * MINUTE)
    await tocsin.move(HOUR)
    hook.expect(0)


async def test_a_source_that_is_always_late_does_not_hold_alarms_for_ever(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started", ago=2 * MINUTE)
    for minute in range(22):
        await tell(tocsin, "run.progress", ago=2 * MINUTE)
        await tocsin.move(MINUTE)
        if minute < 12:
            hook.expect(0)
    hook.expect(1)


async def test_a_newer_attempt_ends_the_clock_of_the_older(tocsin: Running) -> None:
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started", data={"attempt": 1})  # killed: nobody says how it ended
    await tocsin.move(5 * MINUTE)
    await tell(tocsin, "run.started", data={"attempt": 2})
    await tocsin.move(6 * MINUTE)
    hook.expect(0)
    await tocsin.move(5 * MINUTE)
    (late,) = hook.expect(1)
    assert "11m 00s" in said(late)
    await tell(tocsin, "run.succeeded", data={"attempt": 2})
    await tocsin.settle()
    (end,) = hook.expect(1)
    assert "late" in said(end)


async def test_a_rule_that_is_gone_or_changed_asks_nothing(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/watch")
    webhook = await tocsin.webhook(hook)
    limit = {"exceeded_s": 10 * MINUTE}
    gone, off, none, longer = [
        await tocsin.rule(webhook, pipelines=[name], watch=limit) for name in ("gone", "off", "none", "longer")
    ]
    for pipeline in ("gone", "off", "none", "longer"):
        await tell(tocsin, "run.started", pipeline=pipeline)
    await tocsin.settle()
    hook.expect(4)
    await tocsin.client.delete(f"/v1/alert-rules/{gone['id']}")
    (await tocsin.client.patch(f"/v1/alert-rules/{off['id']}", {"is_active": False})).ok()
    (await tocsin.client.patch(f"/v1/alert-rules/{none['id']}", {"watch": None})).ok()
    (await tocsin.client.patch(f"/v1/alert-rules/{longer['id']}", {"watch": {"exceeded_s": 20 * MINUTE}})).ok()
    await tocsin.move(15 * MINUTE)
    hook.expect(0)
    await tocsin.move(10 * MINUTE)
    (late,) = hook.expect(1)
    assert late.json["pipeline"] == "longer"


async def test_a_rule_made_meanwhile_watches_what_goes_on(tocsin: Running) -> None:
    await tell(tocsin, "run.started")
    await tocsin.move(5 * MINUTE)
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.progress")
    await tocsin.move(6 * MINUTE)
    (late,) = hook.expect(1)
    assert "11m 00s" in said(late)


async def test_labels_are_those_of_the_run(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/watch")
    rule: dict[str, Any] = {"labels": {"env": "prod"}, "watch": {"exceeded_s": 10 * MINUTE}}
    await tocsin.rule(await tocsin.webhook(hook), event_types=["run.exceeded"], **rule)
    await tell(tocsin, "run.started", "prod")
    await tell(tocsin, "run.progress", "prod", labels={"env": "prod"})  # the second event says it
    await tell(tocsin, "run.started", "test", labels={"env": "test"})
    await tocsin.move(11 * MINUTE)
    (late,) = hook.expect(1)
    assert late.json["run_id"] == "prod"
    await tell(tocsin, "run.succeeded", "prod")
    await tocsin.settle()
    hook.expect(1)


async def test_a_watch_tells_its_own_people_and_others_who_ask(tocsin: Running) -> None:
    hook = await watching(tocsin, ("run.failed",), exceeded_s=10 * MINUTE)
    asks, watches = tocsin.receiver.hook("/asks"), tocsin.receiver.hook("/watches")
    await tocsin.rule(await tocsin.webhook(asks), event_types=["run.exceeded"])
    limit = {"exceeded_s": 5 * HOUR}
    await tocsin.rule(await tocsin.webhook(watches), event_types=["run.exceeded"], watch=limit)
    await tell(tocsin, "run.started")
    await tocsin.move(11 * MINUTE)
    hook.expect(1)  # though its rule names another type: what it watches is for it
    asks.expect(1)
    watches.expect(0)  # it has a limit of its own
    (event,) = (await tocsin.client.get("/v1/events?type=run.exceeded")).ok()["items"]
    why = (await tocsin.client.get(f"/v1/events/{event['id']}/why")).ok()
    assert "this is about what another rule watches" in str(why["decisions"])


async def failing(tocsin: Running, path: str = "/fails", **fields: Any) -> Hook:
    hook = tocsin.receiver.hook(path)
    changes = {"renotify_s": HOUR}
    await tocsin.rule(
        await tocsin.webhook(hook), event_types=["run.failed", "run.succeeded"], changes=changes, **fields
    )
    return hook


async def test_28_still_failing_is_told_again_though_nothing_happens(start: Start) -> None:
    one = await start()
    others = one.receiver.hook("/others")
    await one.webhook(others, enabled_events=["*"])
    hook = await failing(one)
    await tell(one, "run.failed")
    await one.settle()
    hook.expect(1)
    others.expect(1)
    await one.move(59 * MINUTE)
    hook.expect(0)
    await one.move(MINUTE)
    (again,) = hook.expect(1)
    assert again.json["title"] == "etl/orders is still failing: 1 failure in 1h 00m"
    assert again.json["severity"] == "error"
    await one.worker.stop()
    two = await start()
    for _ in range(3):
        await two.move(HOUR)
        hook.expect(1)
    await tell(two, "run.failed", "r2")
    await two.move(HOUR)
    (again,) = hook.expect(1)
    assert again.json["title"] == "etl/orders is still failing: 2 failures in 5h 00m"
    others.expect(1)  # the second failure, and no reminder
    await tell(two, "run.succeeded", "r3")
    await two.settle()
    (over,) = hook.expect(1)
    others.expect(1)
    assert "recovered after 5h 00m" in said(over)
    assert await open_timers(two) == []
    await two.move(10 * HOUR)
    hook.expect(0)
    assert len((await two.client.get("/v1/events?type=rule.still_failing")).ok()["items"]) == 5


async def test_a_reminder_waits_for_muted_hours_to_end(tocsin: Running) -> None:
    now = datetime.fromtimestamp(tocsin.clock.now_s, UTC)
    tocsin.clock.move((24 - now.hour) * HOUR - now.minute * MINUTE - now.second)  # midnight
    hook = await failing(tocsin, mute=[{"start": "00:30", "end": "04:30"}])
    await tell(tocsin, "run.failed")
    await tocsin.settle()
    hook.expect(1)
    for _ in range(4):
        await tocsin.move(HOUR)
        hook.expect(0)
    await tocsin.move(31 * MINUTE)
    (again,) = hook.expect(1)
    assert "still failing: 1 failure in 4h 31m" in said(again)


async def test_100_000_open_timers_cost_a_tick_nothing(tocsin: Running, frozen: None) -> None:
    """A tick costs what is due, not what exists."""

    async def ticks() -> float:
        took = []
        for _ in range(30):
            begun = time.perf_counter()
            await tocsin.app.timers.fire(tocsin.app.db, tocsin.clock.now_ms, tocsin.app.intake.accept)
            took.append(time.perf_counter() - begun)
        return min(took)  # what a busy machine adds is not the tick's

    await ticks()
    alone = await ticks()
    far_ms = tocsin.clock.now_ms + 30 * 86_400_000
    for start_ in range(0, 100_000, 10_000):
        async with tocsin.app.db.transaction() as tx:
            timers = [
                Timer(f"t{n}", "exceeded", "rul_x", far_ms + n, {"run": f"r{n}"})
                for n in range(start_, start_ + 10_000)
            ]
            await noise.put_timers(tx, "default", timers)
    if tocsin.app.db.dialect == "postgres":  # as autovacuum does before long: plans made while it was empty scan it
        await tocsin.app.db.script("ANALYZE timer")
    assert await ticks() < 3 * alone + 0.003
    hook = await watching(tocsin, exceeded_s=10 * MINUTE)
    await tell(tocsin, "run.started")
    await tocsin.move(11 * MINUTE)
    hook.expect(1)
