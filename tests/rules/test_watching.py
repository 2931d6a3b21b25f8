"""The clock while runs go on: which timers an event sets and drops, and what a timer that is due says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.event import Event
from tocsin.model.noise import Noise, Schedule, Watch
from tocsin.model.rule import Rule
from tocsin.model.run import Run
from tocsin.model.world import Timer, World
from tocsin.rules import run_state, scheduling
from tocsin.rules.index import CompiledRule, RuleIndex, compile_rule
from tocsin.rules.own import Finding
from tocsin.rules.scheduling import Seen
from tocsin.rules.watching import GRACE_MS, Due, due, due_ms_of, limit_ms, looking, noted, owed, watch

MINUTE_MS = 60_000
NEW = Run(id="run_1", tenant_id="t", pipeline="p", run_id="r")


def event(kind: str, time_ms: int = 0, received_ms: int | None = None, **fields: Any) -> Event:
    standard: dict[str, Any] = {
        "uid": "evt_1", "tenant_id": "t", "id": "e", "source": "s", "type": kind, "kind": kind, "run_id": "r",
        "pipeline": "p", "time_ms": time_ms, "received_ms": time_ms if received_ms is None else received_ms,
    }  # fmt: skip
    return Event(**standard | fields)


def rule(watch_: Watch | None = None, **fields: Any) -> CompiledRule:
    noise = Noise(watch=watch_) if watch_ is not None else fields.pop("noise", Noise())
    standard: dict[str, Any] = {"id": "rul_1", "tenant_id": "t", "name": "n", "noise": noise}
    return compile_rule(Rule(**standard | fields))


def told(world: World, rules: list[CompiledRule], *events: Event) -> Run:
    """The run after these events, and in the world what they led to."""
    run: Run | None = None
    for one in events:
        before, run = run, run_state.after(run or NEW, one)
        watch(world, rules, one, before, run, one.received_ms)
    assert run is not None
    return run


def dues(world: World) -> dict[str, int | None]:
    return {id_.split(":")[0]: timer.due_ms if timer is not None else None for id_, timer in world.timers.items()}


def test_a_start_sets_the_timers_and_the_end_drops_them() -> None:
    world = World()
    rules = [rule(Watch(exceeded_s=60, stalled_s=10))]
    told(world, rules, event("run.started", 1000))
    assert dues(world) == {"exceeded": 61_000, "stalled": 11_000}
    told(world, rules, event("run.started", 1000), event("run.failed", 2000))
    assert dues(world) == {"exceeded": None, "stalled": None}


def test_what_happens_on_the_way_costs_nothing() -> None:
    world = World()
    rules = [rule(Watch(exceeded_s=60, stalled_s=10))]
    run = told(world, rules, event("run.started", 1000))
    world.timers.clear()
    for number in range(5):
        before, run = run, run_state.after(run, event("stage.progress", 2000 + number, stage="load"))
        watch(world, rules, event("stage.progress", 2000 + number), before, run, 2000 + number)
    assert world.timers == {}


def test_an_earlier_start_that_comes_later_moves_the_timer() -> None:
    world = World()
    told(world, [rule(Watch(exceeded_s=60))], event("run.progress", 5000), event("run.started", 1000, 5000))
    assert dues(world) == {"exceeded": 61_000}


def test_a_start_that_comes_late_gives_its_end_time_to_come() -> None:
    world = World()
    told(world, [rule(Watch(exceeded_s=60))], event("run.started", 0, 3_600_000))
    assert dues(world) == {"exceeded": 3_600_000 + GRACE_MS}


def test_an_end_alone_sets_nothing() -> None:
    world = World()
    told(world, [rule(Watch(exceeded_s=60, stalled_s=10, shorter_s=5))], event("run.succeeded", 1000))
    assert world.timers == {}


@pytest.mark.parametrize("order", [("run.started", "run.succeeded"), ("run.succeeded", "run.started")])
def test_too_short_is_found_whichever_comes_first(order: tuple[str, str]) -> None:
    world = World()
    times = {"run.started": 1000, "run.succeeded": 3000}
    run = told(world, [rule(Watch(shorter_s=5))], *(event(kind, times[kind], 3000) for kind in order))
    assert dues(world) == {"shorter": 3000}
    (timer,) = world.timers.values()
    assert timer is not None
    finding = found(rule(Watch(shorter_s=5)), timer, run, now_ms=3000)
    assert finding is not None
    assert finding.title == "p took only 2 s; at least 5 s were expected"
    long = run_state.after(run, event("run.started", 0, 4000, id="e2"))
    assert found(rule(Watch(shorter_s=2)), timer, long, now_ms=4000) is None


def found(compiled: CompiledRule, timer: Timer, run: Run, *, now_ms: int, **fields: Any) -> Finding | None:
    return looked(compiled, timer, run, now_ms=now_ms, **fields).finding


def looked(compiled: CompiledRule, timer: Timer, run: Run, *, now_ms: int, **fields: Any) -> Due:
    standard: dict[str, Any] = {"newest_attempt": run.attempt, "back_ms": 0, "now_ms": now_ms}
    return due(compiled.rule, timer, run, fields.pop("history", ()), **standard | fields)


EXCEEDED = Timer("exceeded:rul_1:run_1", "exceeded", "rul_1", 61_000, {"run": "run_1"})
STALLED = Timer("stalled:rul_1:run_1", "stalled", "rul_1", 11_000, {"run": "run_1"})


def test_a_due_timer_asks_the_run() -> None:
    watching = rule(Watch(exceeded_s=60, stalled_s=10))
    going_on = run_state.after(NEW, event("run.started", 1000))
    finding = found(watching, EXCEEDED, going_on, now_ms=61_000)
    assert finding is not None
    assert (finding.type, finding.data["limit_s"], finding.data["due_at"]) == (
        "run.exceeded", 60, "1970-01-01T00:01:01Z",
    )  # fmt: skip
    over = run_state.after(going_on, event("run.failed", 50_000))
    assert looked(watching, EXCEEDED, over, now_ms=61_000) == Due()
    assert looked(watching, EXCEEDED, going_on, now_ms=61_000, newest_attempt=2) == Due()
    assert looked(rule(Watch(stalled_s=1)), EXCEEDED, going_on, now_ms=61_000) == Due()
    assert looked(rule(Watch(exceeded_s=1)), STALLED, going_on, now_ms=61_000) == Due()
    assert looked(rule(noise=Noise()), EXCEEDED, going_on, now_ms=61_000) == Due()
    (later,) = looked(rule(Watch(exceeded_s=90)), EXCEEDED, going_on, now_ms=61_000).timers
    assert later.due_ms == 91_000


def test_silence_counts_from_the_last_that_was_heard_and_from_when_somebody_listened() -> None:
    watching = rule(Watch(stalled_s=10))
    run = run_state.after(NEW, event("run.started", 1000))
    assert found(watching, STALLED, run, now_ms=11_000) is not None
    heard = run_state.after(run, event("stage.progress", 8000, stage="s"))
    (later,) = looked(watching, STALLED, heard, now_ms=11_000).timers
    assert later.due_ms == 18_000
    (later,) = looked(watching, STALLED, run, now_ms=11_000, back_ms=9000).timers
    assert later.due_ms == 19_000


@pytest.mark.parametrize(
    ("wanted", "history", "limit"),
    [
        (Watch(exceeded_s=60), (), 60_000),
        (Watch(exceeded_p95_of=20), (1, 2, 3, 4), None),
        (Watch(exceeded_p95_of=20), (5, 1, 4, 2, 3), 5),
        (Watch(exceeded_p95_of=20), tuple(range(1, 21)), 19),
        (Watch(exceeded_p95_of=5), (*range(1, 6), 1000), 5),
        (Watch(exceeded_p95_of=20, factor=2), (10,) * 10, 20),
        (Watch(exceeded_p95_of=20, least=11), (10,) * 10, None),
        (Watch(exceeded_s=60, exceeded_p95_of=20), (30_000,) * 5, 30_000),
        (Watch(exceeded_s=60, exceeded_p95_of=20), (90_000,) * 5, 60_000),
        (Watch(exceeded_s=60, exceeded_p95_of=20), (), 60_000),
        (Watch(stalled_s=60), (1,) * 10, None),
    ],
)
def test_the_limit_of_a_run(wanted: Watch, history: tuple[int, ...], limit: int | None) -> None:
    assert limit_ms(wanted, history) == limit


KINDS = ["run.started", "run.progress", "run.paused", "stage.started", "stage.failed", "run.succeeded", "run.failed"]
STORIES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 100_000), st.integers(0, 100_000)), min_size=1, max_size=8
)


@given(STORIES)
def test_a_run_that_goes_on_is_looked_at_and_no_finding_is_false(story: list[tuple[str, int, int]]) -> None:
    """Whatever comes, and whenever: while it goes on there is a timer that is not too late, and none says anything of a
    run that is over or within its limit."""
    world, compiled = World(), rule(Watch(exceeded_s=60, stalled_s=10))
    timers: dict[str, Timer] = {}
    run: Run | None = None
    now_ms = 0
    for number, (kind, time_ms, delay_ms) in enumerate(story):
        now_ms = max(now_ms, time_ms + delay_ms)
        one = event(kind, time_ms, now_ms, id=f"e{number}", stage="s" if kind.startswith("stage") else "")
        before, run = run, run_state.after(run or NEW, one)
        watch(world, [compiled], one, before, run, now_ms)
        for id_, timer in world.timers.items():
            timers.pop(id_, None)
            if timer is not None:
                timers[id_] = timer
        world.timers.clear()
    assert run is not None
    if run.is_over:
        assert timers == {} or {timer.kind for timer in timers.values()} <= {"exceeded", "stalled"}
        assert all(looked(compiled, timer, run, now_ms=2**40) == Due() for timer in timers.values())
        return
    assert {timer.kind for timer in timers.values()} == {"exceeded", "stalled"}
    since_ms = run.about.from_ms if run.started_ms is None else run.started_ms
    exceeded = timers[EXCEEDED.id]
    assert exceeded.due_ms <= max(since_ms + 60_000, now_ms + GRACE_MS)
    assert found(compiled, exceeded, run, now_ms=since_ms + 59_999) is None
    assert found(compiled, exceeded, run, now_ms=since_ms + 60_000) is not None
    assert timers[STALLED.id].due_ms <= now_ms + 10_000


def test_labels_are_asked_of_the_run() -> None:
    world = World()
    rules = [rule(Watch(exceeded_s=60), labels={"env": "prod*"})]
    told(world, rules, event("run.started", 1000))
    told(world, rules, event("run.started", 1000, labels={"env": "test"}))
    assert world.timers == {}
    told(world, rules, event("run.started", 1000), event("run.progress", 2000, labels={"env": "prod-eu"}))
    assert dues(world) == {"exceeded": 61_000}


def test_who_was_told_that_it_is_late_is_owed_the_end() -> None:
    plain = Rule(
        id="rul_1", tenant_id="t", name="n", event_types=("run.exceeded",), noise=Noise(watch=Watch(stalled_s=1))
    )
    watches = RuleIndex([plain])
    anything = RuleIndex([Rule(id="rul_1", tenant_id="t", name="n", noise=plain.noise)])
    end = event("run.succeeded", 9000)
    late = run_state.overdue(run_state.after(NEW, event("run.started", 1000)), 5000, ("rul_1", "gone"))
    (owing,) = owed(anything, (), end, late)
    assert owing.rule.id == "rul_1"
    assert owed(anything, (owing,), end, late) == []
    assert owed(anything, (), end, None) == []
    over = run_state.after(late, end)
    assert over.late_ms == 4000
    assert owed(anything, (), end, over) == []  # told once
    assert [compiled.rule for compiled in looking(anything, watches, end, {})] == [plain]


def test_what_is_due_first_is_when_it_should_have_ended() -> None:
    run = run_state.after(NEW, event("run.started", 1000))
    run = run_state.overdue(run_state.overdue(run, 9000, ("b",)), 5000, ("a",))
    assert (run.about.due_ms, run.about.told) == (5000, ("b", "a"))
    run = run_state.overdue(run, 0, ("a",))
    assert (run.about.due_ms, run.about.told) == (5000, ("b", "a"))
    over = run_state.after(run, event("run.failed", 4000, 9000))
    assert (over.late_ms, over.about.told) == (-1000, ())
    assert run_state.overdue(over, 1, ("c",)) == over


@pytest.mark.parametrize("found", [None, 5, "soon", "0001-01-01T00:00:00", "9999-12-31T23:59:59-14:00"])
def test_a_finding_that_somebody_else_made_up_does_no_harm(found: Any) -> None:
    assert isinstance(due_ms_of(event("run.exceeded", source="tocsin", data={"watch": "rul_1", "due_at": found})), int)


def test_a_finding_is_noted_for_its_own_rule() -> None:
    index = RuleIndex([Rule(id="rul_1", tenant_id="t", name="n", endpoint_ids=("a", "b"))])
    run = run_state.after(NEW, event("run.started", 1000))
    about = {"watch": "rul_1", "due_at": "1970-01-01T00:00:05Z"}
    finding = event("run.exceeded", 6000, source="tocsin", data=about)
    assert noted(index, finding, run, ["b"]).about.told == ("rul_1",)
    assert noted(index, finding, run, ["c"]).about.told == ()
    assert noted(index, finding, run, []).about.due_ms == 5000
    for other in (event("run.exceeded", data=about), event("run.warning", source="tocsin", data=about)):
        assert noted(index, other, run, ["a"]) == run


DAILY = Schedule(cron="0 2 * * *", start_within_s=600, finish_within_s=3600)
DAY_MS = 86_400_000
TWO_MS = 2 * 3_600_000


def schedule_rule(schedule: Schedule) -> Rule:
    return rule(noise=Noise(schedule=schedule), pipelines=("p",), labels={"env": "prod", "team": "a*"}).rule


def started(ms: int, *, over: bool = False, **fields: Any) -> Run:
    fields = {"status": "succeeded", "finished_ms": ms + 1} | fields if over else {"status": "running"} | fields
    return Run(id=f"run_{ms}", tenant_id="t", pipeline="p", run_id=f"r{ms}", started_ms=ms, **fields)


def asked(schedule: Schedule, seen: Seen, now_ms: int, kind: str = "start", at_ms: int = TWO_MS) -> Due:
    timer = Timer(f"{kind}:rul_1", kind, "rul_1", now_ms, {"at_ms": at_ms})
    return scheduling.due(schedule_rule(schedule), timer, seen, now_ms)


def test_a_new_schedule_asks_for_its_first_times() -> None:
    timer = Timer("start:rul_1", "start", "rul_1", 5, {"since_ms": 5})
    first = scheduling.due(schedule_rule(DAILY), timer, Seen(), 1000)
    assert first.finding is None
    assert [(one.kind, one.due_ms) for one in first.timers] == [
        ("start", TWO_MS + 600_000), ("finish", TWO_MS + 3_600_000),
    ]  # fmt: skip
    assert scheduling.since_ms(schedule_rule(DAILY), timer) == 0
    assert scheduling.since_ms(schedule_rule(DAILY), first.timers[0]) == TWO_MS - scheduling.EARLY_MS
    interval = Schedule(every_s=3600, start_within_s=60)
    saved = Timer("start:rul_1", "start", "rul_1", DAY_MS, {"since_ms": DAY_MS})
    (start,) = scheduling.due(schedule_rule(interval), saved, Seen([started(DAY_MS - 600_000)]), DAY_MS).timers
    assert start.due_ms == DAY_MS + 3_000_000 + 60_000  # an hour after the last start
    for seen in (Seen(), Seen([started(5)])):
        (start,) = scheduling.due(schedule_rule(interval), saved, seen, DAY_MS).timers
        assert start.due_ms == DAY_MS + 3_600_000 + 60_000
    assert scheduling.due(rule(noise=Noise()).rule, timer, Seen(), 5) == Due()


def test_a_missed_start_says_when_and_goes_on_to_the_next() -> None:
    missed = asked(DAILY, Seen(), TWO_MS + 600_000)
    assert missed.finding is not None
    assert missed.finding.title == "p should have started at 02:00 UTC, 10 minutes ago"
    assert missed.finding.labels == {"env": "prod"}
    assert missed.finding.data == {"watch": "rul_1", "due_at": "1970-01-01T02:00:00Z"}
    assert [one.due_ms for one in missed.timers] == [TWO_MS + DAY_MS + 600_000]


@pytest.mark.parametrize(
    "seen",
    [
        Seen([started(TWO_MS - 60_000)]),
        Seen([started(TWO_MS + 599_000), started(5)]),
        Seen([], TWO_MS + 5),
        Seen([], 0, (TWO_MS - 5, TWO_MS + 5)),
        Seen([], 0, (TWO_MS + 599_000, TWO_MS + 700_000)),
    ],
)
def test_a_start_that_was_heard_or_could_not_be_is_not_missed(seen: Seen) -> None:
    assert asked(DAILY, seen, TWO_MS + 700_000).finding is None


@pytest.mark.parametrize(
    "seen", [Seen([started(TWO_MS - 60_001)]), Seen([], TWO_MS - 60_001), Seen([], 0, (0, TWO_MS - 60_001))]
)
def test_what_was_before_does_not_count(seen: Seen) -> None:
    assert asked(DAILY, seen, TWO_MS + 700_000).finding is not None


def test_where_runs_are_due_every_minute_half_of_it_is_early_enough() -> None:
    every = Schedule(cron="* * * * *", start_within_s=50)
    assert asked(every, Seen([started(TWO_MS - 30_000)]), TWO_MS + 50_000).finding is None
    assert asked(every, Seen([started(TWO_MS - 30_001)]), TWO_MS + 50_000).finding is not None


def test_long_gone_times_are_passed_over() -> None:
    every = Schedule(cron="* * * * *", start_within_s=50)
    (following,) = asked(every, Seen(), TWO_MS + DAY_MS).timers
    assert TWO_MS + DAY_MS - 60_000 <= following.due_ms <= TWO_MS + DAY_MS + 60_000


def test_an_end_is_overdue_where_a_run_goes_on() -> None:
    now_ms = TWO_MS + 3_600_000
    going_on = asked(DAILY, Seen([started(TWO_MS + 5)]), now_ms, "finish")
    assert going_on.finding is not None
    assert (going_on.finding.type, going_on.finding.run_id) == ("run.overdue", f"r{TWO_MS + 5}")
    assert [one.due_ms for one in going_on.timers] == [now_ms + DAY_MS]
    for seen in (
        Seen(),  # it never started: that was said
        Seen([started(TWO_MS + 5, over=True)]),
        Seen([started(TWO_MS + 9), started(TWO_MS + 5, over=True)]),
        Seen([started(TWO_MS + 5)], TWO_MS + 9),
        Seen([started(5)]),
    ):
        assert asked(DAILY, seen, now_ms, "finish").finding is None


def test_every_so_often() -> None:
    hourly = Schedule(every_s=3600, start_within_s=60, finish_within_s=600)
    now_ms = 2 * TWO_MS
    (later,) = asked(hourly, Seen([started(now_ms - 10)]), now_ms).timers
    assert later.due_ms == now_ms - 10 + 3_660_000
    missed = asked(hourly, Seen([started(now_ms - 3_660_000)]), now_ms)
    assert missed.finding is not None
    assert "the last start was at 02:59 UTC" in missed.finding.title
    assert missed.timers[0].due_ms == now_ms - 60_000 + 3_660_000
    unheard = asked(hourly, Seen([started(now_ms - 3_660_000)], 0, (now_ms - 90_000, now_ms - 30_000)), now_ms)
    assert unheard.finding is None
    assert unheard.timers[0].due_ms == now_ms - 30_000 + 3_660_000
    assert asked(hourly, Seen([started(now_ms - 600_000)]), now_ms, "finish").finding is not None
    (later,) = asked(hourly, Seen([started(now_ms - 500_000)]), now_ms, "finish").timers
    assert later.due_ms == now_ms + 100_000
    assert asked(hourly, Seen([started(now_ms - 900_000, over=True)]), now_ms, "finish").finding is None
    assert asked(hourly, Seen(), now_ms, "finish").finding is None


def test_another_day_is_named() -> None:
    missed = asked(DAILY, Seen(), TWO_MS + DAY_MS)
    assert missed.finding is not None
    assert missed.finding.title == "p should have started at 1970-01-01 02:00 UTC, a day ago"
