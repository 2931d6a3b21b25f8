"""A simulation is the planning of production over events in memory; time is what it is told."""

from typing import Any

from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.noise import Changes, Failures, Grouping, Noise, Schedule, Watch
from tocsin.model.rule import Rule
from tocsin.model.world import Matcher, Silence
from tocsin.rules import simulate
from tocsin.rules.index import RuleIndex
from tocsin.rules.plan import Channel
from tocsin.rules.simulate import Setup, Simulation
from tocsin.sources.kinds import kind_of

START_MS = 1_767_614_400_000  # 2026-01-05 12:00 UTC, a Monday
MINUTE_MS = 60_000
PEOPLE = Channel("ops", "slack", 1, 3600, name="ops")
PAGER = Channel("pager", "pagerduty", 1, 3600, name="pager", alarms=True)


def rule(name: str = "rule", *endpoints: str, **fields: Any) -> Rule:
    return Rule(id=name, tenant_id="t", name=name, endpoint_ids=endpoints or ("ops",), **fields)


def setup(*rules: Rule, silences: tuple[Silence, ...] = ()) -> Setup:
    clocks = [one for one in rules if one.noise.watch is not None or one.noise.schedule is not None]
    clocks = [replace(one, event_types=()) for one in clocks]
    channels = {"ops": PEOPLE, "pager": PAGER}
    return Setup("t", RuleIndex(rules), channels, silences, RuleIndex(clocks))


class Story:
    """Sends events a minute apart and keeps who was told of what."""

    def __init__(self, *rules: Rule, **more: Any) -> None:
        self.simulation = Simulation(setup(*rules, **more), START_MS)
        self.now_ms = START_MS
        self.count = 0

    def event(self, type_: str, run_id: str = "", **fields: Any) -> Event:
        self.count += 1
        standard: dict[str, Any] = {"pipeline": "etl", "time_ms": self.now_ms, "received_ms": self.now_ms}
        return Event(
            uid=f"evt_{self.count}", tenant_id="t", id=f"e{self.count}", source="s", type=type_, kind=kind_of(type_),
            run_id=run_id, **standard | fields,
        )  # fmt: skip

    def send(self, type_: str, run_id: str = "", **fields: Any) -> list[str]:
        """The names of those who get a message of their own, now or later."""
        step = self.simulation.take(self.event(type_, run_id, **fields), self.now_ms)
        return [send.channel.name for send in step.notifications()]

    def wait(self, minutes: float) -> list[tuple[str, list[str]]]:
        """What the clock brings: types, and who is told."""
        self.now_ms += round(minutes * MINUTE_MS)
        steps = self.simulation.wait(self.now_ms)
        return [(step.event.type, [send.channel.name for send in step.notifications()]) for step in steps]

    def sent(self) -> list[str]:
        return [send.channel.name for send in self.simulation.sent(self.now_ms)]


def test_states_are_kept_from_event_to_event() -> None:
    story = Story(rule(noise=Noise(window=Failures(3))))
    assert [story.send("run.failed", f"r{n}") for n in range(4)] == [[], [], ["ops"], []]


def test_runs_are_built_up() -> None:
    long = rule(condition="run.duration_s >= 600.0", event_types=("run.failed",))
    story = Story(long)
    story.send("run.started", "r1")
    story.wait(10)
    assert story.send("run.failed", "r1") == ["ops"]
    assert story.send("run.failed", "r2") == []


def test_what_was_learned_counts_for_its_run_and_tells_nobody() -> None:
    story = Story(rule(condition="run.duration_s >= 600.0", event_types=("run.failed",)))
    story.simulation.learn(story.event("run.started", "r1"))
    story.wait(10)
    assert story.send("run.failed", "r1") == ["ops"]
    assert story.sent() == ["ops"]


def test_a_group_is_one_message_that_goes_when_it_is_due() -> None:
    story = Story(rule(noise=Noise(group=Grouping(wait_s=90))))
    assert story.send("run.failed", "r1") == ["ops"]
    step = story.simulation.take(story.event("run.failed", "r2"), story.now_ms)
    assert step.notifications() == []
    assert story.simulation.reason(step.plan.sends[0]) == "told together with e1 (pipeline=etl)"
    assert story.sent() == []
    story.wait(1)
    assert story.sent() == []
    story.wait(1)
    assert story.sent() == ["ops"]
    assert story.sent() == []


def test_a_silence_holds_for_its_time() -> None:
    until_ms = START_MS + 10 * MINUTE_MS
    silence = Silence(id="sil_1", matchers=(Matcher("pipeline", "etl"),), starts_ms=START_MS, ends_ms=until_ms)
    story = Story(rule(), silences=(silence,))
    assert story.send("run.failed") == []
    story.wait(10)
    assert story.send("run.failed") == ["ops"]


def test_alarms_are_closed_where_they_were_opened() -> None:
    story = Story(rule("opens", "pager", event_types=("run.failed",)))
    assert story.send("run.succeeded", "r0") == []
    assert story.send("run.failed", "r1") == ["pager"]
    assert story.send("run.succeeded", "r2") == ["pager"]
    assert story.send("run.succeeded", "r3") == []


def test_a_run_that_takes_too_long_is_told_once_while_it_goes_on() -> None:
    story = Story(rule(event_types=("run.exceeded",), noise=Noise(watch=Watch(exceeded_s=1800))))
    story.send("run.started", "r1")
    assert story.wait(29) == []
    assert story.wait(2) == [("run.exceeded", ["ops"])]
    assert story.wait(600) == []
    story.send("run.started", "r2")
    story.wait(10)
    story.send("run.succeeded", "r2")
    assert story.wait(600) == []


def test_a_run_that_takes_longer_than_the_last_ones() -> None:
    watch = Watch(exceeded_p95_of=10, least=3, factor=2)
    story = Story(rule(event_types=("run.exceeded",), noise=Noise(watch=watch)))
    for number in range(3):
        story.send("run.started", f"r{number}")
        story.wait(10)
        story.send("run.succeeded", f"r{number}")
    story.send("run.started", "r9")
    assert story.wait(19) == []
    assert story.wait(2) == [("run.exceeded", ["ops"])]


def test_a_start_that_is_missed() -> None:
    schedule = Schedule(cron="0 13 * * *", start_within_s=600)
    story = Story(rule(pipelines=("etl",), event_types=("run.missed",), noise=Noise(schedule=schedule)))
    assert story.wait(65) == []
    assert story.wait(10) == [("run.missed", ["ops"])]
    story.wait(23 * 60 - 15)
    story.send("run.started", "r1")
    assert story.wait(30) == []


def test_reminders_come_while_it_is_failing() -> None:
    story = Story(rule(noise=Noise(changes=Changes(renotify_s=3600))))
    assert story.send("run.failed", "r1") == ["ops"]
    told = [who for _, who in story.wait(150)]
    assert told == [["ops"], ["ops"]]
    assert story.send("run.succeeded", "r2") == ["ops"]
    assert story.wait(600) == []


def test_a_schedule_of_minutes_over_months_ends(monkeypatch: Any) -> None:
    monkeypatch.setattr(simulate, "MOST_LOOKS", 50)
    schedule = Schedule(cron="* * * * *", start_within_s=1)
    story = Story(rule(pipelines=("etl",), noise=Noise(schedule=schedule)))
    assert len(story.wait(60 * 24 * 100)) <= 50
