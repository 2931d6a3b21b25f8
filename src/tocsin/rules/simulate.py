"""The production planning, run over events in memory: for previews, for tests of rules and for plans of changes.

Nothing has happened before, and the clock is part of it: runs that take too long, starts that are missed and reminders
come about as the sweep would bring them about.
"""

import heapq
from collections.abc import Mapping
from itertools import count

from msgspec import Struct

from tocsin.model.event import Event
from tocsin.model.run import Run
from tocsin.model.world import Silence, Timer, World
from tocsin.rules import run_state, scheduling, watching
from tocsin.rules.alarms import Alarms
from tocsin.rules.decide import decide
from tocsin.rules.index import RuleIndex
from tocsin.rules.own import OWN, Finding
from tocsin.rules.plan import Channel, Moment, Plan, Planned

RunKey = tuple[str, str, int]
"""Pipeline, run id, attempt."""

HISTORY = 200
MOST_LOOKS = 20_000
"""So often one simulation looks at the clock: a schedule of minutes over months would take long."""


class Setup(Struct, frozen=True):
    """What decides, compiled. `watches`: the rules that look at the clock."""

    tenant_id: str
    index: RuleIndex
    channels: Mapping[str, Channel]
    silences: tuple[Silence, ...] = ()
    watches: RuleIndex = RuleIndex(())


class Step(Struct, frozen=True):
    """One event and what it leads to, at `now_ms`. `by_clock`: nobody sent it."""

    event: Event
    now_ms: int
    plan: Plan
    by_clock: bool = False

    def notifications(self) -> list[Planned]:
        """What would become a message of its own, now or later."""
        return [send for send in self.plan.sends if not send.suppressed]


class Simulation:
    """Rules, silences and schedules hold since `since_ms`. Time is what `take` and `wait` say; it does not go back."""

    def __init__(self, setup: Setup, since_ms: int) -> None:
        self.setup = setup
        self.world = World(silences=setup.silences)
        self.alarms = Alarms()
        self.runs: dict[RunKey, Run] = {}
        self.timers: dict[str, Timer] = {}
        self.found: set[str] = set()
        self.looks = 0
        self.ids = count(1)
        self.told_by: dict[str, Event] = {}
        self.waiting: list[tuple[int, int, Planned]] = []
        self.newest: dict[tuple[str, str], int] = {}
        for rule in (compiled.rule for compiled in setup.watches.by_id.values()):
            if rule.noise.schedule is not None and rule.pipelines:
                first = scheduling.first(rule, rule.noise.schedule, scheduling.Seen(), since_ms)
                self.timers |= {timer.id: timer for timer in first}

    def learn(self, event: Event) -> None:
        """It happened before: it counts for its run, and nobody is told of it."""
        self._run(event)

    def take(self, event: Event, now_ms: int) -> Step:
        """What the event leads to. What the clock brings until then comes first, by `wait`."""
        return self._take(event, now_ms)

    def wait(self, now_ms: int) -> list[Step]:
        """What the clock brings until then."""
        steps: list[Step] = []
        while self.timers and self.looks < MOST_LOOKS:
            timer = min(self.timers.values(), key=lambda one: one.due_ms)
            if timer.due_ms > now_ms:
                break
            del self.timers[timer.id]
            self.looks += 1
            due = self._due(timer)
            self.timers |= {one.id: one for one in due.timers}
            if due.finding is not None and due.finding.id not in self.found:
                self.found.add(due.finding.id)
                steps.append(self._take(self._event(due.finding, timer.due_ms), timer.due_ms, by_clock=True))
        return steps

    def sent(self, now_ms: int) -> list[Planned]:
        """The messages that have gone out since this was asked last, in order."""
        found = []
        while self.waiting and self.waiting[0][0] <= now_ms:
            found.append(heapq.heappop(self.waiting)[2])
        return found

    def reason(self, send: Planned) -> str:
        """Why it is no message of its own, without ids that nobody can look up."""
        head = self.told_by.get(send.folded_into)
        if head is None:
            return send.suppressed
        return f"told together with {head.id}" + send.suppressed.removeprefix(f"told in {send.folded_into}")

    def _take(self, event: Event, now_ms: int, *, by_clock: bool = False) -> Step:
        before, run = self._run(event)
        setup = self.setup
        candidates = setup.index.candidates(event)
        if run is not None and run.is_over:
            candidates = [*candidates, *watching.owed(setup.watches, candidates, event, before)]
        moment = Moment(event, run, before, now_ms)
        planned, run = decide(setup, moment, candidates, self.world, self.alarms, self._new_id)
        if run is not None:
            self.runs[key_of(run)] = run
        for send in planned.sends:
            if not send.suppressed:
                self.told_by[send.delivery_id] = event
                heapq.heappush(self.waiting, (max(now_ms, send.due_ms), next(self.ids), send))
        for timer_id, timer in self.world.timers.items():
            self.timers.pop(timer_id, None)
            if timer is not None:
                self.timers[timer_id] = timer
        self.world.timers.clear()
        return Step(event, now_ms, planned, by_clock)

    def _due(self, timer: Timer) -> watching.Due:
        if timer.kind == "again":
            return watching.Due(watching.reminder(timer))
        rule, now_ms = self.setup.index.by_id[timer.rule_id].rule, timer.due_ms
        if timer.kind in ("start", "finish"):
            since_ms, until_ms = scheduling.since_ms(rule, timer), now_ms + scheduling.EARLY_MS
            return scheduling.due(rule, timer, self._seen(rule.pipelines[0], since_ms, until_ms), now_ms)
        run = next(run for run in self.runs.values() if run.id == timer.data["run"])
        newest, history = self.newest[run.pipeline, run.run_id], self.world.history.get(run.pipeline, ())
        return watching.due(rule, timer, run, history, newest_attempt=newest, back_ms=0, now_ms=now_ms)

    def _seen(self, pipeline: str, since_ms: int, until_ms: int) -> scheduling.Seen:
        mine = [run for run in self.runs.values() if run.pipeline == pipeline]
        started = [run for run in mine if since_ms <= (run.started_ms or -1) <= until_ms]
        ended = [run.finished_ms or 0 for run in mine if run.started_ms is None]
        newest_end_ms = max((ms for ms in ended if since_ms <= ms <= until_ms), default=0)
        return scheduling.Seen(sorted(started, key=lambda run: -(run.started_ms or 0)), newest_end_ms)

    def _event(self, finding: Finding, now_ms: int) -> Event:
        return Event(
            uid=f"evt_{next(self.ids)}",
            tenant_id=self.setup.tenant_id,
            id=finding.id,
            source=OWN,
            type=finding.type,
            kind=finding.kind,
            time_ms=now_ms,
            received_ms=now_ms,
            severity=finding.severity,
            pipeline=finding.pipeline,
            run_id=finding.run_id,
            title=finding.title,
            message=finding.message,
            labels=finding.labels,
            data=finding.data,
            links=finding.links,
        )

    def _run(self, event: Event) -> tuple[Run | None, Run | None]:
        """The event's run, as it was before and as it is with it."""
        if not event.run_id:
            return None, None
        its_run = event.pipeline, event.run_id
        attempt = run_state.attempt_named(event.kind, event.data) or self.newest.get(its_run, 1)
        key = (*its_run, attempt)
        before = self.runs.get(key)
        if not run_state.concerns_run(event):
            return before, before
        known = before or Run(
            id=f"run_{len(self.runs)}",
            tenant_id=event.tenant_id,
            pipeline=event.pipeline,
            run_id=event.run_id,
            attempt=attempt,
        )
        self.newest[its_run] = max(attempt, self.newest.get(its_run, attempt))
        run = self.runs[key] = run_state.after(known, event)
        if run.status == "succeeded" and not known.is_over and run.duration_ms is not None:
            history = (run.duration_ms, *self.world.history.get(run.pipeline, ()))
            self.world.history[run.pipeline] = history[:HISTORY]
        return before, run

    def _new_id(self) -> str:
        return f"dlv_{next(self.ids)}"


def key_of(run: Run) -> RunKey:
    return run.pipeline, run.run_id, run.attempt
